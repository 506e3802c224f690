"""Predictions: the article's own numbers, and what must hold whatever the constants are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.predictions import (
    cache_bytes,
    case_cache_bytes,
    duration_s,
    peak_memory,
    predict,
    predict_need,
)
from harness.values.case import Case, ModelSetting
from harness.values.record import Record

COCO_IMAGES = 117_266


def make(**fields):
    fields = {"data": "coco", "loader": "tfdata", **fields}
    if fields.get("mode") == "train":
        fields.setdefault("model", ModelSetting())
    return Case(**fields)


def make_record(case, seconds, **fields):
    minutes, rest = divmod(seconds, 60)
    values = {"status": "ok", **fields}
    return Record(
        session="s", experiment="e", invocation="i", attempt=1, host="h", hardware="w", engine="process",
        image_digest="d", payload_digest="p", data_fingerprint="f", case=case, case_id=case.case_id, round=1, order=1,
        started_at="2026-01-01T00:00:00+00:00", finished_at=f"2026-01-01T00:{minutes:02d}:{rest:02d}+00:00", **values,
    )  # fmt: skip


def test_the_dump_of_the_article():
    size = cache_bytes(COCO_IMAGES, (256, 256), is_file=True)
    assert size == pytest.approx(92.2e9, rel=0.001)
    assert cache_bytes(COCO_IMAGES, (256, 256), element="uint8") == pytest.approx(size / 4, rel=0.001)
    assert cache_bytes(COCO_IMAGES, (256, 256), element="encoded") is None


def test_a_dump_that_was_measured():
    """tf.data 2.21, 300 elements of 128 × 128 × 3 float32 and an int32 label: data file and index, in bytes."""
    assert cache_bytes(300, (128, 128), is_file=True) == pytest.approx(58_983_600 + 17_960, rel=1e-4)


@given(st.integers(0, 10**6), st.integers(1, 512), st.integers(1, 512), st.sampled_from(["float32", "uint8"]))
def test_a_cache_grows_with_images_and_pixels_and_the_label_is_nothing(images, height, width, element):
    size = cache_bytes(images, (height, width), element=element)
    pixels = images * height * width * 3 * {"float32": 4, "uint8": 1}[element]
    assert 0 <= size - pixels == 4 * images
    assert cache_bytes(images + 1, (height, width), element=element) > size


def test_only_caches_have_bytes_and_a_cap_counts():
    assert case_cache_bytes(make(), 1000) == 0
    assert case_cache_bytes(make(cache="tfrecord", element="encoded"), 1000) is None
    whole = case_cache_bytes(make(cache="memory"), 1000)
    assert case_cache_bytes(make(cache="memory", max_images=250), 1000) * 4 == whole
    assert case_cache_bytes(make(cache="memory", max_images=5000), 1000) == whole


def test_the_crash_of_the_article_is_predicted():
    limit = 16 * 10**9
    for cache, expected in (("none", "fits"), ("memory", "does not fit"), ("file", "fits")):
        need = predict_need(make(mode="train", cache=cache), COCO_IMAGES, limit=limit, cpus=8)
        assert need.fit == expected
        assert "16 GB" in need.reason
    need = predict_need(make(mode="train", cache="memory"), COCO_IMAGES, limit=limit, cpus=8)
    assert "92.2 GB of it the cache" in need.reason
    assert 0.1 * COCO_IMAGES < need.images_until_oom.expected < 0.2 * COCO_IMAGES
    assert predict_need(make(cache="memory"), COCO_IMAGES, limit=None).fit == "unknown"


@given(st.integers(1, 10**6), st.integers(0, 64 * 10**9), st.integers(1, 64))
def test_a_case_dies_exactly_where_it_may_not_fit(images, limit, cpus):
    need = predict_need(make(cache="memory"), images, limit=limit, cpus=cpus)
    at = need.images_until_oom
    assert (at is None) == (need.fit == "fits")
    assert at is None or 0 <= at.low <= at.expected <= at.high <= images
    assert peak_memory(make(cache="memory"), images, cpus=cpus) > peak_memory(make(), images, cpus=cpus)


def test_a_subset_is_predicted_for_the_whole_set_too():
    """300 of 1,399 photographs at 224 px under 1 GB: the part fits, the whole died of memory five times of five."""
    case = make(cache="memory", image_size=(224, 224), max_images=300)
    found = predict(case, images=1399, limit=10**9, cpus=2)
    assert (found.images, found.fit, found.images_until_oom) == (300, "fits", None)
    assert (found.whole_set.images, found.whole_set.fit) == (1399, "does not fit")
    assert found.whole_set.images_until_oom.expected == pytest.approx(1120, rel=0.1)
    assert found.whole_set.cache_bytes == pytest.approx(found.cache_bytes * 1399 / 300)
    whole = predict(make(cache="memory", image_size=(224, 224)), images=1399, limit=10**9, cpus=2)
    assert whole.whole_set == found.whole_set
    assert predict(case, images=None, limit=10**9).whole_set is None
    assert predict(make(), images=None, limit=10**9) is None


def test_time_grows_with_work_and_shrinks_with_help():
    idg, tfdata = make(loader="keras-idg"), make()
    assert duration_s(idg, 10_000, cpus=8) > duration_s(tfdata, 10_000, cpus=8)
    assert duration_s(tfdata, 10_000, cpus=2) > duration_s(tfdata, 10_000, cpus=8)
    assert duration_s(make(epochs=4), 10_000) > duration_s(make(epochs=2), 10_000)
    assert duration_s(make(mode="train"), 10_000) > duration_s(make(), 10_000)
    assert duration_s(make(mode="train"), 10_000, has_gpu=True) < duration_s(make(mode="train"), 10_000)
    assert duration_s(make(cache="memory", epochs=9), 10_000) < duration_s(make(epochs=9), 10_000)
    reused, fresh = make(cache="file", cache_reuse="reused"), make(cache="file")
    assert duration_s(reused, 10_000) > duration_s(fresh, 10_000)
    died = duration_s(make(cache="memory"), 10_000, limit_bytes=2 * 10**9)
    assert died < duration_s(make(cache="memory"), 10_000)


def test_the_ceiling_reads_nothing():
    ceiling, case = make(mode="train", loader="ceiling"), make(mode="train")
    assert duration_s(ceiling, 10_000) < duration_s(case, 10_000)


def test_what_a_record_keeps():
    found = predict(make(cache="memory"), images=2000, cpus=2, limit=10**9)
    assert found.cache_bytes == case_cache_bytes(make(cache="memory"), 2000)
    assert found.fit == "does not fit"
    assert 0 < found.images_until_oom.expected < 2000
    record = make_record(make(cache="memory"), 1).model_copy(update={"predictions": found})
    assert Record.model_validate_json(record.model_dump_json()).predictions == found
    free = predict(make(), images=2000)
    assert (free.cache_bytes, free.fit, free.images_until_oom) == (0, "unknown", None)


def test_what_an_earlier_version_predicted_costs_no_record():
    fields = make_record(make(), 1).model_dump(mode="json")
    for older in ({}, {"fits": True, "peak_memory_bytes": 5, "images_until_oom": None}):
        assert Record.model_validate({**fields, "predictions": older}).predictions is None


@pytest.mark.parametrize(
    ("fields", "images", "seen_mb"),
    [
        ({"loader": "keras-idg"}, 600, 350),
        ({}, 600, 302),
        ({"cache": "memory"}, 600, 831),
        (
            {"loader": "keras-idg", "mode": "train", "image_size": (128, 128), "model": ModelSetting(alpha=0.25)},
            600,
            357,
        ),
        ({"mode": "train", "image_size": (128, 128), "model": ModelSetting(alpha=0.25)}, 600, 320),
        ({"mode": "train", "image_size": (128, 128), "model": ModelSetting(alpha=0.25), "cache": "memory"}, 600, 433),
        ({"mode": "train"}, 600, 919),
    ],
)
def test_peaks_that_were_measured(fields, images, seen_mb):
    """Anonymous peaks of the payload under TensorFlow 2.21 on two CPUs, in MB."""
    assert peak_memory(make(**fields), images, cpus=2) == pytest.approx(seen_mb * 1e6, rel=0.1)


def test_where_a_memory_cache_died_that_was_measured():
    """Under 650 MB: loading at 256 px after 384 to 416 images, training at 128 px (alpha 0.25) after 1600."""
    limit = 650 * 10**6
    load = make(cache="memory", max_images=1200)
    train = make(cache="memory", mode="train", image_size=(128, 128), model=ModelSetting(alpha=0.25))
    for case, seen in ((load, 400), (train, 1600)):
        assert predict_need(case, 2000, limit=limit, cpus=2).images_until_oom.expected == pytest.approx(seen, rel=0.1)

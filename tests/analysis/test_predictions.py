"""Predictions: the article's own numbers, and what must hold whatever the constants are."""

# mypy: disable-error-code="union-attr, operator"

from __future__ import annotations

from typing import Any

import pytest
from factory import plain_record
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.durations import duration_s
from harness.analysis.predictions import judge_fit, predict, predict_need
from harness.analysis.set_size import cache_bytes, case_cache_bytes
from harness.values.case import Case, ModelSetting
from harness.values.record import Record, SetSize

COCO_IMAGES = 117_266


def make(**fields: Any) -> Case:
    fields = {"data": "coco", "loader": "tfdata", **fields}
    if fields.get("mode") == "train":
        fields.setdefault("model", ModelSetting())
    return Case(**fields)


def make_record(case: Any, seconds: Any, **fields: Any) -> Record:
    minutes, rest = divmod(seconds, 60)
    begun, ended = "2026-01-01T00:00:00+00:00", f"2026-01-01T00:{minutes:02d}:{rest:02d}+00:00"
    return plain_record(case, started_at=begun, finished_at=ended, **fields)


def test_the_dump_of_the_article() -> None:
    size = cache_bytes(COCO_IMAGES, (256, 256), is_file=True)
    assert size == pytest.approx(92.2e9, rel=0.001)
    assert cache_bytes(COCO_IMAGES, (256, 256), element="uint8") == pytest.approx(size / 4, rel=0.001)
    assert cache_bytes(COCO_IMAGES, (256, 256), element="encoded") is None


def test_a_dump_that_was_measured() -> None:
    """tf.data 2.21, 300 elements of 128 × 128 × 3 float32 and an int32 label: data file and index, in bytes."""
    assert cache_bytes(300, (128, 128), is_file=True) == pytest.approx(58_983_600 + 17_960, rel=1e-4)


@given(st.integers(0, 10**6), st.integers(1, 512), st.integers(1, 512), st.sampled_from(["float32", "uint8"]))
def test_a_cache_grows_with_images_and_pixels_and_the_label_is_nothing(
    images: Any, height: Any, width: Any, element: Any
) -> None:
    size = cache_bytes(images, (height, width), element=element)
    pixels = images * height * width * 3 * {"float32": 4, "uint8": 1}[element]
    assert 0 <= size - pixels == 4 * images
    assert cache_bytes(images + 1, (height, width), element=element) > size


def test_only_caches_have_bytes_and_a_cap_counts() -> None:
    size = SetSize(images=1000, bytes=160_000_000)
    assert case_cache_bytes(make(), size) == 0
    whole = case_cache_bytes(make(cache="memory"), size)
    assert case_cache_bytes(make(cache="memory", max_images=250), size) * 4 == whole
    assert case_cache_bytes(make(cache="memory", max_images=5000), size) == whole


def test_an_array_holds_pixels_and_a_sum_of_each_image() -> None:
    size = SetSize(images=1000, bytes=160_000_000)
    small, large = (make(cache="array", element=element, image_size=(256, 256)) for element in ("uint8", "float32"))
    assert case_cache_bytes(small, size) == 1000 * (256 * 256 * 3 + 8)
    assert case_cache_bytes(small, size) <= 0.251 * case_cache_bytes(large, size)
    assert predict_need(small, size, limit=10**9).disk_bytes == case_cache_bytes(small, size)


def test_files_that_are_kept_as_they_are_take_their_own_bytes() -> None:
    kept = make(cache="memory", element="encoded")
    assert case_cache_bytes(kept, SetSize(images=1000, bytes=160_000_000)) == 160_004_000
    assert case_cache_bytes(kept, SetSize(images=1000)) is None, "not known is not 0"
    assert predict_need(kept, SetSize(images=1000), limit=10**9).fit == "unknown"
    assert predict_need(kept, SetSize(images=1000, bytes=160_000_000), limit=4 * 10**9).fit == "fits"


def test_the_crash_of_the_article_is_predicted() -> None:
    limit, size = 16 * 10**9, SetSize(images=COCO_IMAGES)
    for cache, expected in (("none", "fits"), ("memory", "does not fit"), ("file", "fits")):
        need = predict_need(make(mode="train", cache=cache), size, limit=limit, cpus=8)
        assert need.fit == expected
        assert "16 GB" in need.reason
    need = predict_need(make(mode="train", cache="memory"), size, limit=limit, cpus=8)
    assert "92.2 GB of it the cache" in need.reason
    assert 0.1 * COCO_IMAGES < need.images_until_oom.expected < 0.2 * COCO_IMAGES
    assert predict_need(make(cache="memory"), size, limit=None).fit == "unknown"


@given(st.integers(1, 10**6), st.integers(0, 64 * 10**9), st.integers(1, 64))
def test_a_death_is_predicted_exactly_where_a_case_may_not_fit(images: Any, limit: Any, cpus: Any) -> None:
    need = predict_need(make(cache="memory"), SetSize(images=images), limit=limit, cpus=cpus)
    at = need.images_until_oom
    assert (at is None) == (need.fit == "fits")
    assert at is None or 0 <= at.low <= at.expected <= at.high <= images
    assert need.fit == judge_fit(need.peak_memory_bytes, limit)


def test_a_shuffle_buffer_takes_what_it_holds() -> None:
    size = SetSize(images=2000, bytes=2000 * 160_000)

    def cost(buffer: Any, **changes: Any) -> float:
        """Bytes that a buffer adds to the peak of a case."""
        cases = (make(loader="tfdata-tuned", shuffle_buffer=one, **changes) for one in (buffer, "auto"))
        with_it, without = (predict_need(case, size, limit=None, cpus=2).peak_memory_bytes.expected for case in cases)
        return float(with_it - without)

    pixels = 256 * 256 * 3
    assert cost("full") == cost(5000) == 0  # names of files
    assert cost(1000, epochs=1) == pytest.approx(1000 * pixels, rel=0.01)
    for epochs, times in ((1, 1), (2, 2), (9, 3)):  # an epoch's reader leaves it in its arena
        more = cost("full", cache="file", element="uint8", epochs=epochs)
        assert more == pytest.approx(times * 2000 * pixels, rel=0.01)
    assert cost("full", cache="memory") == 0
    assert cost(10, cache="file", element="encoded", epochs=1) == pytest.approx(10 * 160_000, rel=0.01)


def test_a_subset_is_predicted_for_the_whole_set_too() -> None:
    """300 of 1,399 photographs at 224 px under 1 GB: the part lived, the whole died of memory five times of five."""
    case = make(cache="memory", image_size=(224, 224), max_images=300)
    found = predict(case, SetSize(images=1399), limit=10**9, cpus=2)
    assert (found.images, found.fit, found.images_until_oom) == (300, "fits", None)
    assert (found.whole_set.images, found.whole_set.fit) == (1399, "does not fit")
    assert found.whole_set.images_until_oom.low < 1120 <= found.whole_set.images_until_oom.high
    assert found.whole_set.cache_bytes == pytest.approx(found.cache_bytes * 1399 / 300)
    whole = predict(make(cache="memory", image_size=(224, 224)), SetSize(images=1399), limit=10**9, cpus=2)
    assert whole.whole_set == found.whole_set
    assert predict(case, None, limit=10**9).whole_set is None
    assert predict(make(), None, limit=10**9) is None


def test_time_grows_with_work_and_shrinks_with_help() -> None:
    size = SetSize(images=10_000)
    idg, tfdata, train = make(loader="keras-idg"), make(), make(mode="train")
    assert duration_s(idg, size, cpus=8) > duration_s(tfdata, size, cpus=8)
    assert duration_s(tfdata, size, cpus=2) > duration_s(tfdata, size, cpus=8)
    assert duration_s(make(epochs=4), size) > duration_s(make(epochs=2), size)
    assert duration_s(train, size) > duration_s(make(), size)
    assert duration_s(train, size, has_gpu=True) < duration_s(train, size)
    assert duration_s(make(cache="memory", epochs=9), size) < duration_s(make(epochs=9), size)
    reused, fresh = make(cache="file", cache_reuse="reused"), make(cache="file")
    assert duration_s(reused, size) > duration_s(fresh, size)
    died = duration_s(make(cache="memory"), size, dies_after=2000)
    assert died < duration_s(make(cache="memory"), size)


def test_the_ceiling_reads_nothing() -> None:
    ceiling, case = make(mode="train", loader="ceiling"), make(mode="train")
    assert duration_s(ceiling, SetSize(images=10_000)) < duration_s(case, SetSize(images=10_000))


def test_what_a_record_keeps() -> None:
    found = predict(make(cache="memory"), SetSize(images=2000), cpus=2, limit=10**9)
    assert found.cache_bytes == case_cache_bytes(make(cache="memory"), SetSize(images=2000))
    assert found.fit == "does not fit"
    assert 0 < found.images_until_oom.expected < 2000
    record = make_record(make(cache="memory"), 1).model_copy(update={"predictions": found})
    assert Record.model_validate_json(record.model_dump_json()).predictions == found
    free = predict(make(), SetSize(images=2000))
    assert (free.cache_bytes, free.fit, free.images_until_oom) == (0, "unknown", None)


def test_what_an_earlier_version_predicted_costs_no_record() -> None:
    fields = make_record(make(), 1).model_dump(mode="json")
    for older in ({}, {"fits": True, "peak_memory_bytes": 5, "images_until_oom": None}):
        assert Record.model_validate({**fields, "predictions": older}).predictions is None

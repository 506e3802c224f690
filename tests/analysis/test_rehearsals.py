"""From some hundred images to the whole: memory, death, times, payback."""

from __future__ import annotations

import pytest

from harness.analysis.predictions import predict
from harness.analysis.rehearsals import predict_from, representative, setting_key
from harness.bench.rehearsal import fit_memory
from harness.values.case import Case
from harness.values.prediction import Prediction

KB, MB = 10**3, 10**6
REHEARSAL = {
    "images": 400,
    "base_bytes": 260 * MB,
    "image_bytes": 800 * KB,
    "none_first_s": 0.004,
    "none_steady_s": 0.002,
    "memory_first_s": 0.003,
    "memory_steady_s": 0.0005,
    "file_first_s": 0.005,
    "file_steady_s": 0.001,
}


def expect(limit: int | None = None, images: int = 1200, **case: object) -> Prediction:
    made = Case(data="d", loader="tfdata", **case)
    by_formula = predict(made, images=images, limit=limit)
    assert by_formula is not None
    return predict_from(made, images, limit=limit, rehearsal=REHEARSAL, by_formula=by_formula)


def test_when_a_memory_cache_dies_is_arithmetic_from_what_was_measured() -> None:
    found = expect(limit=672 * MB, cache="memory")
    assert found.images_until_oom is not None and found.images_until_oom.expected == 500  # (672 − 260 − 12) MB ÷ 0.8 MB
    assert (found.fit, found.oom_at_s) == ("does not fit", 1.5)
    assert "1.23 GB" in found.reason and "672 MB" in found.reason
    roomy = expect(limit=2000 * MB, cache="memory")
    assert (roomy.fit, roomy.images_until_oom) == ("fits", None)
    assert roomy.peak_memory_bytes is not None
    assert roomy.peak_memory_bytes.expected == 260 * MB + 1200 * 800 * KB + 12 * MB
    assert (roomy.fill_s, roomy.steady_s, roomy.basis) == (3.6, 0.6, "rehearsal")


def test_a_rehearsal_speaks_for_the_whole_set_too() -> None:
    found = expect(limit=672 * MB, cache="memory", max_images=300)
    assert (found.fit, found.images) == ("fits", 300)
    assert found.whole_set is not None and found.whole_set.images_until_oom is not None
    assert (found.whole_set.fit, found.whole_set.images_until_oom.expected) == ("does not fit", 500)


def test_a_file_cache_says_its_disk_and_when_it_has_paid() -> None:
    found = expect(cache="file", epochs=2)
    assert (found.fill_s, found.steady_s) == (6.0, 1.2)
    assert found.disk_bytes == found.cache_bytes
    assert (found.payback_epoch, found.payback_training) == (4, 2)
    reused = expect(cache="file", cache_reuse="reused")
    assert reused.fill_s == reused.steady_s


def test_a_cache_file_that_never_pays_and_one_that_was_not_rehearsed_are_two_things() -> None:
    case = Case(data="d", loader="tfdata", cache="file")
    slow = {**REHEARSAL, "file_steady_s": 2 * REHEARSAL["none_steady_s"]}
    by_formula = predict(case, images=100)
    assert by_formula is not None
    never = predict_from(case, 100, limit=None, rehearsal=slow, by_formula=by_formula)
    assert (never.payback_epoch, never.payback_training) == ("never", "never")
    gone = {name: value for name, value in REHEARSAL.items() if name != "file_steady_s"}
    unknown = predict_from(case, 100, limit=None, rehearsal=gone, by_formula=by_formula)
    assert (unknown.payback_epoch, unknown.payback_training) == (None, None)


def test_one_rehearsal_speaks_for_caches_and_limits_but_not_for_other_pixels() -> None:
    case = Case(data="d", loader="tfdata", cache="memory", memory_limit=10**9)
    for change in (
        {"cache": "file"},
        {"memory_limit": "none"},
        {"epochs": 9},
        {"max_images": 5},
        {"budgets": "default"},
    ):
        assert setting_key(case.model_copy(update=change)) == setting_key(case)
    for change in ({"image_size": (64, 64)}, {"element": "uint8"}, {"mode": "train"}, {"batch_size": 8}):
        assert setting_key(case.model_copy(update=change)) != setting_key(case)
    assert representative(case).cache == "none"


def test_memory_is_fitted_to_the_later_part_of_a_fill() -> None:
    points = [(32 * step, 300 * MB + (50 * MB if step < 4 else 0) + 32 * step * 800 * KB) for step in range(1, 13)]
    fitted = fit_memory(points)
    assert fitted is not None
    assert fitted == (pytest.approx(300 * MB, rel=0.001), pytest.approx(800 * KB, rel=0.001))
    assert fit_memory(points[:2]) is None

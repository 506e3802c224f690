"""A model of memory: its peak, and when a limit ends a case."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.arenas import count_batches, most_kept
from harness.analysis.memory import MemoryModel, model_as_rehearsed, model_by_formula
from harness.values.case import Case, ModelSetting
from harness.values.prediction import Interval
from harness.values.rehearsal import MemoryRun, Rehearsal

MB = 10**6
EACH = 224 * 224 * 3 * 4
CASE = Case(data="d", loader="tfdata", cache="memory", image_size=(224, 224))


def make_run(beside_mb: Sequence[float], images: int, start_mb: int) -> MemoryRun:
    points = []
    for batch, beside in enumerate(beside_mb, start=1):
        came = 32 * batch
        points.append((came, round(beside * MB) + EACH * min(came, images)))
    return MemoryRun(start_bytes=start_mb * MB, points=tuple(points))


def rehearsed(*beside_mb: float, images: int = 64, start_mb: int = 206) -> Rehearsal:
    """A rehearsal of passes over ``images``: what the program held beside its cache, batch by batch of 32."""
    run = make_run(beside_mb, images, start_mb)
    return Rehearsal(images=images, batches_wanted=1, first_s=0.01, steady_s=0.001, runs=(run,))


def model(*beside_mb: float, **more: int) -> MemoryModel:
    return model_as_rehearsed(CASE, EACH, rehearsed(*beside_mb, **more), cpus=2)


def test_what_the_second_epoch_holds_counts() -> None:
    """A fill of 230 to 250 MB, then 270 and 290 MB while the cache is read: the peak is in the second epoch."""
    peak = model(230, 250, 270, 290).peak(64, epochs=2)
    assert peak.expected == round((290 * MB + 64 * EACH) * 1.0025) + 10 * MB
    assert peak.low == round((0.9 * 290 * MB + 0.97 * 64 * EACH) * 1.0025) + 10 * MB
    assert peak.high == round((1.1 * 290 * MB + 1.03 * 64 * EACH) * 1.0025) + 10 * MB
    assert model(230, 250, 270, 290).peak(64, epochs=1).expected < peak.expected - 39 * MB


def test_a_peak_between_batches_stays_though_memory_is_given_back() -> None:
    assert model(230, 300, 210, 210).peak(64, epochs=2) == model(230, 300, 300, 300).peak(64, epochs=2)


def test_a_program_that_still_grew_grows_on_until_its_arenas_are_full() -> None:
    growing = model(*(226 + 20 * batch for batch in range(13)), images=416)
    assert len(growing.expected) == count_batches(2) + 1
    seen, later, last = growing.expected[13], growing.expected[26], growing.expected[-1]
    assert seen == 466 * MB
    assert later == pytest.approx(640 * MB, rel=0.03)
    assert last == pytest.approx(206 * MB + most_kept(2, 32 * EACH), rel=0.02)
    flat = model(226, 300, 300, 300, 300, 300)
    assert flat.expected[-1] == 300 * MB


def test_of_several_runs_the_mean_is_expected_and_none_is_outside() -> None:
    runs = tuple(make_run(beside, 64, 206) for beside in ([230, 260], [230, 300], [230, 340, 350]))
    found = Rehearsal(images=64, batches_wanted=2, first_s=0.01, steady_s=0.001, runs=runs)
    several = model_as_rehearsed(CASE, EACH, found, cpus=2)
    assert several.expected[:3] == (206 * MB, 230 * MB, 300 * MB)
    assert (several.low[2], several.high[2]) == (260 * MB, 340 * MB), "beyond the 10 % of 270 to 330"
    assert several.low[1] == pytest.approx(207 * MB) and several.high[1] == pytest.approx(253 * MB)


def test_batches_that_are_mapped_for_themselves_are_given_back() -> None:
    large = CASE.model_copy(update={"image_size": (512, 512)})
    run = MemoryRun(start_bytes=206 * MB, points=((32, 400 * MB), (64, 500 * MB)))
    found = Rehearsal(images=96, batches_wanted=6, first_s=1, steady_s=1, runs=(run,))
    assert model_as_rehearsed(large, 0.0, found, cpus=2).expected[-1] == 500 * MB
    assert most_kept(2, 33 * 2**20) == 0 and most_kept(2, 20 * MB) == 640 * MB


def test_a_first_epoch_dies_between_what_first_and_later_passes_held() -> None:
    """Seen at 384 px: 355 MB beside the cache while it is filled, 412 to 468 MB when it is read."""
    each = 384 * 384 * 12
    case = CASE.model_copy(update={"image_size": (384, 384)})
    beside = [355 * MB] * 4 + [412 * MB, 468 * MB]
    points = tuple((32 * n, held + each * min(32 * n, 128)) for n, held in enumerate(beside, start=1))
    run = MemoryRun(start_bytes=266 * MB, points=points)
    found = Rehearsal(images=128, batches_wanted=6, first_s=1, steady_s=1, runs=(run,))
    large = model_as_rehearsed(case, each, found, cpus=2)
    limit = round((355 * MB + 270 * each) * 1.0025) + 10 * MB
    assert large.images_until(limit, 320) == Interval(low=160, expected=224, high=288)
    first = round((355 * MB + 100 * each) * 1.0025) + 10 * MB
    assert large.images_until(first, 320).expected == 96, "within a first pass nothing is to be guessed"


def test_the_death_of_a_cache_is_arithmetic() -> None:
    """Beside it 300 MB from the first batch on, 19.27 MB of cache a batch, 10 MB outside and page tables."""
    cache = model(*([300] * 40), images=1280)
    limit = round((300 * MB + 20.5 * 32 * EACH) * 1.0025) + 10 * MB
    until = cache.images_until(limit, 5000)
    assert until.expected == 20 * 32
    assert until.low == 18 * 32 and until.high == 22 * 32
    assert cache.images_until(limit, 600).expected == 600, "the whole set comes in before that"
    assert cache.images_until(100 * MB, 5000).expected == 0
    far = cache.images_until(10**11, 10**6)
    assert far.expected == pytest.approx(10**11 / 1.0025 / EACH, rel=0.01)


@given(
    st.lists(st.floats(150, 900), min_size=1, max_size=60),
    st.integers(1, 10**6),
    st.integers(1, 9),
    st.integers(0, 10**12),
)
def test_a_model_is_consistent(beside: list[float], images: int, epochs: int, limit: int) -> None:
    found = model(*beside)
    peak, until = found.peak(images, epochs), found.images_until(limit, images)
    assert 0 < peak.low <= peak.expected <= peak.high
    assert 0 <= until.low <= until.expected <= until.high <= images
    if peak.high <= limit:
        assert until.low == images, "what fits is not ended in its first epoch"
    if until.high < images:
        assert peak.low > limit
    assert found.peak(images + 1, epochs).expected > peak.expected or images < 32


@given(st.lists(st.floats(200, 900), min_size=40, max_size=60), st.integers(1, 10**5))
def test_may_not_fit_is_said_within_a_tenth_of_what_is_needed(beside: list[float], images: int) -> None:
    """Where no batch is kept (as rehearsed to its end), the ends of an interval are within 10 % of what is expected."""
    alone = CASE.model_copy(update={"image_size": (640, 640)})
    found = model_as_rehearsed(alone, EACH, rehearsed(*beside), cpus=2).peak(images, 2)
    assert found.high <= 1.1 * found.expected + 1 and found.low >= 0.9 * found.expected - 1


@pytest.mark.parametrize(
    ("fields", "images", "seen_mb"),
    [
        ({"loader": "keras-idg", "image_size": (224, 224)}, 400, 292),
        ({"loader": "keras-idg"}, 600, 350),
        ({"image_size": (128, 128)}, 400, 252),
        ({"image_size": (224, 224)}, 400, 349),
        ({"image_size": (224, 224), "cache": "memory"}, 126, 415),
        ({"image_size": (512, 512)}, 400, 447),
        ({"image_size": (512, 512)}, 126, 540),
        ({"image_size": (512, 512), "cache": "memory"}, 126, 831),
        ({"image_size": (224, 224), "cache": "memory"}, 400, 800),
        ({"mode": "train", "image_size": (128, 128), "model": ModelSetting(alpha=0.25)}, 400, 429),
        ({"mode": "train", "image_size": (128, 128), "model": ModelSetting(alpha=0.25), "cache": "memory"}, 400, 522),
    ],
)
def test_peaks_that_were_measured_lie_within_the_formula(fields: dict[str, object], images: int, seen_mb: int) -> None:
    """Anonymous peaks of the payload under TensorFlow 2.21 on two CPUs, or limits under which it lived, in MB."""
    case = Case(**{"data": "d", "loader": "tfdata", **fields})
    each = case.image_size[0] * case.image_size[1] * 12 + 4 if case.cache == "memory" else 0
    peak = model_by_formula(case, each, cpus=2).peak(images, case.epochs)
    assert peak.low <= seen_mb * MB <= peak.high
    assert peak.high < 2.6 * peak.low

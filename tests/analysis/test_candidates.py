"""Which pipelines advice measures: what is predicted to fit, and as many as go into the time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.analysis.candidates import CANDIDATES, Room, Wish, choose_trials
from harness.bench.protocol.loader_registry import CACHES, LOADERS
from harness.values.case import Case, ModelSetting
from harness.values.names import name_pipeline
from harness.values.record import SetSize

GB = 10**9
PHOTOS = Room(
    "here", "folder", SetSize(images=2_000, bytes=44_000_000), memory=8 * GB, disk=100 * GB, cpus=2, has_gpu=False
)
WISH = Wish("photos")
HOUR = 3600.0


def names(cases: tuple[Case, ...]) -> list[str]:
    return [name_pipeline(case) for case in cases]


def test_the_table_names_what_there_is() -> None:
    for each in CANDIDATES:
        case = Case.model_validate({"data": "photos", **each.values})
        spec = LOADERS[case.loader]
        assert case.cache in spec.caches and case.cache in CACHES
        assert case.cache == "none" or case.element in CACHES[case.cache].elements


def test_with_room_and_time_all_usual_ones_and_the_best_of_ours() -> None:
    trials = choose_trials(WISH, [PHOTOS], HOUR)
    assert names(trials.cases) == [
        "keras-idg",
        "tfdata",
        "tfdata-tuned with uint8 memory cache",
        "tfdata-tuned with uint8 array cache",
        "tfdata-tuned",
        "tfdata with memory cache",
        "keras-directory",
        "tfdata with file cache",
    ]
    assert trials.lacks == ()
    assert {case.max_images for case in trials.cases} == {None}
    assert {case.page_cache for case in trials.cases} == {"cold-start"}


def test_a_float32_cache_that_does_not_fit_is_tried_last_and_said_with_what_does() -> None:
    room = replace(PHOTOS, memory=GB)
    trials = choose_trials(WISH, [room], HOUR)
    assert names(trials.cases)[-1] == "tfdata with memory cache"
    assert "tfdata-tuned with uint8 memory cache" in names(trials.cases)
    (lack,) = trials.lacks
    assert (lack.of, lack.available) == ("memory", GB)
    assert lack.needed > GB > (lack.instead_needed or 0)
    assert lack.instead is not None and lack.instead.element == "uint8"
    assert lack.cache_bytes == 2_000 * (224 * 224 * 3 * 4 + 4)


def test_of_ours_nothing_is_tried_that_does_not_fit() -> None:
    room = replace(PHOTOS, size=SetSize(images=100_000, bytes=16 * GB), memory=4 * GB, disk=GB)
    trials = choose_trials(WISH, [room], 600)
    assert "memory" not in {case.cache for case in trials.cases}
    assert "file" not in {case.cache for case in trials.cases}
    found = {name_pipeline(lack.case): lack.of for lack in trials.lacks}
    assert found["tfdata-tuned with uint8 memory cache"] == "memory"
    assert found["tfdata-tuned with uint8 file cache"] == "disk"


def test_a_large_set_is_measured_in_part_and_from_storage() -> None:
    room = replace(PHOTOS, size=SetSize(images=118_000, bytes=19 * GB), memory=16 * GB)
    trials = choose_trials(WISH, [room], 600)
    (part,) = {case.max_images for case in trials.cases}
    assert part is not None and 500 <= part < 118_000
    assert {case.page_cache for case in trials.cases} == {"cold"}
    assert trials.seconds < 1_200


def test_files_that_stay_in_memory_anyway_are_measured_so() -> None:
    room = replace(PHOTOS, size=SetSize(images=118_000, bytes=2 * GB), memory=16 * GB)
    assert {case.page_cache for case in choose_trials(WISH, [room], 300).cases} == {"cold-start"}


@pytest.mark.parametrize("time_s", [1, 60, 300, 1200])
def test_there_is_always_a_baseline_and_something_of_ours(time_s: float) -> None:
    cases = choose_trials(WISH, [PHOTOS], time_s).cases
    assert cases[0].loader == "keras-idg"
    assert any(case.loader == "tfdata-tuned" for case in cases)


def test_training_is_measured_beside_loading_with_fewer_pipelines() -> None:
    trials = choose_trials(replace(WISH, model=ModelSetting(alpha=0.25)), [PHOTOS], HOUR)
    trained = tuple(case for case in trials.cases if case.mode == "train")
    assert names(trained) == ["keras-idg", "tfdata", "tfdata-tuned with uint8 memory cache", "tfdata-tuned"]
    assert len(trained) < len(trials.cases) - len(trained)


def test_what_reads_records_is_tried_on_records() -> None:
    room = replace(PHOTOS, kind="tfrecord")
    cases = choose_trials(WISH, [room], HOUR).cases
    assert cases[0] == Case(data="photos", loader="tfdata", image_size=(224, 224))
    assert {case.loader for case in cases} == {"tfdata", "tfdata-tuned"}


def test_a_set_of_unknown_size_is_measured_in_part() -> None:
    cases = choose_trials(WISH, [replace(PHOTOS, size=None)], 600).cases
    assert {case.max_images for case in cases} != {None}


def test_what_fits_one_host_of_two_is_tried() -> None:
    small = replace(PHOTOS, host="small", memory=GB)
    trials = choose_trials(WISH, [small, PHOTOS], HOUR)
    assert "tfdata with memory cache" in names(trials.cases)
    assert trials.lacks == ()


def test_nothing_is_measured_where_nothing_fits() -> None:
    trials = choose_trials(WISH, [replace(PHOTOS, memory=60_000_000)], 600)
    assert trials.cases == ()
    assert {name_pipeline(lack.case) for lack in trials.lacks} >= {"keras-idg", "tfdata", "tfdata-tuned"}

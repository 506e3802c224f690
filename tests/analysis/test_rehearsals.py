"""What is rehearsed, and what follows from it for a case and for its whole set."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from harness.analysis.predictions import predict
from harness.analysis.rehearsals import batches_to_rehearse, images_to_rehearse, representative, setting_key
from harness.values.case import Case, ModelSetting
from harness.values.prediction import Prediction
from harness.values.record import SetSize
from harness.values.rehearsal import MemoryRun, Rehearsal

MB = 10**6
EACH = 256 * 256 * 3 * 4 + 4
RUN = MemoryRun(
    start_bytes=206 * MB,
    points=tuple((32 * batch, 300 * MB + EACH * min(32 * batch, 400)) for batch in range(1, 40)),
)
FLAT = Rehearsal(images=400, batches_wanted=39, first_s=0.003, steady_s=0.0005, runs=(RUN,))
UNCACHED = MemoryRun(start_bytes=206 * MB, points=((400, 300 * MB), (800, 300 * MB)))
PLAIN = FLAT.model_copy(update={"runs": (UNCACHED,), "first_s": 0.004, "steady_s": 0.002})
FILE = PLAIN.model_copy(update={"first_s": 0.005, "steady_s": 0.001, "cache_bytes": 400 * 12345})


def make(**fields: object) -> Case:
    return Case(**{"data": "d", "loader": "tfdata", **fields})


def expect(rehearsal: Rehearsal, limit: int | None = None, images: int = 1200, **fields: object) -> Prediction:
    case = make(**fields)
    rehearsals = {setting_key(make()): PLAIN, setting_key(case): rehearsal}
    found = predict(case, SetSize(images=images, bytes=images * 160_000), limit=limit, rehearsals=rehearsals)
    assert found is not None
    return found


def test_when_a_memory_cache_dies_is_arithmetic_from_what_was_measured() -> None:
    found = expect(FLAT, limit=712 * MB, cache="memory")
    assert found.images_until_oom is not None
    assert found.images_until_oom.expected == 480  # (712 − 10) MB ÷ 1.0025 − 300 MB, in images of 786 kB: 508
    assert (found.fit, found.oom_at_s) == ("does not fit", 1.4)
    assert "1.26 GB" in found.reason and "712 MB" in found.reason
    roomy = expect(FLAT, limit=2000 * MB, cache="memory")
    assert (roomy.fit, roomy.images_until_oom) == ("fits", None)
    assert (roomy.fill_s, roomy.steady_s, roomy.basis, roomy.rehearsed_images) == (3.6, 0.6, "rehearsal", 400)
    tight = expect(FLAT, limit=1250 * MB, cache="memory")
    assert tight.fit == "may not fit"


def test_a_rehearsal_speaks_for_the_whole_set_too() -> None:
    found = expect(FLAT, limit=712 * MB, cache="memory", max_images=300)
    assert (found.fit, found.images) == ("fits", 300)
    assert found.whole_set is not None and found.whole_set.images_until_oom is not None
    assert (found.whole_set.fit, found.whole_set.images_until_oom.expected) == ("does not fit", 480)


def test_a_file_cache_says_its_disk_and_when_it_has_paid() -> None:
    found = expect(FILE, cache="file", epochs=2)
    assert (found.fill_s, found.steady_s) == (6.0, 1.2)
    assert found.disk_bytes == found.cache_bytes == 1200 * (EACH + 60)
    assert (found.payback_epoch, found.payback_training) == (4, 2)
    reused = expect(FILE, cache="file", cache_reuse="reused")
    assert reused.fill_s == reused.steady_s


def test_a_cache_file_that_never_pays_and_one_that_was_not_rehearsed_are_two_things() -> None:
    never = expect(FILE.model_copy(update={"steady_s": 0.004}), cache="file")
    assert (never.payback_epoch, never.payback_training) == ("never", "never")
    unknown = predict(make(cache="file"), SetSize(images=1200, bytes=None))
    assert unknown is not None and (unknown.payback_epoch, unknown.payback_training) == (None, None)


def test_what_no_formula_knows_is_told_by_a_rehearsal() -> None:
    """JPEGs that are made smaller: how large they are, their content decides."""
    kept: dict[str, Any] = {"cache": "tfrecord-resized", "element": "encoded"}
    by_formula = predict(make(**kept), SetSize(images=1200, bytes=1200 * 160_000))
    assert by_formula is not None and by_formula.disk_bytes is None
    assert expect(FILE, **kept).disk_bytes == 1200 * 12345


def test_one_rehearsal_speaks_for_limits_and_parts_of_a_set_but_not_for_other_work() -> None:
    case = make(cache="memory", memory_limit=10**9)
    same: tuple[dict[str, Any], ...] = (
        {"memory_limit": "none"},
        {"epochs": 9},
        {"max_images": 5},
        {"page_cache": "cold"},
    )
    for change in same:
        assert setting_key(case.model_copy(update=change)) == setting_key(case)
    others: tuple[dict[str, Any], ...] = (
        {"cache": "file"}, {"image_size": (64, 64)}, {"element": "uint8"}, {"mode": "train"}, {"batch_size": 8},
        {"budgets": "default"}, {"loader": "tfdata-tuned"},
    )  # fmt: skip
    for change in others:
        assert setting_key(case.model_copy(update=change)) != setting_key(case)
    stand_in = representative(case.model_copy(update={"max_images": 5}))
    assert (stand_in.cache, stand_in.max_images, stand_in.memory_limit) == ("memory", None, "none")


def test_a_small_set_is_rehearsed_whole_and_a_slow_model_on_fewer_images() -> None:
    def count(case: Case, images: int, memory: int = 10**11) -> int:
        return images_to_rehearse(case, SetSize(images=images), cpus=2, has_gpu=False, memory_bytes=memory)

    assert [count(make(), images) for images in (7, 128, 400, 401, 117_266)] == [7, 128, 400, 400, 400]
    slow = make(mode="train", model=ModelSetting(trainable=True), image_size=(512, 512))
    assert count(slow, 10_000) == 4 * 32
    assert count(make(batch_size=512), 10_000) == 4 * 512
    assert count(make(cache="memory", image_size=(512, 512)), 10_000, memory=10**9) == 10**9 // 3 // (
        512 * 512 * 12 + 4
    )


def test_passes_go_on_for_as_many_batches_as_a_case_delivers_until_no_more_is_kept() -> None:
    size = SetSize(images=126)
    assert batches_to_rehearse([make(epochs=2)], size, cpus=2) == 8
    assert batches_to_rehearse([make(epochs=2), make(epochs=9, max_images=5)], size, cpus=2) == 36
    assert batches_to_rehearse([make(epochs=2)], SetSize(images=117_266), cpus=2) == 256
    assert batches_to_rehearse([make(epochs=2)], SetSize(images=117_266), cpus=64) == 1024


def test_what_a_host_says_of_a_rehearsal_is_bounded() -> None:
    good = FLAT.model_dump(mode="json")
    assert Rehearsal.model_validate(good) == FLAT
    change: Any
    for change in (
        {"runs": []},
        {"runs": [{"start_bytes": 1, "points": []}]},
        {"runs": [{"start_bytes": 1, "points": [[64, 1], [32, 1]]}]},
        {"runs": [{"start_bytes": 1, "points": [[32, -1]]}]},
        {"runs": [{"start_bytes": 2**60, "points": [[32, 1]]}]},
        {"first_s": float("nan")},
        {"images": 0},
        {"more": 1},
    ):
        with pytest.raises(ValidationError):
            Rehearsal.model_validate({**good, **change})

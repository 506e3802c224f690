"""What a case on part of a set comes to on the whole set: memory, disk, and whether its rate may be given there."""

from __future__ import annotations

from typing import Any

import pytest
from factory import plain_record

from harness.analysis.advice import Choice, advise
from harness.analysis.coverage import Coverage, cover
from harness.analysis.matrix import build_matrix
from harness.analysis.payback import PaybackUnknown
from harness.analysis.whole_set import Outlook, judge_record, look_ahead
from harness.values.case import Case
from harness.values.prediction import Interval, Prediction
from harness.values.record import CacheUse, Epoch, Memory, Record, SetSize

KB, MB, GB = 10**3, 10**6, 10**9
FILE = 165 * KB
"""Bytes of a photo."""
PART, WHOLE = 300, 1399
PIXELS = 224 * 224 * 3 * 4
BASE = 320 * MB


def make(
    loader: str = "tfdata",
    cache: str = "none",
    *,
    images: int = PART,
    whole: int | None = WHOLE,
    limit: int = GB,
    served: float | None = 1.0,
    rate: float = 100.0,
    number: int = 1,
    status: str = "ok",
    **case: Any,
) -> Record:
    """A record of one case; ``served``: the share of its later epochs' files that came from memory; None: uncounted."""
    asked = {"max_images": None if images == whole else images, "memory_limit": limit, "epochs": 3, **case}
    made = Case(data="d", loader=loader, cache=cache, image_size=(224, 224), **asked)
    pixels = images * (PIXELS // (1 if made.element == "float32" else 4) + 4)
    later = {"none": images * FILE, "memory": 0}.get(cache, pixels)
    epochs = [
        Epoch(index=1, images=images, seconds=images / rate, bytes_read=images * FILE, bytes_needed=images * FILE)
    ]
    for index in (2, 3):
        read = None if served is None else round(later * (1 - served))
        epochs.append(Epoch(index=index, images=images, seconds=images / rate, bytes_read=read, bytes_needed=later))
    peak = BASE + (pixels if cache == "memory" else 0)
    kept = CacheUse(
        kind=cache, element=made.element, bytes=None if cache == "memory" else pixels, predicted_bytes=pixels
    )
    return plain_record(
        made,
        invocation=f"{made.case_id}{number}",
        round=number,
        status=status,
        epochs=tuple(epochs) if status == "ok" else (),
        set_size=None if whole is None else SetSize(images=whole, bytes=whole * FILE),
        memory=Memory(limit_asked=limit, limit_effective=limit, peak_anon=peak),
        cache=None if cache == "none" else kept,
    )


def rounds(*names: str, **changes: Any) -> list[Record]:
    rate = float(changes.pop("rate", 100.0))
    return [make(*names, number=n, rate=rate * (1 + n / 500), **changes) for n in (1, 2, 3)]


def outlook(*names: str, **changes: Any) -> Outlook:
    found = judge_record(make(*names, **changes))
    assert found is not None
    return found


def choose(records: list[Record], **of: object) -> Choice:
    (group,) = build_matrix(records)
    (span,) = advise(next(s for s in group.settings if all(getattr(s.case, k) == v for k, v in of.items()))).spans
    return span.choice


def named(choice: Choice) -> tuple[str, str] | None:
    return None if choice.row is None else (choice.row.summary.case.loader, choice.row.summary.case.cache)


def test_a_memory_cache_on_part_of_a_set_dies_on_the_whole_set() -> None:
    """The case of the issue: 300 of 1,399 photos at 224 px under 1 GB; on all of them it died after 1,120 images."""
    found = outlook("tfdata", "memory")
    assert (found.fit, found.lacks, found.is_measured) == ("does not fit", "memory", False)
    assert found.held is not None and 1000 < found.held <= 1120
    assert found.memory is not None and found.memory.low > GB
    assert found.cache_bytes == WHOLE * (PIXELS + 4)
    assert not found.holds


def test_a_memory_cache_under_a_limit_that_holds_the_whole_set_is_advised() -> None:
    assert outlook("tfdata", "memory", limit=2 * GB).fit == "fits"
    records = rounds("keras-idg", rate=30, limit=2 * GB) + rounds("tfdata", "memory", rate=260, limit=2 * GB)
    choice = choose(records)
    assert (choice.kind, named(choice)) == ("winner", ("tfdata", "memory")) and choice.aside == ()


def test_between_the_two_it_may_not_fit() -> None:
    need = outlook("tfdata", "memory", limit=4 * GB).memory
    assert need is not None and need.low < need.expected < need.high
    between = outlook("tfdata", "memory", limit=need.expected)
    assert between.fit == "may not fit" and not between.holds


def test_advice_is_for_the_whole_set_and_says_what_does_not_hold_there() -> None:
    records = rounds("keras-idg", rate=30) + rounds("tfdata", rate=90) + rounds("tfdata", "memory", rate=257)
    choice = choose(records)
    assert (choice.kind, named(choice)) == ("winner", ("tfdata", "none"))
    assert [row.summary.case.cache for row in choice.aside] == ["memory"]


def test_what_was_measured_on_the_whole_set_outweighs_a_prediction() -> None:
    part = rounds("keras-idg", rate=30) + rounds("tfdata", "memory", rate=257)
    lives = choose(part + rounds("tfdata", "memory", rate=250, images=WHOLE), max_images=PART)
    assert named(lives) == ("tfdata", "memory") and lives.row is not None and lives.row.outlook is not None
    assert lives.row.outlook.is_measured
    dead = rounds("tfdata", "memory", images=WHOLE, limit=2 * GB, status="oom")
    died = [r.model_copy(update={"evidence": {"last_epoch": 1, "last_images": 1120}}) for r in dead]
    roomy = rounds("keras-idg", rate=30, limit=2 * GB) + rounds("tfdata", "memory", rate=257, limit=2 * GB)
    choice = choose(roomy + died, max_images=PART)
    (row,) = choice.aside
    assert row.outlook is not None and (row.outlook.fit, row.outlook.held) == ("does not fit", 1120)


SMALL = BASE + 150 * MB
"""A limit that leaves 150 MB for files: 300 photos are 49.5 MB, all of them 231 MB."""


def test_no_cache_part_in_memory_whole_set_above_the_limit() -> None:
    found = outlook(limit=SMALL)
    assert found.fit == "fits" and found.withdrawal is not None and not found.withdrawal.is_cache
    assert found.withdrawal.set_bytes == WHOLE * FILE
    assert found.withdrawal.room_bytes == pytest.approx(150 * MB, rel=0.1)
    choice = choose(rounds("keras-idg", rate=30, limit=SMALL) + rounds("tfdata", rate=90, limit=SMALL))
    assert choice.kind == "set-aside" and len(choice.aside) == 2 and choice.row is None


def test_no_cache_part_read_from_storage_may_be_given_for_the_whole_set() -> None:
    assert outlook(limit=SMALL, served=0.0, page_cache="cold").withdrawal is None
    assert outlook(limit=SMALL, served=0.0).withdrawal is None  # whatever was asked: this is what was read
    assert outlook(limit=SMALL, served=1.0, page_cache="cold").withdrawal is not None
    cold = {"limit": SMALL, "served": 0.0, "page_cache": "cold"}
    choice = choose(rounds("keras-idg", rate=30, **cold) + rounds("tfdata", rate=90, **cold))
    assert (choice.kind, named(choice)) == ("winner", ("tfdata", "none"))


def test_no_cache_whole_set_above_the_limit_enforces_itself() -> None:
    """Page cache counts against the limit: what was measured is what such a machine does."""
    assert outlook(images=WHOLE, limit=SMALL, served=0.0).withdrawal is None
    assert outlook(images=WHOLE, limit=SMALL, served=0.6).withdrawal is None  # 150 of 231 MB may stay
    assert outlook(images=WHOLE, limit=SMALL, served=None).withdrawal is None
    elsewhere = outlook(images=WHOLE, limit=SMALL, served=1.0)  # something outside the limit keeps its files
    assert elsewhere.withdrawal is not None and elsewhere.fit == "fits"


def test_a_cache_file_of_a_part_in_memory_is_no_rate_of_the_whole_file() -> None:
    """All 1,399 images are a file of 842 MB; that of 300 is 181 MB and stays in what 600 MB leave."""
    found = outlook("tfdata", "file", limit=600 * MB)
    assert found.withdrawal is not None and found.withdrawal.is_cache
    assert found.withdrawal.set_bytes == WHOLE * (PIXELS + 4)
    assert outlook("tfdata", "file", limit=600 * MB, served=0.0).withdrawal is None
    assert outlook("tfdata", "file", limit=2 * GB).withdrawal is None


def test_a_cache_file_of_a_whole_set_above_the_limit_is_read_from_disk_and_given() -> None:
    assert outlook("tfdata", "file", images=WHOLE, limit=600 * MB, served=0.1).withdrawal is None
    assert outlook("tfdata", "file", images=WHOLE, limit=600 * MB, served=1.0).withdrawal is not None


def test_a_memory_cache_of_a_whole_set_has_its_own_end() -> None:
    assert outlook("tfdata", "memory", images=WHOLE, limit=2 * GB).is_measured
    dead = judge_record(make("tfdata", "memory", images=WHOLE, status="oom"))
    assert dead is not None and (dead.fit, dead.is_measured) == ("does not fit", True)


def test_the_first_epoch_of_a_cold_start_is_from_storage() -> None:
    assert look_ahead([make(limit=SMALL)], "first") is not None
    found = look_ahead([make(limit=SMALL)], "first")
    assert found is not None and found.withdrawal is None


def test_reads_that_were_not_counted_prove_nothing_of_a_part() -> None:
    found = outlook(limit=SMALL, served=None)
    assert found.withdrawal is not None and not found.withdrawal.is_counted
    assert outlook(limit=SMALL, served=None, page_cache="cold").withdrawal is None
    assert outlook(limit=2 * GB, served=None).withdrawal is None  # the whole set fits, too


def test_a_set_of_unknown_size_is_said_to_be_one() -> None:
    record = make("tfdata", "memory", whole=None)
    assert cover(record) == Coverage(PART, None)
    found = judge_record(record)
    assert found is not None and found.fit == "unknown" and found.is_part
    assert found.held is not None and 1000 < found.held <= 1120
    more = make(whole=None, images=PART, max_images=5000)
    assert cover(more) == Coverage(PART, PART)  # it asked for more and got all there were


def test_a_cap_above_the_set_is_the_whole_set() -> None:
    record = make(images=WHOLE, max_images=5000)
    assert cover(record) == Coverage(WHOLE, WHOLE)
    found = judge_record(record)
    assert found is not None and not found.is_part and found.is_measured


def test_a_cache_that_does_not_find_room_on_its_disk() -> None:
    def on_disk(free: int) -> Outlook:
        record = make("tfdata", "file", limit=8 * GB).model_copy(update={"io": {"disk": {"free_bytes_min": free}}})
        found = judge_record(record)
        assert found is not None
        return found

    assert (on_disk(600 * MB).fit, on_disk(600 * MB).lacks) == ("does not fit", "disk")
    assert on_disk(2 * GB).fit == "may not fit"  # it would eat the reserve
    assert on_disk(50 * GB).fit == "fits"


def test_payback_against_a_rate_that_does_not_hold_is_not_known() -> None:
    records = rounds("keras-idg", rate=30, limit=SMALL) + rounds("tfdata", rate=90, limit=SMALL)
    records += rounds("tfdata", "memory", rate=200, limit=SMALL, images=100)
    (group,) = build_matrix([r.model_copy(update={"case": r.case}) for r in records])
    setting = next(s for s in group.settings if s.case.max_images == PART)
    assert all(row.payback is None for row in setting.rows)
    more = rounds("tfdata", "file", rate=200, limit=SMALL, served=0.0)
    (group,) = build_matrix([*records, *more])
    setting = next(s for s in group.settings if s.case.max_images == PART)
    (row,) = [row for row in setting.rows if row.summary.case.cache == "file"]
    assert isinstance(row.payback, PaybackUnknown) and "in memory" in row.payback.reason


def rehearsed(part: tuple[int, int, int], whole: tuple[int, int, int]) -> Prediction:
    """A prediction of part and whole set from a rehearsal; least, expected and most in MB."""

    def need(images: int, megabytes: tuple[int, int, int]) -> dict[str, object]:
        low, expected, high = (size * MB for size in megabytes)
        peak = Interval(low=low, expected=expected, high=high)
        return {"images": images, "cache_bytes": 0, "disk_bytes": 0, "peak_memory_bytes": peak, "fit": "fits",
                "reason": "x"}  # fmt: skip

    made = {**need(PART, part), "whole_set": need(WHOLE, whole), "basis": "rehearsal", "duration_s": 1.0}
    return Prediction.model_validate(made)


@pytest.mark.parametrize(
    ("peak", "low", "expected", "high"),
    [
        (700, 1400, 1500, 1600),  # as predicted
        (600, 1350, 1450, 1550),  # 50 MB less than the least of the part: so much less of the whole
        (900, 1400, 1500, 1760),  # more than the most: perhaps batches ahead, perhaps the program's own
    ],
)
def test_a_rehearsal_is_corrected_by_the_peak_that_was_measured(peak: int, low: int, expected: int, high: int) -> None:
    prediction = rehearsed((650, 700, 750), (1400, 1500, 1600))
    record = make("tfdata", "memory", limit=4 * GB).model_copy(update={"predictions": prediction})
    memory = record.memory.model_copy(update={"peak_anon": peak * MB})
    found = judge_record(record.model_copy(update={"memory": memory}))
    assert found is not None and found.memory is not None
    assert found.memory == Interval(low=low * MB, expected=expected * MB, high=high * MB)


def test_an_uncached_program_that_grows_with_its_batches_may_not_fit() -> None:
    prediction = rehearsed((400, 450, 500), (600, 660, 720))
    record = make(limit=650 * MB).model_copy(update={"predictions": prediction})
    found = judge_record(record.model_copy(update={"memory": Memory(limit_effective=650 * MB, peak_anon=450 * MB)}))
    assert found is not None and (found.fit, found.lacks, found.held) == ("may not fit", "memory", None)


def test_the_peak_that_was_measured_corrects_the_formula() -> None:
    """A program that needs more than the formula says leaves less for its cache."""
    record = make("tfdata", "memory")
    hungry = record.model_copy(update={"memory": record.memory.model_copy(update={"peak_anon": 700 * MB})})
    plain, found = judge_record(record), judge_record(hungry)
    assert plain is not None and found is not None and plain.held is not None and found.held is not None
    assert found.held < plain.held - 200
    assert plain.memory is not None and found.memory is not None
    assert found.memory.expected - plain.memory.expected == 700 * MB - (record.memory.peak_anon or 0)


def test_without_a_limit_of_its_own_the_limit_is_what_the_machine_can_give() -> None:
    """``none`` is enforced as what is available: page cache and caches have no more room than that."""
    assert outlook(limit=SMALL, memory_limit="none").withdrawal is not None
    assert outlook(limit=GB, memory_limit="none").withdrawal is None
    assert outlook("tfdata", "memory", limit=GB, memory_limit="none").fit == "does not fit"

"""What is advised, for every shape that verdicts can have."""

from __future__ import annotations

from typing import Any

import pytest
from factory import plain_record

from harness.analysis.advice import advise
from harness.analysis.matrix import build_matrix
from harness.analysis.payback import PaybackUnknown, PaysFrom
from harness.analysis.stopping import judge_standing
from harness.values.case import Case, ModelSetting
from harness.values.record import Epoch, Record

GB = 10**9
PROFILE = (1.0, 1.01, 0.99)


def make(
    loader: str = "tfdata",
    cache: str = "none",
    *,
    rate: float = 100.0,
    first: Any = None,
    per_cpu: float = 50.0,
    number: int = 1,
    host: str = "h",
    status: str = "ok",
    **case: Any,
) -> Record:
    case = {"data": "d", "mode": "train", "model": ModelSetting(), "epochs": 2, "memory_limit": GB, **case}
    if case["mode"] == "load":
        case["model"] = None
    found = Case(loader=loader, cache=cache, **case)
    rates = [first or rate, *[rate] * (found.epochs - 1)]
    epochs = tuple(
        Epoch(index=i, images=1000, seconds=1000 / r, cpu_s=1000 / per_cpu) for i, r in enumerate(rates, start=1)
    )
    identity, epochs = f"{found.case_id}{number}{host}", epochs if status == "ok" else ()
    return plain_record(found, invocation=identity, host=host, round=number, status=status, epochs=epochs)


def rounds(*args: Any, count: int = 3, rate: float = 100.0, noise: Any = PROFILE, **changes: Any) -> list[Any]:
    return [make(*args, number=n, rate=rate * noise[(n - 1) % len(noise)], **changes) for n in range(1, count + 1)]


def advice_of(records: Any, baseline: Any = None) -> Any:
    (group,) = build_matrix(records, baseline)
    return advise(group.settings[0])


def only(records: Any, baseline: Any = None) -> Any:
    (span,) = advice_of(records, baseline).spans
    return span.choice


def name(choice: Any) -> Any:
    case = choice.row.summary.case
    return case.loader, case.cache


def test_a_faster_pipeline_wins() -> None:
    choice = only(rounds("keras-idg", rate=30) + rounds(rate=90))
    assert (choice.kind, name(choice)) == ("winner", ("tfdata", "none"))
    assert choice.found.ratio.value == pytest.approx(3.0) and choice.found.ratio.low > 1.05


def test_memory_decides_where_one_cache_dies_below_and_wins_above() -> None:
    records = []
    for limit in (GB, 2 * GB, 6 * GB, "none"):
        at: dict[str, Any] = {"memory_limit": limit}
        records += rounds("keras-idg", rate=30, **at) + rounds("tfdata", "file", rate=90, **at)
        if limit in (GB, 2 * GB):
            records += rounds("tfdata", "memory", status="oom", **at)
        else:
            records += rounds("tfdata", "memory", rate=140, **at)
    spans = advice_of(records).spans
    assert [span.limits for span in spans] == [(GB, 2 * GB), (6 * GB, "none")]
    assert [name(span.choice) for span in spans] == [("tfdata", "file"), ("tfdata", "memory")]
    assert [row.summary.case.cache for row in spans[0].choice.dead] == ["memory"]


def test_of_alike_limits_the_most_cautious_ratio_is_said() -> None:
    records = rounds("keras-idg", rate=30) + rounds(rate=120)
    records += rounds("keras-idg", rate=30, memory_limit=2 * GB) + rounds(rate=60, memory_limit=2 * GB)
    (span,) = advice_of(records).spans
    assert span.limits == (GB, 2 * GB)
    assert span.choice.limit == 2 * GB and span.choice.found.ratio.value == pytest.approx(2.0)


def test_of_surely_alike_ones_the_cheapest_is_chosen() -> None:
    records = rounds("keras-idg", rate=30) + rounds("tfdata", "file", rate=101) + rounds("tfdata", "memory", rate=100)
    assert name(only(records)) == ("tfdata", "memory")
    records += rounds("keras-directory", rate=99)
    assert name(only(records)) == ("keras-directory", "none")


def test_what_is_not_told_apart_is_named_but_not_preferred() -> None:
    wide = (1.0, 1.3, 0.75)
    records = rounds("keras-idg", rate=10) + rounds(rate=99, noise=wide)
    records += rounds("tfdata", "memory", rate=100, noise=(1.0, 0.8, 1.25))
    choice = only(records)
    assert choice.kind == "winner" and name(choice) == ("tfdata", "memory")
    assert [row.summary.case.cache for row in choice.level] == ["none"]


def test_a_cache_pays_in_an_epoch_and_in_a_training() -> None:
    at = {"epochs": 2}
    records = rounds("keras-idg", rate=30, **at) + rounds(rate=1 / 23, first=1 / 23, **at)
    records = rounds("keras-idg", rate=10, **at) + rounds(rate=1000 / 23, **at)
    records += rounds("tfdata", "file", rate=1000 / 14, first=1000 / 42, noise=(1.0,), **at)
    choice = only(records)
    assert name(choice) == ("tfdata", "file")
    assert choice.row.payback == PaysFrom(4)
    assert choice.row.payback.training(2) == 2


def test_without_an_uncached_row_of_the_same_loader_payback_is_not_known() -> None:
    choice = only(rounds("keras-idg", rate=10) + rounds("tfdata", "memory", rate=125))
    assert choice.row.payback == PaybackUnknown("tfdata was not measured without a cache")


def test_a_gain_of_threads_is_called_that() -> None:
    choice = only(rounds("keras-idg", rate=30, per_cpu=350) + rounds(rate=90, per_cpu=350))
    assert choice.gain == "cores"
    choice = only(rounds("keras-idg", rate=30, per_cpu=100) + rounds(rate=90, per_cpu=300))
    assert choice.gain == "cheaper"


def test_of_a_cached_gain_the_part_of_threads_is_told() -> None:
    records = rounds("keras-idg", rate=30, per_cpu=350) + rounds(rate=75, per_cpu=350)
    records += rounds("tfdata", "file", rate=130, per_cpu=900)
    choice = only(records)
    assert choice.gain == "cores-and-cache" and choice.plain.summary.case.cache == "none"


def test_the_yardstick_is_no_pipeline_to_use() -> None:
    records = rounds("keras-idg", rate=30) + rounds(rate=90) + rounds("decoder", rate=300)
    choice = only(records)
    assert (choice.kind, name(choice)) == ("winner", ("tfdata", "none"))
    assert all(row.summary.case.loader != "decoder" for row in choice.rows)


def test_without_a_pipeline_beside_the_yardstick_nothing_is_advised() -> None:
    choice = only(rounds("decoder", rate=300))
    assert (choice.kind, choice.row) == ("unmeasured", None)


def test_a_baseline_that_is_the_yardstick_is_not_advised() -> None:
    choice = only(rounds("decoder", rate=300) + rounds(rate=90), {"loader": "decoder"})
    assert (choice.kind, name(choice)) == ("survivor", ("tfdata", "none"))


def test_no_winner_among_model_bound_cases() -> None:
    records = rounds("keras-idg", rate=60) + rounds(rate=61) + rounds("ceiling", rate=61)
    choice = only(records)
    assert choice.kind == "bound" and choice.row is None
    assert len(choice.level) == 2


def test_no_winner_among_model_bound_cases_that_were_measured_in_different_rounds() -> None:
    records = rounds("keras-idg", rate=60)[:1] + rounds(rate=61)[1:2] + rounds("ceiling", rate=61)[2:]
    choice = only(records)
    assert choice.kind == "bound" and len(choice.level) == 2


def test_results_of_different_rounds_are_no_verdict_and_not_no_result() -> None:
    choice = only(rounds("keras-idg", rate=60)[:1] + rounds(rate=90)[1:2])
    assert choice.kind == "unpaired"


def test_at_the_ceiling_the_cheapest_is_as_good() -> None:
    records = rounds("keras-idg", rate=20) + rounds(rate=59) + rounds("tfdata", "file", rate=61)
    records += rounds("ceiling", rate=61)
    choice = only(records)
    assert (choice.kind, name(choice)) == ("winner", ("tfdata", "none"))


def test_one_round_names_a_leader_and_no_winner() -> None:
    choice = only(rounds("keras-idg", rate=30, count=1) + rounds(rate=90, count=1))
    assert (choice.kind, name(choice)) == ("few", ("tfdata", "none"))


def test_rounds_that_disagree_stay_open() -> None:
    choice = only(rounds("keras-idg", rate=50) + rounds(rate=70, noise=(1.0, 0.6, 1.7)))
    assert choice.kind == "open" and choice.found.verdict.more_rounds


def test_nothing_within_five_per_cent_is_the_same() -> None:
    assert only(rounds("keras-idg", rate=100) + rounds(rate=101)).kind == "same"


def test_a_baseline_that_nothing_beats() -> None:
    choice = only(rounds("keras-idg", rate=100) + rounds(rate=50))
    assert (choice.kind, name(choice)) == ("baseline", ("keras-idg", "none"))


def test_only_the_baseline_lives() -> None:
    choice = only(rounds("keras-idg", rate=100) + rounds("tfdata", "memory", status="oom"))
    assert choice.kind == "alone" and len(choice.dead) == 1


def test_a_dead_baseline_leaves_a_survivor_without_a_ratio() -> None:
    choice = only(rounds("keras-idg", status="oom") + rounds(rate=90) + rounds("tfdata", "file", rate=140))
    assert (choice.kind, name(choice)) == ("survivor", ("tfdata", "file"))
    assert choice.found is None and choice.baseline.summary.statuses == {"oom": 3}


def test_a_baseline_that_was_not_measured_leaves_a_survivor_too() -> None:
    choice = only(rounds(rate=90) + rounds("tfdata", "file", rate=140))
    assert choice.kind == "survivor" and choice.baseline is None


def test_all_out_of_memory() -> None:
    choice = only(rounds("keras-idg", status="oom") + rounds(status="oom"))
    assert choice.kind == "dead" and len(choice.dead) == 2 and choice.row is None


@pytest.mark.parametrize("status", ["skipped", "error", "timeout", "lost", "disk_full"])
def test_nothing_ended_well_for_other_reasons(status: str) -> None:
    assert only(rounds("keras-idg", status=status) + rounds(status="oom")).kind == "unmeasured"


@pytest.mark.parametrize("agreeing", [2, 3])
def test_how_many_hosts_agree(agreeing: int) -> None:
    records = []
    for number, host in enumerate(("a", "b", "c"), start=1):
        factor = 3 if number <= agreeing else 0.98
        records += rounds("keras-idg", rate=100, host=host) + rounds(rate=100 * factor, host=host)
    choice = only(records)
    assert (choice.found.agreeing, len(choice.found.hosts)) == (agreeing, 3)


def test_epochs_that_are_too_short_carry_no_advice_and_say_how_many_images_would_do() -> None:
    long = rounds("keras-idg", rate=300)  # epochs of 1,000 images
    records = long + rounds(rate=1990) + rounds("tfdata", "memory", rate=100_000)
    choice = only(records)
    assert choice.kind == "short" and choice.row is None and choice.found is None
    (short,) = choice.level
    assert short.summary.case.cache == "memory"
    assert short.summary.short_epochs("steady").images_needed == 60_000
    kinds = {row.case.cache: row.comparison for row in choice_rows(records) if row.comparison is not None}
    assert kinds["memory"].ratio.value > 300 and kinds["memory"].images_needed == 60_000  # the figure is shown
    assert {cache: found.verdict.kind for cache, found in kinds.items()} == {"none": "faster", "memory": "unknown"}
    assert only(long + rounds(rate=1990)).kind == "winner"


def test_no_further_round_is_run_for_epochs_that_are_too_short() -> None:
    long = build_matrix(rounds("keras-idg", rate=50, count=2) + rounds(rate=70, count=2))
    short = build_matrix(rounds("keras-idg", rate=50_000, count=2) + rounds(rate=70_000, count=2))
    assert judge_standing(long, 17).open and not judge_standing(short, 17).open


def test_of_short_cases_what_alone_lives_is_advised_all_the_same() -> None:
    assert only(rounds("keras-idg", rate=100_000)).kind == only(rounds(rate=100_000)).kind == "short"
    assert only(rounds("keras-idg", status="oom") + rounds(rate=100_000)).kind == "survivor"


def test_a_short_model_limit_bounds_nothing() -> None:
    (row,) = choice_rows(rounds(rate=10_000) + rounds("ceiling", rate=10_000))
    assert row.model_bound is None and row.against_ceiling.images_needed == 6000


def choice_rows(records: Any) -> Any:
    (group,) = build_matrix(records)
    return group.settings[0].rows

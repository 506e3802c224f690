"""Who takes part in the next round, and when none comes: what is settled, cannot be settled, or cannot matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest
from factory import plain_record

from harness.analysis.comparison import Measurement
from harness.analysis.statistics import EVIDENCE
from harness.analysis.stopping import Contest, hold_contest, is_settled


def rates(value: float, scatter: float = 0.002, rounds: int = 3) -> list[Measurement]:
    """Rates that scatter by so much in turn."""
    return [Measurement("s", "h", n, value * (1 + scatter * ((n * 7) % 5 - 2))) for n in range(1, rounds + 1)]


def hold(measured: Mapping[str, Sequence[Measurement]], rounds_left: int = 17, **more: object) -> Contest[str]:
    found = hold_contest(measured, "base", evidence=EVIDENCE, rounds_left=rounds_left, **more)  # type: ignore[arg-type]
    assert found is not None
    return found


def states(found: Contest[str]) -> dict[tuple[str, str], str]:
    return {(question.case, question.other): question.state for question in found.questions}


def test_the_best_is_asked_against_the_baseline_and_each_rival_against_the_best() -> None:
    found = hold({"base": rates(100, -0.002), "best": rates(300), "rival": rates(298, 0.02), "slow": rates(150, 0.004)})
    assert found.best == "best"
    assert states(found) == {("best", "base"): "settled", ("rival", "best"): "open", ("slow", "best"): "settled"}
    assert found.needed == {"base", "best", "rival"}


def test_nothing_is_needed_when_all_is_settled() -> None:
    found = hold({"base": rates(100, -0.002), "best": rates(300), "slow": rates(150, 0.004)})
    assert found.open == () and found.needed == frozenset()


def test_a_rival_that_can_gain_at_most_five_per_cent_is_not_waited_for() -> None:
    """It may be as fast, or slower by more than 5 %: nobody loses by taking the best."""
    found = hold({"base": rates(100, 0.001), "best": rates(300, 0.001), "rival": rates(285, 0.004, 5)})
    (question,) = (one for one in found.questions if one.case == "rival")
    ratio = question.comparison.ratio
    assert ratio is not None and ratio.low is not None and ratio.high is not None
    assert ratio.low < 1 / 1.05 and ratio.high <= 1.05 and question.comparison.verdict.kind == "unknown"
    assert question.state == "settled"


def test_what_the_last_affordable_round_would_not_settle_is_given_up() -> None:
    measured = {"base": rates(100, 0.03, 6), "best": rates(108, -0.03, 6)}
    assert states(hold(measured, rounds_left=14)) == {("best", "base"): "hopeless"}
    clear = {"base": rates(100, 0.03, 4), "best": rates(125, -0.03, 4)}
    assert states(hold(clear, rounds_left=16)) == {("best", "base"): "open"}
    assert states(hold(clear, rounds_left=0)) == {("best", "base"): "hopeless"}


def test_fewer_than_three_pairs_are_open_as_long_as_three_can_be_had() -> None:
    measured = {"base": rates(100, rounds=2), "best": rates(300, 0.001, rounds=2)}
    assert states(hold(measured, rounds_left=1)) == {("best", "base"): "open"}
    assert states(hold(measured, rounds_left=0)) == {("best", "base"): "hopeless"}


def test_the_baseline_may_be_the_best() -> None:
    found = hold({"base": rates(100, 0.001), "slow": rates(50)})
    assert found.best == "base" and states(found) == {("slow", "base"): "settled"}


def test_without_a_baseline_the_best_is_asked_against_its_rivals() -> None:
    found = hold_contest({"a": rates(100, 0.001), "b": rates(50)}, None, evidence=EVIDENCE, rounds_left=9)
    assert found is not None and found.best == "a" and states(found) == {("b", "a"): "settled"}
    assert hold_contest({"a": rates(100)}, None, evidence=EVIDENCE, rounds_left=9) is None


def test_where_the_model_is_the_bottleneck_nobody_can_gain() -> None:
    measured = {"base": rates(100, 0.05), "best": rates(104, -0.05), "rival": rates(103, 0.05)}
    found = hold(measured, bound={"base", "best", "rival"})
    assert set(states(found).values()) == {"settled"}


@pytest.mark.parametrize(
    ("ends", "settled"),
    [("oom oom", True), ("oom ok oom", True), ("oom ok", False), ("oom timeout", False), ("lost lost", False)],
)
def test_two_equal_deaths_settle_a_case(ends: str, settled: bool) -> None:
    assert is_settled(plain_record(status=status, round=n) for n, status in enumerate(ends.split(), 1)) is settled


def test_more_evidence_leaves_more_open() -> None:
    measured = {"base": rates(100, -0.002), "best": rates(300)}
    strict = hold_contest(measured, "base", evidence=9 * EVIDENCE, rounds_left=9)
    assert strict is not None and states(strict) == {("best", "base"): "open"}
    assert math.isclose(strict.questions[0].comparison.ratio.value, 3.0, rel_tol=0.01)  # type: ignore[union-attr]

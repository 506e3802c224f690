# mypy: disable-error-code="union-attr, operator"

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.statistics import (
    EVIDENCE,
    LEAST_PAIRS,
    MOST_ROUNDS,
    PRIOR_VARIANCE,
    Estimate,
    critical_t,
    estimate_geometric_mean,
    estimate_ratio,
    judge_ratio,
    more_rounds_needed,
)

rates = st.floats(min_value=0.01, max_value=1e6)


def bayes_factor(t: float, n: int) -> float:
    """The evidence against a mean as it is printed: (1 + ng)^(−1/2) · [(1 + t²/(ν(1 + ng))) / (1 + t²/ν)]^(−n/2)."""
    spread, freedom = 1 + n * PRIOR_VARIANCE, n - 1
    return float(spread**-0.5 * ((1 + t**2 / (freedom * spread)) / (1 + t**2 / freedom)) ** (-n / 2))


@pytest.mark.parametrize("evidence", [EVIDENCE, 9 * EVIDENCE])
@pytest.mark.parametrize("n", [3, 4, 5, 10, 20, 200])
def test_the_closed_form_is_where_the_evidence_reaches_its_bound(n: int, evidence: float) -> None:
    t = critical_t(n, evidence)
    if math.isinf(t):
        assert bayes_factor(1e9, n) < evidence
        return
    assert bayes_factor(t, n) == pytest.approx(evidence, rel=1e-9)
    assert bayes_factor(t * 0.999, n) < evidence < bayes_factor(t * 1.001, n)


def test_there_is_no_interval_below_three_numbers_nor_where_no_t_is_enough() -> None:
    assert [math.isinf(critical_t(n)) for n in (1, 2, 3, 4)] == [True, True, False, False]
    assert math.isinf(critical_t(3, 9 * EVIDENCE)) and not math.isinf(critical_t(4, 9 * EVIDENCE))
    assert critical_t(3) == pytest.approx(13.2, abs=0.1) and critical_t(20) == pytest.approx(3.8, abs=0.1)
    two = estimate_geometric_mean([1.0, 2.0])
    assert two is not None and two.low is None and two.high is None and two.log_deviation is not None


def test_geometric_mean_and_its_interval_by_hand() -> None:
    found = estimate_geometric_mean([1.0, math.e, math.e**2])
    assert found is not None
    assert found.value == pytest.approx(math.e)
    assert found.log_deviation == pytest.approx(1.0)
    assert found.low == pytest.approx(math.exp(1 - 13.2219 / math.sqrt(3)), rel=1e-3)
    assert found.high == pytest.approx(math.exp(1 + 13.2219 / math.sqrt(3)), rel=1e-3)


def test_one_number_has_no_interval_and_none_has_no_estimate() -> None:
    assert estimate_geometric_mean([33.7]) == Estimate(value=33.7, n=1)
    assert estimate_geometric_mean([]) is None
    assert estimate_ratio([]) is None


@pytest.mark.parametrize("odd", [0.0, -1.0, math.nan, math.inf])
def test_numbers_that_no_rate_can_be_are_refused(odd: Any) -> None:
    with pytest.raises(ValueError, match="positive"):
        estimate_geometric_mean([1.0, odd])


def test_a_huge_spread_does_not_overflow() -> None:
    found = estimate_geometric_mean([1e-300, 1.0, 1e300])
    assert found is not None and found.high is not None and math.isfinite(found.high)


def test_pairing_takes_out_what_a_round_has_in_common() -> None:
    drift = [1.0, 0.7, 0.5]
    found = estimate_ratio([(200 * d, 100 * d) for d in drift])
    assert found is not None
    assert found.value == pytest.approx(2.0)
    assert found.low == pytest.approx(2.0) and found.high == pytest.approx(2.0)


@given(st.lists(st.tuples(rates, rates), min_size=3, max_size=8))
def test_the_inverse_comparison_gives_the_inverse_ratio(pairs: Any) -> None:
    there, back = estimate_ratio(pairs), estimate_ratio([(b, a) for a, b in pairs])
    assert there is not None and back is not None
    assert there.value * back.value == pytest.approx(1.0)
    assert there.low is not None and there.high is not None and back.high is not None
    if there.low > 1e-200 and there.high < 1e200:
        assert there.low * back.high == pytest.approx(1.0)
    mirrored = {"faster": "slower", "slower": "faster", "same": "same", "unknown": "unknown"}
    if all(abs(math.log(end)) != pytest.approx(math.log(1.05)) for end in (there.low, there.high) if end > 0):
        assert judge_ratio(back).kind == mirrored[judge_ratio(there).kind]


def test_the_interval_holds_the_truth_at_all_rounds_at_once() -> None:
    noise, sessions, outside = random.Random(7), 1500, 0
    for _ in range(sessions):
        logs: list[float] = []
        for n in range(1, 21):
            logs.append(noise.gauss(0, 0.03))
            found = estimate_geometric_mean([math.exp(log) for log in logs]) if n >= LEAST_PAIRS else None
            if found is not None and found.low is not None and not found.low <= 1 <= (found.high or 0):
                outside += 1
                break
    assert 0 < outside / sessions < 0.05


def interval(low: Any, high: Any, n: int = 3) -> Any:
    return Estimate(value=math.sqrt(low * high), n=n, low=low, high=high, log_deviation=0.05)


@pytest.mark.parametrize(
    ("low", "high", "kind", "side"),
    [
        (1.06, 1.2, "faster", None),
        (1.05, 1.2, "unknown", "faster"),
        (1.01, 1.2, "unknown", "faster"),
        (0.8, 1.2, "unknown", None),
        (0.8, 0.99, "unknown", "slower"),
        (0.8, 0.95, "slower", None),
        (0.96, 1.04, "same", None),
        (1.01, 1.04, "same", None),
    ],
)
def test_verdicts_by_the_whole_interval(low: float, high: float, kind: str, side: str | None) -> None:
    verdict = judge_ratio(interval(low, high))
    assert (verdict.kind, verdict.side) == (kind, side)
    assert (verdict.more_rounds is None) or kind == "unknown"


def test_no_interval_no_verdict() -> None:
    verdict = judge_ratio(Estimate(value=9.0, n=1))
    assert verdict.kind == "unknown" and verdict.side is None and verdict.more_rounds == 2
    assert judge_ratio(None).kind == "unknown"


def test_as_many_more_rounds_as_said_would_settle_it() -> None:
    found = estimate_ratio([(1.1, 1.0), (1.0, 1.0), (1.2, 1.0)])
    assert found is not None
    more = more_rounds_needed(found)
    assert more is not None
    for extra, settled in ((more, True), (more - 1, False)):
        n = found.n + extra
        half = critical_t(n) * found.log_deviation / math.sqrt(n)
        low = math.exp(math.log(found.value) - half)
        assert (low > 1.05) is settled


def test_rounds_that_would_not_do_are_not_asked_for() -> None:
    on_the_edge = Estimate(value=1.05, n=3, low=0.9, high=1.2, log_deviation=0.3)
    assert more_rounds_needed(on_the_edge) is None
    assert MOST_ROUNDS >= 100

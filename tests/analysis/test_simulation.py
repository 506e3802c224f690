"""The statistics hold what they say, shown on sessions of which the truth is known.

Ten cases run in complete random rounds on a host that drifts by 6 % over the session, each invocation with 3 % of
noise; one in ten is an outlier, slowed by a quarter. Seeds are fixed: the printed figures are the same each time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from harness.analysis.comparison import Measurement, compare
from harness.analysis.statistics import estimate_geometric_mean

CASES = 10
NOISE, DRIFT = 0.03, 0.06
OUTLIERS, SLOWED = 0.10, 1.25
SESSIONS = 1000


def run_session(
    numbers: random.Random, speeds: list[float], rounds: int, outliers: float = OUTLIERS
) -> list[list[Measurement]]:
    """The measurements of each case, by its true speed."""
    found: list[list[Measurement]] = [[] for _ in speeds]
    done, total = 0, rounds * len(speeds)
    for number in range(1, rounds + 1):
        for case in numbers.sample(range(len(speeds)), len(speeds)):
            rate = speeds[case] * (1 - DRIFT * done / total) * numbers.lognormvariate(0, NOISE)
            if numbers.random() < outliers:
                rate /= SLOWED
            found[case].append(Measurement("s", "ws01", number, rate))
            done += 1
    return found


@dataclass
class Tally:
    """Of many sessions: comparisons whose interval holds the truth, sessions with a wrong verdict, verdicts by kind."""

    comparisons: int = 0
    covered: int = 0
    wrong_sessions: int = 0
    found: int = 0


def simulate(rounds: int, ratio: float, sessions: int = SESSIONS, outliers: float = OUTLIERS) -> Tally:
    """All cases but the first are ``ratio`` times as fast as it."""
    numbers, tally = random.Random(f"7 {rounds} {ratio} {outliers}"), Tally()
    for _ in range(sessions):
        baseline, *others = run_session(numbers, [100.0] + [100.0 * ratio] * (CASES - 1), rounds, outliers)
        verdicts = []
        for case in others:
            comparison = compare(case, baseline)
            interval = comparison.ratio
            assert interval is not None and interval.low is not None and interval.high is not None
            tally.comparisons += 1
            tally.covered += interval.low <= ratio <= interval.high
            verdicts.append(comparison.verdict.kind)
        tally.found += verdicts.count("faster")
        tally.wrong_sessions += any(kind in ("faster", "slower") for kind in verdicts)
    return tally


@pytest.mark.parametrize("outliers", [OUTLIERS, 0.0])
@pytest.mark.parametrize("rounds", [3, 5, 10])
def test_intervals_cover_and_equal_loaders_stay_equal(
    rounds: int, outliers: float, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = simulate(rounds, 1.0, outliers=outliers)
    coverage, wrong = tally.covered / tally.comparisons, tally.wrong_sessions / SESSIONS
    with capsys.disabled():
        print(f"\n{rounds} rounds, {100 * outliers:.0f} % outliers: coverage {100 * coverage:.1f} %, ", end="")
        print(f"sessions with a false verdict {100 * wrong:.1f} %", end="")
    assert coverage >= 0.93
    assert wrong <= 0.05


def test_the_power_is_what_the_documentation_says(capsys: pytest.CaptureFixture[str]) -> None:
    """How often a true 1.10 and 1.30 are called faster: more rounds find more, and 1.30 is found early."""
    power = {}
    for rounds in (3, 5, 10):
        for ratio in (1.10, 1.30):
            tally = simulate(rounds, ratio, sessions=300)
            power[rounds, ratio] = tally.found / tally.comparisons
            with capsys.disabled():
                print(f"\n{rounds} rounds: a true {ratio:.2f} is found in {100 * power[rounds, ratio]:.0f} %", end="")
    for ratio in (1.10, 1.30):
        assert power[3, ratio] <= power[5, ratio] <= power[10, ratio]
    assert power[5, 1.30] >= 0.6
    assert power[10, 1.30] >= 0.95


def test_without_pairing_the_same_sessions_would_mislead() -> None:
    """Case after case instead of rounds: drift makes loaders differ that are equal. It is what rounds are for."""
    numbers, wrong = random.Random(3), 0
    for _ in range(200):
        done, total, intervals = 0, CASES * 10, []
        for _case in range(CASES):
            rates = []
            for _ in range(10):
                rates.append(100 * (1 - DRIFT * done / total) * numbers.lognormvariate(0, NOISE / 3))
                done += 1
            intervals.append(estimate_geometric_mean(rates))
        first, last = intervals[0], intervals[-1]
        assert first is not None and last is not None
        wrong += (last.high or 0) < (first.low or 0)
    assert wrong > 150

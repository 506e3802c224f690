"""The rules of verdicts hold what they say, shown on sessions of which the truth is known (``simulated_session``).

Seeds are fixed: the figures are the same each time. The whole table of docs/methodology.md is made by
``benchmarks/verdicts.py``, of more sessions than fit into a test.
"""

from __future__ import annotations

import random

import pytest
from simulated_session import CASES, DRIFT, Session, Truth, is_false, simulate

from harness.analysis.comparison import compare
from harness.analysis.statistics import estimate_geometric_mean


@pytest.mark.parametrize("noise", [0.03, 0.10, 0.20])
def test_equal_loaders_are_hardly_ever_called_different_however_often_one_looks(noise: float) -> None:
    tally = simulate(Truth(1.0, noise), 60)
    assert tally.wrong <= 0.07  # wanted are 5 % of sessions: benchmarks/verdicts.py looks at more of them
    assert tally.covered >= 0.93
    assert tally.saved > 0.3  # the questions end before the twentieth round, and not all cases are in all of them


@pytest.mark.parametrize("seen", [0.0, 0.5])
def test_a_true_130_is_found_within_ten_rounds_whether_outliers_are_seen_or_not(seen: float) -> None:
    tally = simulate(Truth(1.3, 0.03, seen=seen), 60)
    assert tally.early >= 0.9 and tally.wrong <= 0.05
    assert tally.rounds < 9


def test_a_true_250_is_found_in_four_rounds_at_ten_per_cent_of_noise() -> None:
    tally = simulate(Truth(2.5, 0.10), 60)
    assert tally.found == 1.0 and tally.found_after <= 4.2 and tally.wrong <= 0.05


def test_what_makes_no_practical_difference_is_not_found() -> None:
    tally = simulate(Truth(1.05, 0.03), 40)
    assert tally.wrong <= 0.075 and tally.found <= 0.075


def test_pairs_of_hosts_that_stopped_each_by_itself_are_as_honest_together() -> None:
    """A group's answer is made of the pairs of all its hosts, of which each ended when its own was known."""
    numbers, wrong, sessions = random.Random(5), 0, 40
    for _ in range(sessions):
        hosts = [Session(f"ws0{number}", Truth(1.0, 0.10), numbers).run() for number in (1, 2, 3)]
        evidence = max(host.evidence for host in hosts)
        pooled = {case: [m for host in hosts for m in host.measured[case]] for case in range(CASES)}
        wrong += any(is_false(compare(pooled[case], pooled[0], evidence), 1.0) for case in range(1, CASES))
    assert wrong / sessions <= 0.075


def test_without_pairing_the_same_sessions_would_mislead() -> None:
    """Case after case instead of rounds: drift makes loaders differ that are equal. It is what rounds are for."""
    numbers, wrong = random.Random(3), 0
    for _ in range(200):
        done, total, intervals = 0, CASES * 10, []
        for _case in range(CASES):
            rates = []
            for _ in range(10):
                rates.append(100 * (1 - DRIFT * done / total) * numbers.lognormvariate(0, 0.01))
                done += 1
            intervals.append(estimate_geometric_mean(rates))
        first, last = intervals[0], intervals[-1]
        assert first is not None and last is not None
        wrong += (last.high or 0) < (first.low or 0)
    assert wrong > 150

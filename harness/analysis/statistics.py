"""Statistics for few, long runs: pure functions on plain numbers; SciPy is imported where it is used.

The unit of replication is the invocation (Kalibera and Jones, "Rigorous
Benchmarking in Reasonable Time", ISMM 2013): an invocation is reduced to one
number before it comes here. Rates and ratios are positive and vary by factors, so
everything is done on logarithms and transformed back: a mean of logs is the log of
the geometric mean (Fleming and Wallace, "How not to lie with statistics", CACM
29(3), 1986), and its interval is Student's (Student, "The probable error of a
mean", Biometrika 6(1), 1908).
"""

from __future__ import annotations

import math
import statistics as descriptive
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

CONFIDENCE = 0.95
THRESHOLD = 1.05
"""Ratios between 1/1.05 and 1.05 make no practical difference."""

MOST_ROUNDS = 200
"""More rounds than this are not worth asking for."""

VerdictKind = Literal["faster", "slower", "same", "unknown"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A geometric mean of ``n`` numbers with its 95 % interval; ``low`` and ``high`` are None at n = 1.

    ``log_deviation`` is the sample standard deviation of the logarithms, None at n = 1.
    """

    value: float
    n: int
    low: float | None = None
    high: float | None = None
    log_deviation: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an interval says against the threshold.

    ``side`` is where an undecided interval leans if it excludes 1. ``more_rounds`` would
    probably settle it; None where nothing is open, or where ``MOST_ROUNDS`` would not do.
    """

    kind: VerdictKind
    side: Literal["faster", "slower"] | None = None
    more_rounds: int | None = None


@lru_cache(maxsize=4096)
def student_quantile(degrees_of_freedom: int) -> float:
    """The factor t of a two-sided 95 % interval with this many degrees of freedom."""
    from scipy.special import stdtrit  # the quantile that scipy.stats.t uses, a second of imports cheaper

    return float(stdtrit(degrees_of_freedom, 0.5 + CONFIDENCE / 2))


def estimate_geometric_mean(values: Sequence[float]) -> Estimate | None:
    """Geometric mean of positive numbers, with mean ± t·s/√n of the logs as its interval; None for no numbers.

    Raises ValueError for a number that is not positive and finite.
    """
    if not values:
        return None
    if any(not (value > 0 and math.isfinite(value)) for value in values):
        raise ValueError("rates and ratios are positive, finite numbers")
    logs = [math.log(value) for value in values]
    n, centre = len(logs), math.fsum(logs) / len(logs)
    if n == 1:
        return Estimate(value=values[0], n=1)
    deviation = math.sqrt(math.fsum((x - centre) ** 2 for x in logs) / (n - 1))
    half = student_quantile(n - 1) * deviation / math.sqrt(n)
    return Estimate(
        value=_exponential(centre),
        n=n,
        low=_exponential(centre - half),
        high=_exponential(centre + half),
        log_deviation=deviation,
    )


def estimate_ratio(pairs: Sequence[tuple[float, float]]) -> Estimate | None:
    """Ratio of paired numbers (case, baseline), one pair a round: geometric mean of case ÷ baseline; None for no pairs.

    Pairing takes out what a round has in common (drift of the host).
    """
    return estimate_geometric_mean([case / baseline for case, baseline in pairs])


def judge_ratio(ratio: Estimate | None) -> Verdict:
    """The verdict of a ratio (higher is faster) by its 95 % interval against [1/1.05, 1.05]."""
    if ratio is None:
        return Verdict("unknown")
    if ratio.low is None or ratio.high is None:
        return Verdict("unknown", more_rounds=2)
    kind = _kind_of(ratio.low, ratio.high)
    if kind != "unknown":
        return Verdict(kind)
    side: Literal["faster", "slower"] | None = None
    if ratio.low > 1:
        side = "faster"
    elif ratio.high < 1:
        side = "slower"
    return Verdict("unknown", side=side, more_rounds=more_rounds_needed(ratio))


def more_rounds_needed(ratio: Estimate) -> int | None:
    """Rounds to add until the interval settles, if mean and spread stay as they are; None above ``MOST_ROUNDS``."""
    if ratio.log_deviation is None:
        return 2
    centre = math.log(ratio.value)
    for n in range(ratio.n + 1, ratio.n + MOST_ROUNDS + 1):
        half = student_quantile(n - 1) * ratio.log_deviation / math.sqrt(n)
        if _kind_of(_exponential(centre - half), _exponential(centre + half)) != "unknown":
            return n - ratio.n
    return None


def _kind_of(low: float, high: float) -> VerdictKind:
    if low > THRESHOLD:
        return "faster"
    if high < 1 / THRESHOLD:
        return "slower"
    if low >= 1 / THRESHOLD and high <= THRESHOLD:
        return "same"
    return "unknown"


def _exponential(x: float) -> float:
    """exp(x) that ends at the largest float instead of overflowing."""
    return math.exp(min(x, 709.0))


def estimate_unpaired_ratio(strata: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Estimate | None:
    """Ratio of numbers that have no pairs (new ÷ old, another day), a pair of samples a host; None without any.

    Mean over hosts of the differences of mean logs; its variance is the sum of s²/n over all samples, with the
    degrees of freedom of Welch and Satterthwaite (Welch, "The generalization of Student's problem when several
    different population variances are involved", Biometrika 34, 1947). No interval where a sample has one number.
    """
    logs = [([math.log(x) for x in new], [math.log(x) for x in old]) for new, old in strata if new and old]
    if not logs:
        return None
    hosts = len(logs)
    centre = math.fsum(_mean(new) - _mean(old) for new, old in logs) / hosts
    samples = [sample for pair in logs for sample in pair]
    count = min(sum(len(new) for new, _ in logs), sum(len(old) for _, old in logs))
    if any(len(sample) < 2 for sample in samples):
        return Estimate(value=_exponential(centre), n=count)
    parts = [descriptive.variance(sample) / len(sample) / hosts**2 for sample in samples]
    variance = math.fsum(parts)
    freedom = sum(len(sample) - 1 for sample in samples)
    if variance > 0:
        squares = math.fsum(p**2 / (len(sample) - 1) for p, sample in zip(parts, samples, strict=True))
        freedom = max(1, math.floor(variance**2 / squares))
    half = student_quantile(freedom) * math.sqrt(variance)
    # The deviation that a paired sample of this size would need for the same width: rounds to come are counted by it.
    deviation = math.sqrt(variance * count)
    return Estimate(_exponential(centre), count, _exponential(centre - half), _exponential(centre + half), deviation)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

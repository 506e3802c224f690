"""Statistics for few, long runs: pure functions on plain numbers.

The unit of replication is the run (Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013):
a run is reduced to one number before. Rates and ratios are positive and vary by factors, so all statistics are
computed on logarithms and transformed back: a mean of logs is the log of the geometric mean (Fleming and Wallace, "How
not to lie with statistics", CACM 29(3), 1986).

The interval may be evaluated after every round. It is a confidence sequence: the probability that the true value is
outside of it after any of the rounds is at most 5 %, so a session may end as soon as an interval settles its question.
It is derived from the scale-invariant mixture t-test. For n numbers, their t-statistic t against a mean μ, ν = n − 1,
and a prior variance g of the effect in units of the noise,

    BF(μ) = (1 + ng)^(−1/2) · [(1 + t²/(ν(1 + ng))) / (1 + t²/ν)]^(−n/2)

is the evidence against μ, which stays below 20 in all rounds with a probability of at least 95 % if μ is true and the
numbers are normal. The interval is all μ with BF(μ) < 20 (T. L. Lai, "On confidence sequences", Annals of Statistics
4, 1976; P. Grünwald, R. de Heide and W. Koolen, "Safe testing", JRSS B 86, 2024; M. F. Pérez-Ortiz and others,
"E-statistics, group invariance and anytime-valid testing", Annals of Statistics 52, 2024).
"""

from __future__ import annotations

import math
import statistics as descriptive
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

THRESHOLD = 1.05
"""Ratios between 1/1.05 and 1.05 make no practical difference."""

EVIDENCE = 20.0
"""Evidence that rules a mean out: this happens to 1 in 20 true means at most, however often one evaluates it."""

PRIOR_VARIANCE = 10.0
"""g: the variance of the expected effects, in units of the variance of one number (docs/methodology.md)."""

LEAST_PAIRS = 3
"""Fewer numbers have no interval."""

MOST_ROUNDS = 200
"""More rounds than this are never recommended."""

VerdictKind = Literal["faster", "slower", "same", "unknown"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A geometric mean of ``n`` numbers with its 95 % interval; ``low`` and ``high`` are None below n = 3.

    ``log_deviation`` is the sample standard deviation of the logarithms, None at n = 1.
    """

    value: float
    n: int
    low: float | None = None
    high: float | None = None
    log_deviation: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of an interval against the threshold.

    ``side`` is the side of 1 of an undecided interval that excludes 1. ``more_rounds`` would probably settle it; None
    where it is settled, or where ``MOST_ROUNDS`` would not be enough.
    """

    kind: VerdictKind
    side: Literal["faster", "slower"] | None = None
    more_rounds: int | None = None


@lru_cache(maxsize=4096)
def critical_t(n: int, evidence: float = EVIDENCE) -> float:
    """Return the |t| from which on the mean of n numbers is ruled out; infinite where no t is enough.

    BF(μ) < evidence, solved for t²: with K = 1 + ng and R = (evidence·√K)^(2/n) it is t² (1 − R/K) < ν (R − 1), which
    holds for every t where R ≥ K.
    """
    if n < LEAST_PAIRS:
        return math.inf
    spread = 1 + n * PRIOR_VARIANCE
    bound = (evidence * math.sqrt(spread)) ** (2 / n)
    return math.sqrt((n - 1) * (bound - 1) / (1 - bound / spread)) if bound < spread else math.inf


def estimate_geometric_mean(values: Sequence[float], evidence: float = EVIDENCE) -> Estimate | None:
    """Estimate the geometric mean of positive numbers, with the interval mean ± t·s/√n of the logs; None without any.

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
    return _with_interval(centre, n, deviation, critical_t(n, evidence))


def _with_interval(centre: float, n: int, deviation: float, factor: float) -> Estimate:
    """Return the estimate of a mean of logs; ``factor`` is the critical t, where infinite means no interval."""
    if math.isinf(factor):
        return Estimate(_exponential(centre), n, log_deviation=deviation)
    half = factor * deviation / math.sqrt(n)
    return Estimate(_exponential(centre), n, _exponential(centre - half), _exponential(centre + half), deviation)


def estimate_ratio(pairs: Sequence[tuple[float, float]], evidence: float = EVIDENCE) -> Estimate | None:
    """Estimate the ratio of pairs (case, baseline), one for each round, as a geometric mean; None without any pair.

    Pairing removes what the runs of a round have in common, such as drift of the host.
    """
    return estimate_geometric_mean([case / baseline for case, baseline in pairs], evidence)


def judge_ratio(ratio: Estimate | None, evidence: float = EVIDENCE) -> Verdict:
    """Return the verdict of a ratio (higher is faster) by its interval against [1/1.05, 1.05]."""
    if ratio is None:
        return Verdict("unknown")
    if ratio.low is None or ratio.high is None:
        return Verdict("unknown", more_rounds=more_rounds_needed(ratio, evidence))
    kind = kind_of(ratio.low, ratio.high)
    if kind != "unknown":
        return Verdict(kind)
    side: Literal["faster", "slower"] | None = None
    if ratio.low > 1:
        side = "faster"
    elif ratio.high < 1:
        side = "slower"
    return Verdict("unknown", side=side, more_rounds=more_rounds_needed(ratio, evidence))


def more_rounds_needed(ratio: Estimate, evidence: float = EVIDENCE) -> int | None:
    """Return how many more rounds settle a ratio if mean and spread stay the same; None above ``MOST_ROUNDS``."""
    if ratio.log_deviation is None:
        return LEAST_PAIRS - ratio.n
    centre, deviation = math.log(ratio.value), ratio.log_deviation

    def settles(n: int) -> bool:
        half = critical_t(n, evidence) * deviation / math.sqrt(n)
        return math.isfinite(half) and kind_of(_exponential(centre - half), _exponential(centre + half)) != "unknown"

    # Of more numbers the interval is narrower, so that what settles it at one count settles it at each larger one.
    counts = range(ratio.n + 1, ratio.n + MOST_ROUNDS + 1)
    place = bisect_left(counts, True, key=settles)
    return None if place == len(counts) else counts[place] - ratio.n


def kind_of(low: float, high: float) -> VerdictKind:
    """Return the kind of verdict of an interval of a ratio."""
    if low > THRESHOLD:
        return "faster"
    if high < 1 / THRESHOLD:
        return "slower"
    if low >= 1 / THRESHOLD and high <= THRESHOLD:
        return "same"
    return "unknown"


def _exponential(x: float) -> float:
    """Return exp(x), limited to the largest float instead of overflowing."""
    return math.exp(min(x, 709.0))


def estimate_unpaired_ratio(
    strata: Sequence[tuple[Sequence[float], Sequence[float]]], evidence: float = EVIDENCE
) -> Estimate | None:
    """Estimate the ratio of unpaired samples, (new, old) for each host; None without any.

    It is the mean over hosts of the differences of mean logs; its variance is the sum of s²/n over all samples, with
    the degrees of freedom of Welch and Satterthwaite (Welch, "The generalization of Student's problem when several
    different population variances are involved", Biometrika 34, 1947), which replace the n − 1 of paired numbers in the
    critical t. There is no interval where a sample has one number, or all have together fewer than three.
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
    factor = critical_t(freedom + 1, evidence) if count >= LEAST_PAIRS else math.inf
    # The deviation of a paired sample of this size with the same width, by which further rounds are estimated.
    return _with_interval(centre, count, math.sqrt(variance * count), factor)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

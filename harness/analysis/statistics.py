"""Statistics for few, long runs: pure functions on plain numbers.

The unit of replication is the invocation (Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013):
an invocation is reduced to one number before it comes here. Rates and ratios are positive and vary by factors, so
everything is done on logarithms and transformed back: a mean of logs is the log of the geometric mean (Fleming and
Wallace, "How not to lie with statistics", CACM 29(3), 1986).

Its interval may be looked at after every round. It is a confidence sequence: the chance that the truth lies outside
it at any round whatever is at most 5 %, so a session may end when an interval has said what it was to say. It comes
from the scale-invariant mixture t-test. For n numbers, their t-statistic t against a mean μ, ν = n − 1, and a prior
variance g of the effect in units of the noise,

    BF(μ) = (1 + ng)^(−1/2) · [(1 + t²/(ν(1 + ng))) / (1 + t²/ν)]^(−n/2)

is evidence against μ that stays below 20 at all rounds with a chance of at least 95 %, if μ is true and the numbers
are normal. The interval is all μ with BF(μ) < 20 (T. L. Lai, "On confidence sequences", Annals of Statistics 4, 1976;
P. Grünwald, R. de Heide and W. Koolen, "Safe testing", JRSS B 86, 2024; M. F. Pérez-Ortiz and others, "E-statistics,
group invariance and anytime-valid testing", Annals of Statistics 52, 2024).
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
"""A mean against which there is as much evidence is ruled out: 1 in 20 true ones ever is, however often one looks."""

PRIOR_VARIANCE = 10.0
"""g: the variance of the effects that are looked for, in units of the variance of one number (docs/methodology.md)."""

LEAST_PAIRS = 3
"""Of fewer numbers there is no interval."""

MOST_ROUNDS = 200
"""More rounds than this are not worth asking for."""

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
    """What an interval says against the threshold.

    ``side`` is where an undecided interval leans if it excludes 1. ``more_rounds`` would
    probably settle it; None where nothing is open, or where ``MOST_ROUNDS`` would not do.
    """

    kind: VerdictKind
    side: Literal["faster", "slower"] | None = None
    more_rounds: int | None = None


@lru_cache(maxsize=4096)
def critical_t(n: int, evidence: float = EVIDENCE) -> float:
    """Return the |t| from which on the mean of n numbers is ruled out; infinite where no t is enough.

    BF(μ) < evidence, solved for t²: with K = 1 + ng and R = (evidence·√K)^(2/n) it is t² (1 − R/K) < ν (R − 1), which
    every t fulfils where R ≥ K.
    """
    if n < LEAST_PAIRS:
        return math.inf
    spread = 1 + n * PRIOR_VARIANCE
    bound = (evidence * math.sqrt(spread)) ** (2 / n)
    return math.sqrt((n - 1) * (bound - 1) / (1 - bound / spread)) if bound < spread else math.inf


def estimate_geometric_mean(values: Sequence[float], evidence: float = EVIDENCE) -> Estimate | None:
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
    return _with_interval(centre, n, deviation, critical_t(n, evidence))


def _with_interval(centre: float, n: int, deviation: float, factor: float) -> Estimate:
    """Return the estimate of a mean of logs; ``factor`` is the critical t, of which an infinite one is no interval."""
    if math.isinf(factor):
        return Estimate(_exponential(centre), n, log_deviation=deviation)
    half = factor * deviation / math.sqrt(n)
    return Estimate(_exponential(centre), n, _exponential(centre - half), _exponential(centre + half), deviation)


def estimate_ratio(pairs: Sequence[tuple[float, float]], evidence: float = EVIDENCE) -> Estimate | None:
    """Ratio of paired numbers (case, baseline), one pair a round: geometric mean of case ÷ baseline; None for no pairs.

    Pairing takes out what a round has in common (drift of the host).
    """
    return estimate_geometric_mean([case / baseline for case, baseline in pairs], evidence)


def judge_ratio(ratio: Estimate | None, evidence: float = EVIDENCE) -> Verdict:
    """The verdict of a ratio (higher is faster) by its interval against [1/1.05, 1.05]."""
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
    """Rounds to add until the interval settles, if mean and spread stay as they are; None above ``MOST_ROUNDS``."""
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
    """Return what an interval of a ratio says against the threshold."""
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


def estimate_unpaired_ratio(
    strata: Sequence[tuple[Sequence[float], Sequence[float]]], evidence: float = EVIDENCE
) -> Estimate | None:
    """Ratio of numbers that have no pairs (new ÷ old, another day), a pair of samples a host; None without any.

    Mean over hosts of the differences of mean logs; its variance is the sum of s²/n over all samples, with the
    degrees of freedom of Welch and Satterthwaite (Welch, "The generalization of Student's problem when several
    different population variances are involved", Biometrika 34, 1947), which stand for the n − 1 of paired numbers in
    the critical t. No interval where a sample has one number, or all have together fewer than three.
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
    # The deviation that a paired sample of this size would need for the same width: rounds to come are counted by it.
    return _with_interval(centre, count, math.sqrt(variance * count), factor)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

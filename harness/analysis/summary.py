"""Summary of the runs of one case on one hardware.

The first epoch is a separate metric and is never averaged with later ones (it fills the cache that they use). Only
``ok`` runs are averaged, never invalid ones, and disturbed ones only where there are too few others (``selection``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.comparison import Comparison, Measurement, measure
from harness.analysis.coverage import Coverage, cover_all
from harness.analysis.payback import Payback, PaybackUnknown, find_payback
from harness.analysis.selection import Disturbance, gather_attempts, select_records
from harness.analysis.short_epochs import ShortEpochs, find_short
from harness.analysis.stalls import judge_utilisation
from harness.analysis.statistics import Estimate, estimate_geometric_mean
from harness.values.case import Case
from harness.values.record import Epoch, Record

Metric = Literal["steady", "first", "per_cpu"]


@dataclass(frozen=True, slots=True)
class Reduction:
    """The figures of one run; None for those that it does not have.

    ``fill_s`` is the first epoch with the flush of its cache; ``steady_epoch_s`` the
    mean duration of epochs 2 to the last; ``images_per_cpu_s`` and ``parallelism`` (CPU
    seconds per second) are of the later epochs, or of the only one.
    """

    first_epoch_s: float | None = None
    first_images_per_s: float | None = None
    fill_s: float | None = None
    steady_epoch_s: float | None = None
    steady_images_per_s: float | None = None
    images_per_cpu_s: float | None = None
    parallelism: float | None = None


@dataclass(frozen=True)
class CaseSummary:
    """All runs of one case on hosts of one hardware.

    ``records`` has one record of each run. ``countable`` are all attempts that may count in pairs, with their figures;
    ``used`` are the records behind the averages, ``disturbance`` what disturbed some of them; ``left_out`` counts
    disturbed runs that are not averaged because there are enough others, ``invalid`` those with status ok that are
    invalid. ``coverages`` are how many images of their sets they ran on, one entry unless hosts have different sets.
    Peaks are the highest, and ``limit_bytes`` is the lowest enforced limit, of runs with any status.
    """

    case: Case
    case_id: str
    alias: str | None
    records: tuple[Record, ...]
    countable: tuple[tuple[Record, Reduction], ...]
    used: tuple[Record, ...]
    disturbance: Disturbance
    left_out: int
    invalid: int
    statuses: Mapping[str, int]
    first_epoch_s: Estimate | None
    first_images_per_s: Estimate | None
    fill_s: Estimate | None
    steady_epoch_s: Estimate | None
    steady_images_per_s: Estimate | None
    images_per_cpu_s: Estimate | None
    parallelism: Estimate | None
    coverages: tuple[Coverage, ...]
    limit_bytes: int | None
    peak_anon_bytes: int | None
    cache_bytes: int | None
    cache_predicted_bytes: int | None

    def rate(self, metric: Metric | None = None) -> Estimate | None:
        """Return the mean images/s of a metric; without a metric that of later epochs, else of the first."""
        match metric:
            case "steady":
                return self.steady_images_per_s
            case "first":
                return self.first_images_per_s
            case "per_cpu":
                return self.images_per_cpu_s
        return self.steady_images_per_s or self.first_images_per_s

    def short_epochs(self, metric: Metric) -> ShortEpochs | None:
        """Return the epochs of a metric if they are too short for a verdict; else None."""
        is_first = metric == "first" or self.steady_epoch_s is None
        seconds = self.first_epoch_s if is_first else self.steady_epoch_s
        rate = self.first_images_per_s if is_first else self.steady_images_per_s
        return find_short(seconds.value, seconds.value * rate.value) if seconds and rate else None

    def measurements(self, metric: Metric) -> list[Measurement]:
        """Return a measurement of each run that may count, for ``compare``, which selects among pairs."""
        return self._measured(metric, self.countable)

    def averaged(self, metric: Metric) -> list[Measurement]:
        """Return the measurements behind the averages."""
        used = {id(record) for record in self.used}
        return self._measured(metric, [pair for pair in self.countable if id(pair[0]) in used])

    @staticmethod
    def _measured(metric: Metric, pairs: Iterable[tuple[Record, Reduction]]) -> list[Measurement]:
        pick = _METRICS[metric]
        return [measure(record, value) for record, reduction in pairs if (value := pick(reduction)) is not None]


def metric_of(case: Case) -> Metric:
    """Return the metric of a case's ratios: later epochs, or the only one."""
    return "steady" if case.epochs > 1 else "first"


_METRICS: dict[Metric, Callable[[Reduction], float | None]] = {
    "steady": lambda reduction: reduction.steady_images_per_s,
    "first": lambda reduction: reduction.first_images_per_s,
    "per_cpu": lambda reduction: reduction.images_per_cpu_s,
}


def reduce_record(record: Record) -> Reduction:
    """Return the figures of a run from its raw epochs."""
    first = next((epoch for epoch in record.epochs if epoch.index == 1), None)
    steady = [epoch for epoch in record.epochs if epoch.index > 1]
    measured = steady or ([first] if first else [])
    return Reduction(
        first_epoch_s=first.seconds if first else None,
        first_images_per_s=_rate([first]) if first else None,
        fill_s=first.seconds + (first.flush_s or 0.0) if first else None,
        steady_epoch_s=math.fsum(e.seconds for e in steady) / len(steady) if steady else None,
        steady_images_per_s=_rate(steady),
        images_per_cpu_s=_per_cpu_second(measured),
        parallelism=_parallelism(measured),
    )


def summarise_case(attempts: Sequence[Record]) -> CaseSummary:
    """Summarise records of one case (and alias) on one hardware; at least one record.

    ``attempts`` may hold several of one run: those that were measured count in pairs, one of them in averages.
    """
    gathered = gather_attempts(attempts)
    records = [each.current for each in gathered]
    chosen = select_records(records)
    countable = tuple((record, reduce_record(record)) for each in gathered for record in each.measured)
    used = {id(record) for record in chosen.used}
    reductions = [reduction for record, reduction in countable if id(record) in used]
    limits = [r.memory.limit_effective or r.memory.limit_asked for r in records]
    caches = [r.cache for r in records if r.cache is not None]
    return CaseSummary(
        case=records[0].case,
        case_id=records[0].case_id,
        alias=records[0].alias,
        records=tuple(records),
        countable=countable,
        used=chosen.used,
        disturbance=chosen.disturbance,
        left_out=len(chosen.left_out),
        invalid=sum(record.status == "ok" and record.validity == "invalid" for record in records),
        statuses=dict(sorted(Counter(record.status for record in records).items())),
        first_epoch_s=_estimate(r.first_epoch_s for r in reductions),
        first_images_per_s=_estimate(r.first_images_per_s for r in reductions),
        fill_s=_estimate(r.fill_s for r in reductions),
        steady_epoch_s=_estimate(r.steady_epoch_s for r in reductions),
        steady_images_per_s=_estimate(r.steady_images_per_s for r in reductions),
        images_per_cpu_s=_estimate(r.images_per_cpu_s for r in reductions),
        parallelism=_estimate(r.parallelism for r in reductions),
        coverages=cover_all(records),
        limit_bytes=_lowest(limits),
        peak_anon_bytes=_highest(r.memory.peak_anon for r in records),
        cache_bytes=_highest(c.bytes for c in caches),
        cache_predicted_bytes=_highest(c.predicted_bytes for c in caches),
    )


def is_model_bound(against_ceiling: Comparison) -> bool | None:
    """Return whether a training case reaches the model limit, within noise.

    True where the model waits for less than 5 % of the time (``stalls``), so that no loader can be faster. False where
    the whole 95 % interval of case ÷ model limit is below 1. None: not known.
    """
    ratio = against_ceiling.ratio
    if ratio is None or against_ceiling.images_needed is not None:
        return None
    if judge_utilisation(ratio.value) == "model-bound":
        return True
    return False if ratio.high is not None and ratio.high < 1 else None


def payback_of(cached: CaseSummary, uncached: CaseSummary | None) -> Payback:
    """Return from which epoch a cache pays compared with the same loader without one; unknown without figures."""
    loader = cached.case.loader
    if cached.case.cache_reuse == "reused":
        return PaybackUnknown("the cache was made before the run")
    if uncached is None:
        return PaybackUnknown(f"{loader} was not measured without a cache")
    for summary, name in ((uncached, f"{loader} without a cache"), (cached, "the case itself")):
        if summary.first_epoch_s is None:
            return PaybackUnknown(f"{name} has no result")
        if summary.steady_epoch_s is None:
            return PaybackUnknown(f"{name} was measured in one epoch only")
    assert cached.fill_s and cached.steady_epoch_s and uncached.first_epoch_s and uncached.steady_epoch_s
    return find_payback(
        fill_s=cached.fill_s.value,
        cached_epoch_s=cached.steady_epoch_s.value,
        uncached_first_s=uncached.first_epoch_s.value,
        uncached_epoch_s=uncached.steady_epoch_s.value,
    )


def _rate(epochs: Sequence[Epoch]) -> float | None:
    seconds, images = math.fsum(e.seconds for e in epochs), sum(e.images for e in epochs)
    return images / seconds if seconds > 0 and images > 0 else None


def _per_cpu_second(epochs: Sequence[Epoch]) -> float | None:
    spent, images = _cpu_seconds(epochs), sum(e.images for e in epochs)
    return images / spent if spent and images > 0 else None


def _parallelism(epochs: Sequence[Epoch]) -> float | None:
    spent, seconds = _cpu_seconds(epochs), math.fsum(e.seconds for e in epochs)
    return spent / seconds if spent and seconds > 0 else None


def _cpu_seconds(epochs: Sequence[Epoch]) -> float | None:
    known = [epoch.cpu_s for epoch in epochs if epoch.cpu_s is not None]
    return math.fsum(known) if known and len(known) == len(epochs) else None


def _estimate(values: Iterable[float | None]) -> Estimate | None:
    return estimate_geometric_mean([value for value in values if value is not None and value > 0])


def _highest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _lowest(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)

"""The matrix: records grouped by hardware, setting, memory limit and row, each row compared with its baseline.

A *setting* is everything that two cases must share to be comparable; the other parameters (loader,
cache with its element, disk and reuse, memory limit) are the rows and columns of its table.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.analysis.comparison import Comparison, compare
from harness.analysis.coverage import Coverage, Epochs
from harness.analysis.noise import evidence_for, noise_floors
from harness.analysis.payback import Payback, PaybackUnknown
from harness.analysis.selection import gather_attempts
from harness.analysis.set_size import lift_subset
from harness.analysis.statistics import EVIDENCE, Estimate, Verdict, estimate_unpaired_ratio, judge_ratio
from harness.analysis.summary import CaseSummary, Metric, is_model_bound, metric_of, payback_of, summarise_case
from harness.analysis.whole_set import Outlook, look_ahead
from harness.bench.protocol.loader_registry import CACHES, LOADERS, is_automatic, is_yardstick
from harness.values.case import Case
from harness.values.comparability import (
    DEFAULT_BASELINE,
    ceiling_key,
    comparable_key,
    matches,
    setting_key,
    without_cache,
)
from harness.values.record import ABSENT, TRIAL, TWIN, WARM_RUN, Record


@dataclass(frozen=True)
class Row:
    """A case, compared with its baseline at the same memory limit.

    ``baseline`` is None where none was measured at this limit. ``comparison`` is of the setting's metric, ``per_cpu``
    of images per CPU second; both are None for the baseline itself and where one of the two has no result.
    ``against_ceiling`` is None without a model limit; ``payback`` is that of the case's cache against the same loader
    without one, None for a case without a cache. ``outlook`` is the expectation for the whole data set, None where the
    case has no result.
    """

    summary: CaseSummary
    is_baseline: bool
    baseline: CaseSummary | None = None
    comparison: Comparison | None = None
    per_cpu: Comparison | None = None
    against_ceiling: Comparison | None = None
    model_bound: bool | None = None
    payback: Payback | None = None
    outlook: Outlook | None = None

    @property
    def case(self) -> Case:
        """Return the case of all its runs."""
        return self.summary.case

    @property
    def ratio(self) -> Estimate | None:
        """Return the ratio to the baseline; None where it is not known."""
        return self.comparison.ratio if self.comparison is not None else None


@dataclass(frozen=True)
class Setting:
    """Cases of one setting on one hardware.

    ``metric`` states which epochs ratios are of: later ones, or the first where there is only one. ``trials`` are the
    runs of ``memory_limit: search``, whose limits are not compared. ``evidence`` is the threshold that rules a ratio
    out on this hardware. ``files`` is the fingerprint of the data set: other files are another setting, even under the
    same name.
    """

    key: str
    case: Case
    metric: Metric
    rows: tuple[Row, ...]
    ceiling: CaseSummary | None = None
    trials: tuple[Row, ...] = ()
    evidence: float = EVIDENCE
    files: str = ""

    @property
    def limits(self) -> list[int | str]:
        """Return the memory limits, smallest first, ``none`` last."""
        found: set[int | str] = {row.case.memory_limit for row in self.rows}
        return sorted(found, key=_limit_order)

    @property
    def coverages(self) -> list[Coverage]:
        """Return how many images of their sets its cases ran on: one entry, unless hosts have different sets."""
        found = {coverage for row in (*self.rows, *self.trials) for coverage in row.summary.coverages}
        return sorted(found, key=lambda one: (one.images, one.set_images or 0))

    def rows_at(self, limit: int | str) -> list[Row]:
        """Return the rows of one memory limit."""
        return [row for row in self.rows if row.case.memory_limit == limit]

    def pipelines_at(self, limit: int | str) -> list[Row]:
        """Return the rows of one memory limit that advice may name: neither extra runs nor the yardstick."""
        rows = [row for row in self.rows_at(limit) if row.summary.alias is None]
        return [row for row in rows if not is_yardstick(row.case.loader)]


@dataclass(frozen=True)
class HardwareGroup:
    """Hosts of one hardware and all that was measured on them.

    ``warm_runs`` are settings with only extra runs, which separate preparation from storage in other settings; there is
    no advice on them.
    """

    hardware: str
    hosts: tuple[str, ...]
    settings: tuple[Setting, ...]
    records: tuple[Record, ...]
    warm_runs: tuple[Setting, ...] = ()


def build_matrix(records: Iterable[Record], baseline: object = None) -> list[HardwareGroup]:
    """Group records by hardware and setting, and compare; ``records`` may hold several attempts of a run.

    ``baseline`` is the experiment's: a loader's name, a mapping of parameters to a value or a list of
    values, or None for ``keras-idg``.
    """
    by_hardware: dict[str, list[Record]] = {}
    for record in records:
        by_hardware.setdefault(record.hardware, []).append(record)
    wanted = _read_baseline(baseline)
    return [_build_group(hardware, found, wanted) for hardware, found in sorted(by_hardware.items())]


def _build_group(hardware: str, records: Sequence[Record], wanted: Mapping[str, object]) -> HardwareGroup:
    by_files = {files: _summarise(found) for files, found in _split_by_files(records).items()}
    evidence = evidence_for(noise_floors(records), sum(map(_count_comparisons, by_files.values())))
    settings = [
        setting
        for files, summaries in by_files.items()
        for setting in _build_settings(files, summaries, wanted, evidence)
    ]
    hosts = tuple(sorted({record.host for record in records}))
    settings.sort(key=_setting_order)
    return HardwareGroup(
        hardware,
        hosts,
        settings=tuple(setting for setting in settings if not _is_extra(setting)),
        records=tuple(attempts.current for attempts in gather_attempts(records)),
        warm_runs=tuple(setting for setting in settings if _is_extra(setting)),
    )


def _split_by_files(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Group records by the files on which they were measured: the fingerprint of each set.

    A record without a fingerprint, because its data were missing, is put with the first files under that name.
    """
    first: dict[str, str] = {}
    for record in records:
        if record.data_fingerprint != ABSENT:
            first.setdefault(record.case.data, record.data_fingerprint)
    found: dict[str, list[Record]] = {}
    for record in records:
        is_absent = record.data_fingerprint == ABSENT
        files = first.get(record.case.data, ABSENT) if is_absent else record.data_fingerprint
        found.setdefault(files, []).append(record)
    return found


def _summarise(records: Sequence[Record]) -> list[CaseSummary]:
    by_case: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        by_case.setdefault((record.case_id, record.alias or ""), []).append(record)
    return [summarise_case(found) for found in by_case.values()]


def _build_settings(
    files: str, summaries: Sequence[CaseSummary], wanted: Mapping[str, object], evidence: float
) -> Iterator[Setting]:
    """Yield the settings of the cases that were measured on the same files."""
    ceilings = [summary for summary in summaries if is_automatic(summary.case.loader)]
    by_setting: dict[str, list[CaseSummary]] = {}
    for summary in summaries:
        if not is_automatic(summary.case.loader):
            by_setting.setdefault(setting_key(summary.case), []).append(summary)
    known = {summary.case_id: summary for summary in summaries if summary.alias is None}
    for key, found in by_setting.items():
        yield replace(_build_setting(key, found, ceilings, wanted, known, evidence), files=files)


def _count_comparisons(summaries: Sequence[CaseSummary]) -> int:
    """Count the comparisons: for each setting and limit all cases with a result except one."""
    asked = [each for each in summaries if each.alias is None and each.used and not is_automatic(each.case.loader)]
    counts = Counter(comparable_key(each.case) for each in asked)
    return sum(count - 1 for count in counts.values())


def _is_extra(setting: Setting) -> bool:
    return bool(setting.rows) and all(row.summary.alias == WARM_RUN for row in setting.rows)


def _build_setting(
    key: str,
    summaries: Sequence[CaseSummary],
    ceilings: Sequence[CaseSummary],
    wanted: Mapping[str, object],
    known: Mapping[str, CaseSummary],
    evidence: float,
) -> Setting:
    case = summaries[0].case
    metric = metric_of(case)
    ordered = sorted(summaries, key=lambda s: _row_order(s, wanted))
    ceiling = _find_ceiling(case, ceilings) if case.mode == "train" else None
    own = {summary.case_id for summary in summaries if summary.alias is None}
    tried = {summary.case_id for summary in summaries if summary.alias == TRIAL} - own
    outlooks = {id(summary): _outlook_of(summary, metric, known) for summary in ordered}
    rows, trials = [], []
    for summary in ordered:
        if _is_trial(summary, tried):
            trials.append(Row(summary, is_baseline=False, outlook=outlooks[id(summary)]))
            continue
        beside = [s for s in ordered if s.case.memory_limit == summary.case.memory_limit]
        rows.append(_build_row(summary, beside, metric, ceiling, wanted, outlooks, evidence))
    return Setting(key, case, metric, tuple(rows), ceiling, tuple(trials), evidence)


def _is_trial(summary: CaseSummary, tried: Collection[str]) -> bool:
    """Return whether it is a trial of a search or its repeat check; ``tried`` are cases that only a search has run."""
    return summary.alias == TRIAL or (summary.alias == TWIN and summary.case_id in tried)


def _build_row(
    summary: CaseSummary,
    beside: Sequence[CaseSummary],
    metric: Metric,
    ceiling: CaseSummary | None,
    wanted: Mapping[str, object],
    outlooks: Mapping[int, Outlook | None],
    evidence: float,
) -> Row:
    baseline = next((s for s in beside if s.alias is None and matches(wanted, s.case)), None)
    plain = without_cache(summary.case)
    plains = [s for s in beside if s.alias is None and s.case.cache == "none" and without_cache(s.case) == plain]
    uncached = min(plains, key=lambda s: s.case.shuffle_buffer != summary.case.shuffle_buffer, default=None)
    comparison = per_cpu = against = None
    if baseline is not None and baseline is not summary and baseline.used and summary.used:
        comparison = compare(summary.measurements(metric), baseline.measurements(metric), evidence)
        per_cpu = compare(summary.measurements("per_cpu"), baseline.measurements("per_cpu"), evidence)
        short = _longest_need(metric, summary, baseline)
        comparison, per_cpu = _without_verdict(comparison, short), _without_verdict(per_cpu, short)
    if ceiling is not None and summary.used:
        against = _without_verdict(_against_ceiling(summary, ceiling, metric), _longest_need(metric, summary, ceiling))
    return Row(
        summary=summary,
        is_baseline=summary is baseline,
        baseline=baseline,
        comparison=comparison,
        per_cpu=per_cpu,
        against_ceiling=against,
        model_bound=is_model_bound(against) if against else None,
        payback=_payback_of(summary, uncached, outlooks) if summary.case.cache != "none" else None,
        outlook=outlooks[id(summary)],
    )


def _longest_need(metric: Metric, *summaries: CaseSummary) -> int | None:
    """Return how many images an epoch of these cases needs, where epochs of one are too short; else None."""
    short = [found for summary in summaries if (found := summary.short_epochs(metric)) is not None]
    return max((found.images_needed for found in short), default=None)


def _without_verdict(comparison: Comparison, images_needed: int | None) -> Comparison:
    """Return a comparison, without its verdict where epochs are too short for one."""
    if images_needed is None:
        return comparison
    return replace(comparison, verdict=Verdict("unknown"), images_needed=images_needed)


def _outlook_of(summary: CaseSummary, metric: Metric, known: Mapping[str, CaseSummary]) -> Outlook | None:
    """Return the outlook of a case on its whole set, by the same case on all images where that was measured."""
    whole = known.get(lift_subset(summary.case).case_id) if summary.case.max_images is not None else None
    epochs: Epochs = "first" if metric == "first" else "steady"
    return look_ahead(summary.used, epochs, whole.records if whole is not None else ())


def _payback_of(cached: CaseSummary, uncached: CaseSummary | None, outlooks: Mapping[int, Outlook | None]) -> Payback:
    """Return the payback of a cache; it is not known where one of the two rates does not hold on the whole set."""
    for summary in (cached, uncached):
        outlook = outlooks[id(summary)] if summary is not None else None
        if outlook is not None and outlook.withdrawal is not None and summary is not None:
            what = "its cache" if summary.case.cache != "none" else "its files"
            return PaybackUnknown(
                f"{summary.case.loader} with cache {summary.case.cache} was measured with {what} in memory, "
                "which is not possible for the whole set"
            )
    return payback_of(cached, uncached)


def _against_ceiling(case: CaseSummary, ceiling: CaseSummary, metric: Metric) -> Comparison:
    """Compare a case with the model limit, by rounds; where no round has both, by the averages of each host."""
    paired = compare(case.measurements(metric), ceiling.measurements(_ceiling_metric(ceiling, metric)))
    if paired.ratio is not None:
        return paired
    own, other = case.averaged(metric), ceiling.averaged(_ceiling_metric(ceiling, metric))
    machines = sorted({one.machine for one in own} & {one.machine for one in other})
    strata = [([x.value for x in own if x.machine == m], [x.value for x in other if x.machine == m]) for m in machines]
    ratio = estimate_unpaired_ratio(strata)
    return replace(paired, ratio=ratio, verdict=judge_ratio(ratio), disturbance=case.disturbance)


def _ceiling_metric(ceiling: CaseSummary, metric: Metric) -> Metric:
    """Return the metric if the model limit has it, else one that it has."""
    wanted: tuple[Metric, ...] = (metric, "steady", "first")
    return next((one for one in wanted if ceiling.averaged(one)), metric)


def _find_ceiling(case: Case, ceilings: Sequence[CaseSummary]) -> CaseSummary | None:
    """Return the model limit of the same model setting; memory limit and interpolation do not matter for it."""
    fitting = [other for other in ceilings if other.used and ceiling_key(other.case) == ceiling_key(case)]
    return min(fitting, key=lambda c: c.alias or "", default=None)


def _read_baseline(baseline: object) -> dict[str, object]:
    if isinstance(baseline, str) and baseline:
        return {"loader": baseline}
    if isinstance(baseline, Mapping):
        return {str(name): value for name, value in baseline.items() if name in Case.model_fields}
    return {"loader": DEFAULT_BASELINE}


def _row_order(summary: CaseSummary, wanted: Mapping[str, object]) -> tuple[object, ...]:
    case, loaders, caches = summary.case, list(LOADERS), list(CACHES)
    return (
        not matches(wanted, case),
        loaders.index(case.loader) if case.loader in loaders else len(loaders),
        case.loader,
        caches.index(case.cache) if case.cache in caches else len(caches),
        case.cache,
        case.element,
        case.cache_disk,
        case.cache_reuse,
        case.cache_compression,
        case.decoding,
        -1 if case.workers is None else case.workers,
        (case.shuffle_buffer != "auto", case.shuffle_buffer if isinstance(case.shuffle_buffer, int) else math.inf),
        summary.alias or "",
        _limit_order(case.memory_limit),
    )


def _setting_order(setting: Setting) -> tuple[object, ...]:
    case = setting.case
    return (case.mode != "train", case.data, case.image_size, case.interpolation == "native", setting.key)


def _limit_order(limit: int | str) -> tuple[bool, int]:
    return (isinstance(limit, str), 0 if isinstance(limit, str) else limit)

"""CPU time per image in each stage of a loader: the bars of a report, and the dominant stage. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Literal

from harness.analysis.matrix import Row, Setting
from harness.analysis.stage_settings import stage_key
from harness.bench.protocol.loader_registry import LOADERS, is_own
from harness.values.record import Record
from harness.values.stages import OTHER, PassCosts, StageCosts

DOMINANT_SHARE = 0.5
"""A stage with at least this share of an image's CPU time is named."""
LEAST_S = 0.0005
"""A stage with fewer CPU seconds per image is not named."""
BUSY_SHARE = 0.7
"""Where at least this share of the CPUs is busy, more readers do not help."""

Which = Literal["steady", "first"]


def costs_of(records: Iterable[Record]) -> StageCosts | None:
    """Return the costs of a case; with several hosts those of the host with the median cost of an image."""
    by_host = {record.host: record.stages for record in records if record.stages is not None}
    found = sorted(by_host.values(), key=lambda costs: costs.steady.cpu_s)
    return found[(len(found) - 1) // 2] if found else None


@dataclass(frozen=True)
class StageBar:
    """The costs of a row in its first or its later epochs.

    ``parts_s`` are seconds by stage, empty where they are not split. ``nodes_s`` are elapsed seconds per image of the
    operations of a user's own pipeline, which are not CPU time.
    """

    row: Row
    which: Which
    cpu_s: float
    parts_s: dict[str, float]
    nodes_s: tuple[tuple[str, float, float | None], ...] = ()


def list_bars(setting: Setting) -> list[StageBar]:
    """Return a bar for each row whose costs are known: of later epochs, and of a first epoch that fills a cache.

    Where cases have only one epoch, the bar is of that one. Rows that differ only in their memory limit share a bar.
    """
    bars: dict[str, list[StageBar]] = {}
    for row in setting.rows:
        costs = costs_of(row.summary.records) if row.summary.alias is None else None
        if costs is None:
            continue
        is_single = setting.metric == "first"
        is_filled = costs.first is not None and row.case.cache_reuse == "fresh"
        found = [] if is_single and is_filled else [_make_bar(row, "steady", costs.steady, costs)]
        if costs.first is not None and is_filled:
            found.append(_make_bar(row, "first", costs.first, costs))
        bars.setdefault(stage_key(row.case) + row.case.cache_reuse, found)
    return [bar for found in bars.values() for bar in found]


def _make_bar(row: Row, which: Which, costs: PassCosts, of_case: StageCosts) -> StageBar:
    nodes = of_case.nodes or () if which == "steady" else ()
    elapsed = tuple((node.name, node.elapsed_s / of_case.images, node.parallelism) for node in nodes)
    return StageBar(row, which, costs.cpu_s, costs.parts_s(), elapsed)


@dataclass(frozen=True)
class Dominant:
    """The stage with most of an image's CPU time; ``is_busy``: the CPUs are busy (None: not known)."""

    row: Row
    stage: str
    share: float
    is_busy: bool | None

    @property
    def is_single_threaded(self) -> bool:
        """Return whether the loader has only one thread."""
        loader = self.row.case.loader
        return not is_own(loader) and LOADERS[loader].is_single_threaded


def find_dominant(row: Row, setting: Setting) -> Dominant | None:
    """Return the stage with at least half of an image's CPU time; None where there is none, or it takes little."""
    costs = costs_of(row.summary.records)
    if costs is None:
        return None
    told = costs.first if setting.metric == "first" and costs.first is not None else costs.steady
    parts = told.parts_s()
    total = sum(parts.values())
    if not total:
        return None
    stage = max(parts, key=parts.__getitem__)
    share = parts[stage] / total
    if share < DOMINANT_SHARE or parts[stage] < LEAST_S or stage == OTHER:
        return None
    return Dominant(row, stage, share, _is_busy(row))


def _is_busy(row: Row) -> bool | None:
    """Return whether a case kept the CPUs busy that it could use, by the CPU time of its later epochs."""
    found = []
    for record in row.summary.used:
        epochs = record.epochs[1:] or record.epochs
        used, seconds = [epoch.cpu_s for epoch in epochs if epoch.cpu_s is not None], sum(e.seconds for e in epochs)
        offered = record.environment.get("offered")
        cpus = row.case.cpus or (offered.get("cpus") if isinstance(offered, dict) else None)
        if used and seconds > 0 and isinstance(cpus, int) and cpus > 0:
            found.append(sum(used) / seconds / cpus)
    return median(found) >= BUSY_SHARE if found else None

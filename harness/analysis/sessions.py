"""Two sessions compared: the same cases on the same hardware before and after a change (a driver, a new disk).

Rounds of two sessions have nothing in common, so nothing is paired: hosts that are in both are compared with
themselves; where none is, hosts of equal hardware are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.matrix import HardwareGroup
from harness.analysis.statistics import Estimate, Verdict, estimate_unpaired_ratio, judge_ratio
from harness.analysis.summary import CaseSummary, Metric

Side = Literal["both", "old", "new"]


@dataclass(frozen=True)
class CasePair:
    """One case in two sessions; ``ratio`` (new ÷ old images/s) is None where one side has no result.

    ``side`` says where the case stands at all. ``same_hosts``: hosts were compared with themselves.
    """

    case_id: str
    side: Side
    old: CaseSummary | None
    new: CaseSummary | None
    ratio: Estimate | None
    verdict: Verdict
    same_hosts: bool

    @property
    def has_broken(self) -> bool:
        """Whether it had a result and now has none."""
        return bool(self.old and self.old.used and self.new and not self.new.used)

    def is_slower_than(self, percent: float) -> bool:
        """Whether it is surely slower, and by more than this; a case that broke is slower than anything."""
        if self.has_broken:
            return True
        ratio = self.ratio
        return ratio is not None and ratio.high is not None and ratio.high < 1 and ratio.value < 1 - percent / 100


@dataclass(frozen=True)
class HardwarePair:
    """One hardware in two sessions. ``old_hardware`` differs where the same hosts are other hardware now."""

    old_hardware: str | None
    new_hardware: str | None
    shared_hosts: tuple[str, ...]
    cases: tuple[CasePair, ...]


def compare_sessions(old: Sequence[HardwareGroup], new: Sequence[HardwareGroup]) -> list[HardwarePair]:
    """All hardware of either session, matched by what it is, else by the hosts that are in both."""
    left = list(old)
    pairs = []
    for group in new:
        partner = _find_partner(group, left)
        if partner is not None:
            left.remove(partner)
        pairs.append(_pair_groups(partner, group))
    return [*pairs, *(_pair_groups(group, None) for group in left)]


def _find_partner(group: HardwareGroup, left: Sequence[HardwareGroup]) -> HardwareGroup | None:
    same = next((other for other in left if other.hardware == group.hardware), None)
    if same is not None:
        return same
    shared = [(len(set(group.hosts) & set(other.hosts)), other) for other in left]
    count, best = max(shared, key=lambda pair: pair[0], default=(0, None))
    return best if count else None


def _pair_groups(old: HardwareGroup | None, new: HardwareGroup | None) -> HardwarePair:
    before, after = _summaries(old), _summaries(new)
    shared = tuple(sorted(set(old.hosts) & set(new.hosts))) if old and new else ()
    order = list(dict.fromkeys([*after, *before]))
    cases = tuple(_pair_cases(key, before.get(key), after.get(key), shared) for key in order)
    return HardwarePair(old.hardware if old else None, new.hardware if new else None, shared, cases)


def _summaries(group: HardwareGroup | None) -> dict[str, tuple[CaseSummary, Metric]]:
    if group is None:
        return {}
    return {
        row.summary.case_id: (row.summary, setting.metric)
        for setting in group.settings
        for row in setting.rows
        if row.summary.alias is None
    }


def _pair_cases(
    case_id: str,
    old: tuple[CaseSummary, Metric] | None,
    new: tuple[CaseSummary, Metric] | None,
    shared: Sequence[str],
) -> CasePair:
    if old is None or new is None:
        side: Side = "new" if old is None else "old"
        return CasePair(
            case_id, side, old[0] if old else None, new[0] if new else None, None, Verdict("unknown"), False
        )
    strata = list(_strata(old[0], new[0], new[1], shared))
    same_hosts = bool(strata) and bool(shared)
    ratio = estimate_unpaired_ratio(strata)
    return CasePair(case_id, "both", old[0], new[0], ratio, judge_ratio(ratio), same_hosts)


def _strata(
    old: CaseSummary, new: CaseSummary, metric: Metric, shared: Sequence[str]
) -> Iterable[tuple[list[float], list[float]]]:
    before, after = old.averaged(metric), new.averaged(metric)
    if not shared:
        yield [m.value for m in after], [m.value for m in before]
    for host in shared:
        pair = [m.value for m in after if m.host == host], [m.value for m in before if m.host == host]
        if pair[0] and pair[1]:
            yield pair

"""Comparison of two sessions: the same cases on the same hardware before and after a change (a driver, a new disk).

Rounds of two sessions cannot be paired: a host that is in both sessions is compared with itself; without such a host,
hosts of equal hardware are compared. Where a parameter has one value in the whole old session and another one in the
whole new session, cases that differ only in it are the same case; ``why_not_compared`` decides whether their rates may
be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from harness.analysis.matrix import HardwareGroup
from harness.analysis.short_epochs import say_cure
from harness.analysis.statistics import Estimate, Verdict, estimate_unpaired_ratio, judge_ratio
from harness.analysis.summary import CaseSummary, Metric, metric_of
from harness.values.case import Case
from harness.values.names import name_value
from harness.values.record import Record

Side = Literal["both", "old", "new"]

WORK = ("data", "mode", "model", "image_size", "interpolation", "augment", "precision", "deliver")
"""Parameters that define the work and the images: rates with different values are not compared."""

_SAID = {"data": "data set"}


@dataclass(frozen=True)
class Change:
    """A parameter with different values in the new session; ``old`` and ``new`` are its values, in order."""

    name: str
    old: tuple[object, ...]
    new: tuple[object, ...]

    @property
    def is_general(self) -> bool:
        """Return whether all cases of each side have one value."""
        return len(self.old) == len(self.new) == 1


@dataclass(frozen=True)
class CasePair:
    """A case in two sessions; ``ratio`` (new ÷ old images/s) is None where one side has no result.

    ``side`` states which sessions have the case. ``case`` is that of the new session, or what it would be there;
    ``not_compared`` is why the rates of both sides cannot be compared.
    """

    case: Case
    side: Side
    old: CaseSummary | None
    new: CaseSummary | None
    ratio: Estimate | None
    verdict: Verdict
    not_compared: str | None = None

    @property
    def records(self) -> tuple[Record, ...]:
        """Return the records of both sides, those of the old session first."""
        return tuple(record for side in (self.old, self.new) if side is not None for record in side.records)

    @property
    def has_broken(self) -> bool:
        """Return whether the case had a result and now has none, although it does the same work."""
        if self.not_compared is not None:
            return False
        return bool(self.old and self.old.used and self.new and not self.new.used)

    def is_slower_than(self, percent: float) -> bool:
        """Return whether the case is certainly slower, and by more than this; a case without a result counts, too."""
        if self.has_broken:
            return True
        ratio = self.ratio
        return ratio is not None and ratio.high is not None and ratio.high < 1 and ratio.value < 1 - percent / 100


@dataclass(frozen=True)
class HardwarePair:
    """A hardware in two sessions; ``old_hardware`` differs where the same hosts have new hardware."""

    old_hardware: str | None
    new_hardware: str | None
    shared_hosts: tuple[str, ...]
    cases: tuple[CasePair, ...]


def find_changes(old: Sequence[HardwareGroup], new: Sequence[HardwareGroup]) -> list[Change]:
    """Find the parameters of cases whose values differ between two sessions, in the order of ``Case``."""
    before, after = (list(dict.fromkeys(s.case for g in side for s in _summaries(g))) for side in (old, new))
    found = []
    for name in Case.model_fields if before and after else ():
        values = [_values_of(name, cases) for cases in (before, after)]
        if values[0] and values[1] and set(values[0]) != set(values[1]):
            found.append(Change(name, *values))
    return found


def _values_of(name: str, cases: Iterable[Case]) -> tuple[object, ...]:
    """Return the values of a parameter; the missing model of loading is not a value."""
    found = dict.fromkeys(getattr(case, name) for case in cases)
    return tuple(value for value in found if not (name == "model" and value is None))


def why_not_compared(old: CaseSummary, new: CaseSummary) -> str | None:
    """Return why the rates of a case in two sessions are of different work; None where they may be compared."""
    for name in WORK:
        before, after = getattr(old.case, name), getattr(new.case, name)
        if before != after:
            return f"{_say_value(name, before)} against {_say_value(name, after)}"
    if (old.case.epochs > 1) != (new.case.epochs > 1):
        kinds = ["later epochs" if side.case.epochs > 1 else "the only epoch" for side in (old, new)]
        return " against ".join(kinds)
    counts = _images(old), _images(new)
    if counts[0] != counts[1] and None not in counts:
        return f"{counts[0]:,} images against {counts[1]:,}"
    if old.case.max_images != new.case.max_images:
        return f"{_say_cap(old.case)} against {_say_cap(new.case)}"
    if _prints(old).isdisjoint(_prints(new)):
        return f"different files in data set {new.case.data}"
    return None


def _say_value(name: str, value: object) -> str:
    said = name_value(name, value)
    return said if name in ("mode", "image_size", "model") else f"{_SAID.get(name, name)} {said}"


def _say_cap(case: Case) -> str:
    return "all images" if case.max_images is None else f"at most {case.max_images:,} images"


def _images(summary: CaseSummary) -> int | None:
    """Return the images of a whole epoch; None where none was completed."""
    return next((record.epochs[0].images for record in summary.records if record.epochs), None)


def compare_sessions(old: Sequence[HardwareGroup], new: Sequence[HardwareGroup]) -> list[HardwarePair]:
    """Pair all hardware of two sessions, by its name, else by the hosts that are in both."""
    general = {change.name: change.new[0] for change in find_changes(old, new) if change.is_general}
    left = list(old)
    pairs = []
    for group in new:
        partner = _find_partner(group, left)
        if partner is not None:
            left.remove(partner)
        pairs.append(_pair_groups(partner, group, general))
    return [*pairs, *(_pair_groups(group, None, general) for group in left)]


def _find_partner(group: HardwareGroup, left: Sequence[HardwareGroup]) -> HardwareGroup | None:
    same = next((other for other in left if other.hardware == group.hardware), None)
    if same is not None:
        return same
    shared = [(len(set(group.hosts) & set(other.hosts)), other) for other in left]
    count, best = max(shared, key=lambda pair: pair[0], default=(0, None))
    return best if count else None


def _pair_groups(old: HardwareGroup | None, new: HardwareGroup | None, general: Mapping[str, object]) -> HardwarePair:
    before = _by_case((_as_new(summary.case, general), summary) for summary in _summaries(old))
    after = _by_case((summary.case, summary) for summary in _summaries(new))
    shared = tuple(sorted(set(old.hosts) & set(new.hosts))) if old and new else ()
    order = dict.fromkeys([*after, *before])
    cases = tuple(
        _pair_cases(case, *pair, shared)
        for case in order
        for pair in _pair_files(before.get(case, []), after.get(case, []))
    )
    return HardwarePair(old.hardware if old else None, new.hardware if new else None, shared, cases)


def _by_case(found: Iterable[tuple[Case, CaseSummary]]) -> dict[Case, list[CaseSummary]]:
    """Return the summaries of each case, one for each set of files on which it was measured."""
    by_case: dict[Case, list[CaseSummary]] = {}
    for case, summary in found:
        by_case.setdefault(case, []).append(summary)
    return by_case


def _pair_files(
    old: Sequence[CaseSummary], new: Sequence[CaseSummary]
) -> Iterable[tuple[CaseSummary | None, CaseSummary | None]]:
    """Pair summaries of the same files; the others are paired with each other, and are then not compared."""
    left = list(old)
    rest = []
    for summary in new:
        same = next((other for other in left if _prints(other) & _prints(summary)), None)
        if same is None:
            rest.append(summary)
            continue
        left.remove(same)
        yield same, summary
    yield from zip_longest(left, rest)


def _prints(summary: CaseSummary) -> set[str]:
    return {record.data_fingerprint for record in summary.records}


def _as_new(case: Case, general: Mapping[str, object]) -> Case:
    """Return a case of the old session with all general changes; loading has no model that could change."""
    changed = {name: value for name, value in general.items() if name != "model" or case.model is not None}
    return case.model_copy(update=changed)


def _summaries(group: HardwareGroup | None) -> list[CaseSummary]:
    if group is None:
        return []
    rows = (row for setting in group.settings for row in setting.rows)
    return [row.summary for row in rows if row.summary.alias is None]


def _pair_cases(case: Case, old: CaseSummary | None, new: CaseSummary | None, shared: Sequence[str]) -> CasePair:
    if old is None or new is None:
        return CasePair(case, "new" if old is None else "old", old, new, None, Verdict("unknown"))
    reason = why_not_compared(old, new)
    if reason is not None:
        return CasePair(case, "both", old, new, None, Verdict("unknown"), not_compared=reason)
    ratio = estimate_unpaired_ratio(list(_strata(old, new, metric_of(case), shared)))
    short = [found for side in (old, new) if (found := side.short_epochs(metric_of(case))) is not None]
    if short and ratio is not None:
        needed = max(found.images_needed for found in short)
        reason = f"epochs of {min(found.seconds for found in short):.3f} s are too short: {say_cure(needed)}"
        return CasePair(case, "both", old, new, None, Verdict("unknown"), not_compared=reason)
    return CasePair(case, "both", old, new, ratio, judge_ratio(ratio))


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

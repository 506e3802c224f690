"""What changed between two sessions: facts of hosts, versions, digests, data; and each case beside itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.analysis.matrix import build_matrix
from harness.analysis.sessions import CasePair, HardwarePair, compare_sessions
from harness.analysis.statistics import Estimate
from harness.analysis.summary import CaseSummary
from harness.report.hardware import compare_facts
from harness.report.marks import say_ends
from harness.report.session_data import SessionData
from harness.report.view import Mark
from harness.report.words import (
    NOTHING,
    CaseNames,
    cap_list,
    clean_text,
    format_number,
    format_range,
    format_ratio,
    join_words,
    plural,
    split_hardware,
)

_SIGNS = {
    "faster": Mark("▲", "faster", "good"),
    "slower": Mark("▼", "slower", "bad"),
    "same": Mark("≈", "about the same", "quiet"),
}
_VERSIONS = ("python", "tensorflow", "keras", "numpy", "pillow", "jpeg", "cuda", "engine_version")


@dataclass(frozen=True)
class ChangeRow:
    """One case: images/s before and after, with their intervals, ratio and verdict."""

    case: str
    case_id: str
    old: str
    new: str
    ratio: str
    interval: str
    verdict: Mark
    is_failing: bool


@dataclass(frozen=True)
class ChangeGroup:
    """One hardware; ``note`` says how its hosts were matched. ``only`` names cases that one side alone has."""

    heading: str
    note: str
    rows: tuple[ChangeRow, ...]
    only: tuple[str, ...]


@dataclass(frozen=True)
class ChangeView:
    """The comparison of two sessions. ``failing`` are the cases that ``--fail-slower`` counts."""

    old: str
    new: str
    facts: tuple[str, ...]
    groups: tuple[ChangeGroup, ...]
    failing: int

    def to_json(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


def view_changes(
    old: Sequence[SessionData], new: Sequence[SessionData], fail_slower_percent: float | None = None
) -> ChangeView:
    """Compare two sides of one session or several each; pure."""
    sides = []
    for sessions in (old, new):
        baseline = next((s.experiment.get("baseline") for s in sessions if s.experiment.get("baseline")), None)
        sides.append(build_matrix([record for s in sessions for record in s.records], baseline))
    pairs = compare_sessions(*sides)
    groups = tuple(_view_pair(pair, fail_slower_percent) for pair in pairs)
    return ChangeView(
        old=cap_list([clean_text(s.name, 120) for s in old], 4),
        new=cap_list([clean_text(s.name, 120) for s in new], 4),
        facts=tuple(clean_text(text, 400) for text in _changed(old, new)),
        groups=groups,
        failing=sum(row.is_failing for group in groups for row in group.rows),
    )


def _changed(old: Sequence[SessionData], new: Sequence[SessionData]) -> Iterable[str]:
    before = {host: facts for session in old for host, facts in session.facts.items()}
    after = {host: facts for session in new for host, facts in session.facts.items()}
    by_change: dict[str, list[str]] = {}
    for host in sorted(before.keys() & after.keys()):
        for change in compare_facts(before[host], after[host]):
            by_change.setdefault(change, []).append(clean_text(host, 40))
    for change, hosts in by_change.items():
        yield f"{change} ({cap_list(hosts, 6)})"
    for name in ("image_digest", "payload_digest", "engine"):
        yield from _change(name.replace("_", " "), _values(old, name), _values(new, name))
    for name in _VERSIONS:
        yield from _change(name.replace("_", " "), _versions(old, name), _versions(new, name))
    for data in sorted(_data(old).keys() & _data(new).keys()):
        yield from _change(f"data set {data}", _data(old)[data], _data(new)[data])


def _change(name: str, before: set[str], after: set[str]) -> Iterable[str]:
    if before != after and before and after:
        yield f"{name}: {join_words(sorted(before))} → {join_words(sorted(after))}"


def _values(sessions: Sequence[SessionData], name: str) -> set[str]:
    return {str(getattr(record, name))[:12] for session in sessions for record in session.records}


def _versions(sessions: Sequence[SessionData], name: str) -> set[str]:
    found = (record.environment.get(name) for session in sessions for record in session.records)
    return {str(value) for value in found if value is not None}


def _data(sessions: Sequence[SessionData]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for session in sessions:
        for record in session.records:
            found.setdefault(record.case.data, set()).add(record.data_fingerprint[:12])
    return found


def _view_pair(pair: HardwarePair, percent: float | None) -> ChangeGroup:
    known = pair.new_hardware or pair.old_hardware or ""
    heading = split_hardware(known)[0]
    if pair.old_hardware is None or pair.new_hardware is None:
        note = f"in the {'new' if pair.old_hardware is None else 'old'} session only"
    elif pair.old_hardware != pair.new_hardware:
        note = (
            f"was {split_hardware(pair.old_hardware)[0]}; matched by {plural(len(pair.shared_hosts), 'host')} in both"
        )
    elif pair.shared_hosts:
        note = f"{cap_list([clean_text(h, 40) for h in pair.shared_hosts], 8)}: each compared with itself"
    else:
        note = "no host is in both: different hosts of equal hardware are compared"
    both = [case for case in pair.cases if case.side == "both"]
    return ChangeGroup(
        heading=heading,
        note=note,
        rows=tuple(_view_case(case, percent) for case in both),
        only=tuple(f"{_name(case)}: in the {case.side} session only" for case in pair.cases if case.side != "both"),
    )


def _view_case(case: CasePair, percent: float | None) -> ChangeRow:
    return ChangeRow(
        case=_name(case),
        case_id=case.case_id,
        old=_rate(case.old),
        new=_rate(case.new),
        ratio=format_ratio(case.ratio.value) if case.ratio else NOTHING,
        interval=format_range(case.ratio, is_ratio=True),
        verdict=_mark(case),
        is_failing=percent is not None and case.is_slower_than(percent),
    )


def _name(case: CasePair) -> str:
    summary = case.new or case.old
    return CaseNames([summary.case]).name(summary.case) if summary else NOTHING


def _rate(summary: CaseSummary | None) -> str:
    if summary is None:
        return NOTHING
    rate: Estimate | None = summary.steady_images_per_s or summary.first_images_per_s
    if rate is None or not summary.used:
        return say_ends(summary.records)
    return format_number(rate.value) + (f" ({format_range(rate)})" if rate.has_interval else "")


def _mark(case: CasePair) -> Mark:
    verdict, ratio = case.verdict, case.ratio
    if case.has_broken:
        return Mark("✕", "had a result, now has none", "bad")
    if ratio is None:
        return Mark("", "nothing to compare", "none")
    if verdict.kind == "unknown":
        if ratio.low is None:
            return Mark("?", "can’t tell", "open", "one invocation gives no interval")
        lean = f"leans {verdict.side}" if verdict.side else ""
        return Mark("?", "can’t tell", "open", lean)
    signs = {
        "faster": ("▲", "faster", "good"),
        "slower": ("▼", "slower", "bad"),
        "same": ("≈", "about the same", "quiet"),
    }
    return Mark(*signs[verdict.kind])

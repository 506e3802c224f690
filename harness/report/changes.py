"""What changed between two sessions: parameters, data, versions and facts of hosts, and the rates of each case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from harness.analysis.session_comparison import CasePair, Change, HardwarePair, compare_sessions, find_changes
from harness.analysis.signs import VERDICTS
from harness.analysis.summary import CaseSummary
from harness.records.session_data import SessionData
from harness.report.groups import group_sessions
from harness.report.hardware import compare_facts
from harness.report.labels import label_look, say_doubts, say_ends
from harness.report.view import Mark
from harness.report.words import format_range, format_ratio, say_rate, split_hardware
from harness.values.digest import canonical_json
from harness.values.names import CaseNames, name_value
from harness.values.record import ABSENT, Record
from harness.values.text import NOTHING, cap_list, clean_text, join_words, plural

_VERSIONS = ("python", "tensorflow", "keras", "numpy", "pillow", "jpeg", "cuda", "engine_version")
_RULES = ("name", "rounds", "baseline", "seed", "budget_s", "timeout_s", "stall_rounds", "interval")
"""Fields of an experiment besides its parameters."""


@dataclass(frozen=True)
class ChangeRow:
    """One case: images/s before and after, with their intervals, ratio and verdict.

    ``case`` is its name and what changed for it; ``case_id`` and ``data``, its data set, are the new session's.
    """

    case: str
    data: str
    case_id: str
    old: str
    new: str
    ratio: str
    interval: str
    verdict: Mark
    is_failing: bool


@dataclass(frozen=True)
class ChangeGroup:
    """One hardware; ``note`` states how its hosts were matched, ``only`` names cases that just one session has."""

    heading: str
    note: str
    rows: tuple[ChangeRow, ...]
    only: tuple[str, ...]


@dataclass(frozen=True)
class ChangeView:
    """The comparison of two sessions: ``facts`` are what changed, parameters first.

    ``failing`` counts the cases that ``--fail-slower`` counts, ``not_compared`` those whose rates are of other work.
    """

    old: str
    new: str
    facts: tuple[str, ...]
    groups: tuple[ChangeGroup, ...]
    failing: int
    not_compared: int

    def to_json(self) -> dict[str, object]:
        """Return the comparison for programs."""
        return asdict(self)


def view_changes(
    old: Sequence[SessionData], new: Sequence[SessionData], fail_slower_percent: float | None = None
) -> ChangeView:
    """Compare two sides, each of one or more sessions. Pure."""
    sides = [group_sessions(sessions) for sessions in (old, new)]
    pairs, changes = compare_sessions(*sides), find_changes(*sides)
    names = CaseNames(case.case for pair in pairs for case in pair.cases)
    groups = tuple(_view_pair(pair, names, changes, fail_slower_percent) for pair in pairs)
    facts = [*_changed_parameters(changes), *_changed_data(old, new), *_changed_rest(old, new)]
    return ChangeView(
        old=cap_list([clean_text(s.name, 120) for s in old], 4),
        new=cap_list([clean_text(s.name, 120) for s in new], 4),
        facts=tuple(clean_text(text, 400) for text in facts),
        groups=groups,
        failing=sum(row.is_failing for group in groups for row in group.rows),
        not_compared=sum(case.not_compared is not None for pair in pairs for case in pair.cases),
    )


def _changed_parameters(changes: Sequence[Change]) -> Iterable[str]:
    for change in changes:
        yield f"{_say_parameter(change.name)}: {_say_values(change.name, change.old, change.new)}"


def _say_parameter(name: str) -> str:
    return name.replace("_", " ")


def _say_values(name: str, old: Sequence[object], new: Sequence[object]) -> str:
    return " → ".join(", ".join(name_value(name, value) for value in side) for side in (old, new))


def _changed_data(old: Sequence[SessionData], new: Sequence[SessionData]) -> Iterable[str]:
    """Yield the images per epoch and the files of each data set, where they differ."""
    before, after = _data(old), _data(new)
    for name in sorted(before.keys() & after.keys()):
        (images, prints), (images_now, prints_now) = before[name], after[name]
        if images != images_now:
            yield f"images per epoch of data set {name}: {_say_counts(images)} → {_say_counts(images_now)}"
        yield from _change(f"files of data set {name} (fingerprint)", prints, prints_now)


def _say_counts(counts: set[int]) -> str:
    return ", ".join(f"{count:,}" for count in sorted(counts)) or "none delivered"


def _data(sessions: Sequence[SessionData]) -> dict[str, tuple[set[int], set[str]]]:
    """Return the images of whole epochs and the fingerprints of each data set."""
    found: dict[str, tuple[set[int], set[str]]] = {}
    for session in sessions:
        for record in session.records:
            images, prints = found.setdefault(record.case.data, (set(), set()))
            images.update(epoch.images for epoch in record.epochs[:1])
            prints.add(record.data_fingerprint[:12])
    return found


def _changed_rest(old: Sequence[SessionData], new: Sequence[SessionData]) -> Iterable[str]:
    """Yield changes in rules, images, versions, and in the facts of hosts that both sides have."""
    for name in _RULES:
        said = "experiment" if name == "name" else _say_parameter(name)
        yield from _change(said, _rules(old, name), _rules(new, name))
    for name in ("image_digest", "payload_digest", "engine"):
        yield from _change(name.replace("_", " "), _values(old, name), _values(new, name))
    for name in _VERSIONS:
        yield from _change(name.replace("_", " "), _versions(old, name), _versions(new, name))
    yield from _change("harness", _programs(old), _programs(new))
    before = {host: facts for session in old for host, facts in session.facts.items()}
    after = {host: facts for session in new for host, facts in session.facts.items()}
    by_change: dict[str, list[str]] = {}
    for host in sorted(before.keys() & after.keys()):
        for change in compare_facts(before[host], after[host]):
            by_change.setdefault(change, []).append(clean_text(host, 40))
    for change, hosts in by_change.items():
        yield f"{change} ({cap_list(hosts, 6)})"


def _change(name: str, before: set[str], after: set[str]) -> Iterable[str]:
    if before != after and before and after:
        yield f"{name}: {join_words(sorted(before))} → {join_words(sorted(after))}"


def _values(sessions: Sequence[SessionData], name: str) -> set[str]:
    return {str(getattr(record, name))[:12] for session in sessions for record in session.records}


def _rules(sessions: Sequence[SessionData], name: str) -> set[str]:
    found = (session.content.experiment.plain().get(name) for session in sessions)
    return {value if isinstance(value, str) else canonical_json(value) for value in found if value is not None}


def _programs(sessions: Sequence[SessionData]) -> set[str]:
    found = (session.content.versions for session in sessions)
    return {versions["harness"] for versions in found if "harness" in versions}


def _versions(sessions: Sequence[SessionData], name: str) -> set[str]:
    found = (record.environment.get(name) for session in sessions for record in session.records)
    return {str(value) for value in found if value is not None}


def _view_pair(pair: HardwarePair, names: CaseNames, changes: Sequence[Change], percent: float | None) -> ChangeGroup:
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
    general = [change for change in changes if change.is_general]
    counts = Counter(case.case for case in pair.cases)
    called = [(case, _name(case, names, general, with_files=counts[case.case] > 1)) for case in pair.cases]
    return ChangeGroup(
        heading=heading,
        note=note,
        rows=tuple(_view_case(case, name, percent) for case, name in called if case.side == "both"),
        only=tuple(
            f"{name}, data set {clean_text(case.case.data, 80)}, {_say_hosts(case.records)}: "
            f"{'these files ' if counts[case.case] > 1 else ''}"
            f"in the {case.side} session only{_say_lack(case.new or case.old)}"
            for case, name in called
            if case.side != "both"
        ),
    )


def _say_hosts(records: Iterable[Record]) -> str:
    hosts = sorted({clean_text(record.host, 40) for record in records})
    return f"host{'s' if len(hosts) > 1 else ''} {cap_list(hosts, 6)}"


def _view_case(case: CasePair, name: str, percent: float | None) -> ChangeRow:
    return ChangeRow(
        case=name,
        data=clean_text(case.case.data, 80),
        case_id=case.case.case_id,
        old=_say_side(case.old),
        new=_say_side(case.new),
        ratio=format_ratio(case.ratio.value) if case.ratio else NOTHING,
        interval=format_range(case.ratio, is_ratio=True),
        verdict=_mark(case),
        is_failing=percent is not None and case.is_slower_than(percent),
    )


def _name(case: CasePair, names: CaseNames, general: Sequence[Change], *, with_files: bool) -> str:
    """Return a case's name with what changed for it; for a case of just one session, with its values there.

    ``with_files`` adds the fingerprints of its files, for a case that occurs more than once.
    """
    said = [names.name(case.case)]
    for name in (change.name for change in general):
        values = [getattr(side.case, name) for side in (case.old, case.new) if side is not None]
        if name == "model" and values[0] is None:
            continue  # loading has no model
        said.append(f"{_say_parameter(name)} {' → '.join(name_value(name, value) for value in values)}")
    if with_files:
        prints = sorted({record.data_fingerprint[:12] for record in case.records})
        said.append(f"files {' → '.join('not known' if one == ABSENT else one for one in prints)}")
    return clean_text(", ".join(said), 300)


def _say_side(summary: CaseSummary | None) -> str:
    """Return a case's rate in one session and what disturbed it, or how the case ended without a rate."""
    if summary is None:
        return NOTHING
    rate = summary.rate()
    if rate is None or not summary.used:
        return say_ends(summary.records)
    doubts = say_doubts(summary)
    return f"{say_rate(rate)}; {doubts}" if doubts else say_rate(rate)


def _say_lack(summary: CaseSummary | None) -> str:
    """Return how a case of just one session ended, if it has no result there."""
    return "" if summary is None or summary.used else f", {say_ends(summary.records)}"


def _mark(case: CasePair) -> Mark:
    verdict, ratio = case.verdict, case.ratio
    if case.not_compared is not None:
        return Mark("≠", "not compared", "quiet", clean_text(case.not_compared))
    if case.has_broken:
        return Mark("✗", "had a result, now has none", "bad")
    if ratio is None:
        return Mark("", "nothing to compare", "none", "no result in either" if not (case.old and case.old.used) else "")
    if verdict.kind == "unknown":
        if ratio.low is None:
            return label_look(VERDICTS["unknown"], "fewer than three runs give no interval")
        return label_look(VERDICTS["unknown"], f"so far {verdict.side}" if verdict.side else "")
    return label_look(VERDICTS[verdict.kind])

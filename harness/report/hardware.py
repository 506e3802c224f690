"""Cards of hardware: what hosts of one kind are, and where they differ in facts or in results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.analysis.outcomes import outcome_of
from harness.analysis.signs import LOOKS, Kind
from harness.analysis.statistics import THRESHOLD
from harness.records.session_data import SessionData
from harness.report.view import HardwareCard
from harness.report.words import format_ratio, split_hardware
from harness.values.facts import Facts
from harness.values.names import CaseNames
from harness.values.text import NOTHING, cap_list, clean_text, join_words, plural
from harness.values.units import format_bytes

_MOST_DIFFERENCES = 12
_MOST_NAMES = 3
_AMOUNT = re.compile(r"\b[0-9]+ GB\b")
_FAR_OFF = 1.10
"""A host is named if its rate differs by this factor from the median of the other hosts of its kind."""


def view_card(group: HardwareGroup, sessions: Sequence[SessionData], names: CaseNames) -> HardwareCard:
    """View the card of one hardware."""
    known = _known_facts(group, sessions)
    hosts = [clean_text(host, 80) for host in group.hosts]
    differences = [*_differ_in_fact(known), *_differ_in_result(group, names)]
    left = len(differences) - _MOST_DIFFERENCES
    if left > 0:
        differences = [*differences[:_MOST_DIFFERENCES], f"and {left} more"]
    return HardwareCard(
        facts=tuple((name, _shared(known.values(), pick)) for name, pick in _CARD.items()) if known else (),
        hosts=f"{plural(len(hosts), 'host')}: {cap_list(hosts, 20)}",
        differences=tuple(clean_text(text, 400) for text in differences),
    )


def _known_facts(group: HardwareGroup, sessions: Sequence[SessionData]) -> dict[str, Facts]:
    """Return the facts of a group's hosts, from sessions in which they were this hardware where there are any."""
    found = [(host, s.facts[host]) for s in sessions for host in group.hosts if host in s.facts]
    same = {host: facts for host, facts in found if facts.hardware == group.hardware}
    return same or dict(found)


def name_groups(groups: Sequence[HardwareGroup], sessions: Sequence[SessionData]) -> list[str]:
    """Return a heading for each group: its hardware, and what distinguishes it from a group of similar hardware.

    These are the inventory's names for its hosts, and facts that differ and are not in the name, such as usable CPUs.
    """
    labels = [split_hardware(group.hardware)[0] for group in groups]
    kinds = [_AMOUNT.sub("", label) for label in labels]
    said: list[str] = []
    for place, group in enumerate(groups):
        others = [other for n, other in enumerate(groups) if n != place and kinds[n] == kinds[place]]
        heading = labels[place]
        if others:
            names = _inventory_names(group, [other for n, other in enumerate(groups) if n != place], sessions)
            heading += f" · {', '.join(names)}" if names else ""
            facts = list(_tell_apart(group, others, sessions))
            heading += f" ({'; '.join(facts)})" if facts else ""
        if heading in said:
            heading += f" ({clean_text(split_hardware(group.hardware)[1], 20) or place + 1})"
        said.append(heading)
    return said


def _inventory_names(
    group: HardwareGroup, others: Iterable[HardwareGroup], sessions: Sequence[SessionData]
) -> list[str]:
    """Return the inventory's groups that hold hosts of this hardware and of no other."""
    mine, elsewhere = set(group.hosts), {host for other in others for host in other.hosts}
    found = {
        name: None
        for session in sessions
        for name, hosts in session.content.inventory.groups.items()
        if mine.intersection(hosts) and elsewhere.isdisjoint(hosts)
    }
    return [clean_text(name, 80) for name in list(found)[:_MOST_NAMES]]


def _tell_apart(
    group: HardwareGroup, others: Iterable[HardwareGroup], sessions: Sequence[SessionData]
) -> Iterable[str]:
    known, beside = _known_facts(group, sessions), [_known_facts(other, sessions) for other in others]
    for name, pick in _APART.items():
        mine = _shared(known.values(), pick)
        if known and any(_shared(facts.values(), pick) != mine for facts in beside if facts):
            yield f"{mine} usable" if name == _USABLE else f"{name} {mine}"


def _gpus(facts: Facts) -> str:
    found = [f"{gpu.name}, {format_bytes(gpu.memory_bytes)}" for gpu in facts.gpus]
    if facts.silent_gpus:
        found.append(f"{plural(len(facts.silent_gpus), 'GPU')} whose driver does not answer")
    return "; ".join(found) or "none"


def _disks(facts: Facts) -> str:
    scratch = facts.disks.get("scratch")
    return NOTHING if scratch is None else f"{scratch.kind}, {scratch.filesystem or NOTHING}"


def _cores(facts: Facts) -> str:
    usable = f", {len(facts.usable_cpus)} usable" if facts.usable_cpus else ""
    return f"{facts.logical_cpus if facts.logical_cpus is not None else NOTHING}{usable}"


_CARD: Mapping[str, Callable[[Facts], str]] = {
    "CPU": lambda facts: facts.cpu_model or NOTHING,
    "logical CPUs": _cores,
    "RAM": lambda facts: format_bytes(facts.ram_bytes),
    "GPU": _gpus,
    "GPU driver": lambda facts: join_words(sorted({gpu.driver or NOTHING for gpu in facts.gpus})) or "none",
    "disk for caches": _disks,
}
_USABLE = "usable CPUs"
_APART: Mapping[str, Callable[[Facts], str]] = {
    _USABLE: lambda facts: plural(len(facts.usable_cpus) or facts.logical_cpus or 0, "CPU"),
    **{name: _CARD[name] for name in ("GPU", "GPU driver", "disk for caches")},
}
_COMPARED: Mapping[str, Callable[[Facts], str]] = {
    **_CARD,
    "kernel": lambda facts: facts.kernel or NOTHING,
    "system": lambda facts: facts.os or NOTHING,
    "governor": lambda facts: facts.governor or NOTHING,
    "turbo": lambda facts: {True: "on", False: "off", None: NOTHING}[facts.turbo],
    "cgroup": lambda facts: NOTHING if facts.cgroup_version is None else f"v{facts.cgroup_version}",
    "swap": lambda facts: format_bytes(facts.swap_bytes),
}


def _shared(known: Iterable[Facts], pick: Callable[[Facts], str]) -> str:
    return clean_text(" / ".join(dict.fromkeys(pick(facts) for facts in known)), 200)


def compare_facts(old: Facts, new: Facts) -> list[str]:
    """Return what changed in a host between two sessions, in words."""
    found = []
    for name, pick in _COMPARED.items():
        before, after = pick(old), pick(new)
        if before != after:
            found.append(f"{name}: {before} → {after}")
    return found


def _differ_in_fact(known: Mapping[str, Facts]) -> Iterable[str]:
    for name, pick in _COMPARED.items():
        by_value: dict[str, list[str]] = {}
        for host, facts in sorted(known.items()):
            by_value.setdefault(pick(facts), []).append(clean_text(host, 80))
        if len(by_value) > 1:
            said = [f"{value} on {cap_list(hosts, 4)}" for value, hosts in by_value.items()]
            yield f"{name} differs: {'; '.join(said)}"


def _differ_in_result(group: HardwareGroup, names: CaseNames) -> Iterable[str]:
    if len(group.hosts) < 2:
        return
    for setting in group.settings:
        for row in setting.rows:
            hosts: dict[Kind, set[str]] = {}
            for record in row.summary.records:
                hosts.setdefault(outcome_of(record).kind, set()).add(clean_text(record.host, 40))
            if len(hosts) > 1 and not set.intersection(*hosts.values()):
                said = [f"{LOOKS[kind].word} on {cap_list(sorted(hosts[kind]), 4)}" for kind in LOOKS if kind in hosts]
                yield f"{names.name(row.case)} ended differently: {'; '.join(said)}"
            yield from _far_off(row, setting, names)


def _far_off(row: Row, setting: Setting, names: CaseNames) -> Iterable[str]:
    by_host: dict[str, list[float]] = {}
    for measurement in row.summary.averaged(setting.metric):
        by_host.setdefault(measurement.host, []).append(measurement.value)
    if len(by_host) < 2 or row.summary.alias is not None:
        return
    rates = {host: median(values) for host, values in by_host.items()}
    for host, rate in sorted(rates.items()):
        rest = median(other for name, other in rates.items() if name != host)
        is_pair_named = len(rates) == 2 and rate > rest
        if max(rate / rest, rest / rate) > max(_FAR_OFF, THRESHOLD) and not is_pair_named:
            yield (
                f"{clean_text(host, 40)} delivers {format_ratio(rate / rest)} the images/s of the other hosts "
                f"in {names.name(row.case)}"
            )

"""Environment: what each host is, and the digests, versions and seed that a repetition needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.records.session_data import SessionData
from harness.report.view import HostView
from harness.report.words import NOTHING, cap_list, clean_text, plural
from harness.values.facts import Facts
from harness.values.record import Record
from harness.values.units import format_bytes

_VERSIONS = ("python", "tensorflow", "keras", "numpy", "pillow", "jpeg", "cuda")
_MOST_HOSTS = 100


def view_hosts(sessions: Sequence[SessionData]) -> list[HostView]:
    """Facts and engine of each host of each session."""
    views: list[HostView] = []
    for session in sessions:
        by_host: dict[str, list[Record]] = {host: [] for host in session.facts}
        for record in session.records:
            by_host.setdefault(record.host, []).append(record)
        for name, records in sorted(by_host.items())[: _MOST_HOSTS - len(views)]:
            label = clean_text(name if len(sessions) == 1 else f"{name} ({session.name})", 120)
            views.append(HostView(label, tuple(_host_pairs(session, name, records))))
    return views


def _host_pairs(session: SessionData, host: str, records: Sequence[Record]) -> Iterable[tuple[str, str]]:
    facts = session.facts.get(host)
    if facts is not None:
        yield from _fact_pairs(facts)
    chosen = [event for event in session.events_of("EngineChosen") if event.get("host") == host]
    if chosen:
        reason = f" ({chosen[-1]['reason']})" if chosen[-1].get("reason") else ""
        yield "engine", clean_text(f"{chosen[-1].get('engine')} {chosen[-1].get('version') or ''}{reason}")
    else:
        engines = sorted({record.engine for record in records})
        yield "engine", clean_text(cap_list(engines) or NOTHING)
    enforced = sorted({record.memory.enforced_by for record in records if record.memory.enforced_by})
    if enforced:
        yield "limits enforced by", clean_text(cap_list(enforced))


def _fact_pairs(facts: Facts) -> Iterable[tuple[str, str]]:
    cpus = f"{NOTHING} logical CPUs" if facts.logical_cpus is None else plural(facts.logical_cpus, "logical CPU")
    yield "CPU", clean_text(f"{facts.cpu_model or NOTHING}, {cpus}")
    yield "RAM", f"{format_bytes(facts.ram_bytes)}, {format_bytes(facts.available_bytes)} available at the start"
    yield "swap", format_bytes(facts.swap_bytes)
    gpus = [f"{g.name}, {format_bytes(g.memory_bytes)}, driver {g.driver or NOTHING}" for g in facts.gpus]
    yield "GPU", clean_text("; ".join(gpus) or "none")
    for name, disk in sorted(facts.disks.items()):
        free = f"{format_bytes(disk.free_bytes)} of {format_bytes(disk.total_bytes)} free"
        yield f"disk {clean_text(name, 40)}", clean_text(f"{disk.kind}, {disk.filesystem or NOTHING}, {free}")
    yield (
        "system",
        clean_text(f"{facts.os or NOTHING}, kernel {facts.kernel or NOTHING}, {facts.architecture or NOTHING}"),
    )
    cgroup = NOTHING if facts.cgroup_version is None else f"v{facts.cgroup_version}"
    yield "cgroup, governor", clean_text(f"{cgroup}, {facts.governor or NOTHING}")
    for label, value in facts.others.items():
        yield clean_text(label, 40), NOTHING if value is None else clean_text(str(value), 120)
    yield "load at the start", NOTHING if facts.load_1m is None else f"{facts.load_1m:.2f}"


def view_environment(sessions: Sequence[SessionData]) -> list[tuple[str, str]]:
    """Digests, versions, data sets and seeds of all sessions, each said once."""
    pairs: list[tuple[str, str]] = []
    for session in sessions:
        prefix = "" if len(sessions) == 1 else f"{session.name}: "
        pairs += [(clean_text(prefix + name), clean_text(value, 400)) for name, value in _session_pairs(session)]
    return pairs


def _session_pairs(session: SessionData) -> Iterable[tuple[str, str]]:
    yield "session", session.name
    yield "begun", str(session.description.get("created_at") or NOTHING)
    yield "seed", str(session.description.get("seed", NOTHING))
    inventory = session.description.get("inventory")
    if isinstance(inventory, Mapping):
        yield "inventory", str(inventory.get("path") or inventory.get("name") or NOTHING)
    yield "image digest", _listed(record.image_digest for record in session.records)
    digest = session.description.get("payload_digest")
    yield "payload digest", str(digest) if digest else _listed(record.payload_digest for record in session.records)
    yield from _data_pairs(session)
    versions = session.description.get("versions")
    if isinstance(versions, Mapping):
        yield "controller", ", ".join(f"{name} {value}" for name, value in sorted(versions.items()))
    for name in _VERSIONS:
        found = _listed(str(r.environment[name]) for r in session.records if r.environment.get(name) is not None)
        if found != NOTHING:
            yield f"{name} that measured", found


def _data_pairs(session: SessionData) -> Iterable[tuple[str, str]]:
    data: Any = session.description.get("data")
    described = data if isinstance(data, Mapping) else {}
    names = sorted({*map(str, described), *(record.case.data for record in session.records)})
    ready = {str(event.get("data")): event for event in session.events_of("DataReady")}
    for name in names:
        prints = _listed(r.data_fingerprint for r in session.records if r.case.data == name)
        entry = described.get(name)
        known = entry if isinstance(entry, Mapping) and "images" in entry else ready.get(name, {})
        amount = ""
        if isinstance(known.get("images"), int) and isinstance(known.get("bytes"), int):
            amount = f"{known['images']:,} images, {format_bytes(known['bytes'])}; "
        yield f"data set {name}", f"{amount}fingerprint {prints}"


def _listed(values: Iterable[str]) -> str:
    return cap_list(sorted(set(values)), most=4) or NOTHING

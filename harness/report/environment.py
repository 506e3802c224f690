"""Environment: what each host is, and the digests, versions and seed that are needed to repeat a session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.records.content import SessionDataSet
from harness.records.session_data import SessionData
from harness.report.view import HostView
from harness.values.data import say_coding
from harness.values.event import DataReady, EngineChosen
from harness.values.facts import Facts
from harness.values.record import Record
from harness.values.text import NOTHING, cap_list, clean_text, plural
from harness.values.units import format_bytes

_VERSIONS = ("python", "tensorflow", "keras", "numpy", "pillow", "jpeg", "cuda")
_MOST_HOSTS = 100


def view_hosts(sessions: Sequence[SessionData]) -> list[HostView]:
    """View facts and engine of each host of each session."""
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
    chosen = [event for event in session.events_of(EngineChosen) if event.host == host]
    if chosen:
        reason = f" ({chosen[-1].reason})" if chosen[-1].reason else ""
        yield "engine", clean_text(f"{chosen[-1].engine} {chosen[-1].version}{reason}")
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
    """View digests, versions, data sets and seeds of all sessions."""
    pairs: list[tuple[str, str]] = []
    for session in sessions:
        prefix = "" if len(sessions) == 1 else f"{session.name}: "
        pairs += [(clean_text(prefix + name), clean_text(value, 400)) for name, value in _session_pairs(session)]
    return pairs


def _session_pairs(session: SessionData) -> Iterable[tuple[str, str]]:
    yield "session", session.name
    content = session.content
    yield "started", content.created_at or NOTHING
    yield "seed", NOTHING if content.seed is None else str(content.seed)
    if "inventory" in content.model_fields_set:
        yield "inventory", content.inventory.path or content.inventory.name or NOTHING
    yield "image digest", _listed(record.image_digest for record in session.records)
    yield "payload digest", content.payload_digest or _listed(record.payload_digest for record in session.records)
    yield from _data_pairs(session)
    if content.versions:
        yield "controller", ", ".join(f"{name} {value}" for name, value in sorted(content.versions.items()))
    for name in _VERSIONS:
        found = _listed(str(r.environment[name]) for r in session.records if r.environment.get(name) is not None)
        if found != NOTHING:
            yield f"{name} of the runs", found


def _data_pairs(session: SessionData) -> Iterable[tuple[str, str]]:
    described = session.content.data
    ready = {event.data: event for event in session.events_of(DataReady)}
    for name in sorted({*described, *(record.case.data for record in session.records)}):
        prints = _listed(r.data_fingerprint for r in session.records if r.case.data == name)
        known: SessionDataSet | DataReady | None = described.get(name)
        if known is None or known.images is None:
            known = ready.get(name)
        amount = ""
        if known is not None and known.images is not None and known.bytes is not None:
            amount = f"{known.images:,} images, {format_bytes(known.bytes)}; "
        yield f"data set {name}", f"{amount}fingerprint {prints}"
        kept = described.get(name)
        if kept is not None and kept.skipped:
            yield f"data set {name}, left out", f"{plural(kept.skipped, 'image')} that not every loader reads"
        if kept is not None and kept.coding is not None:
            yield f"data set {name}, coding", "; ".join(say_coding(kept.coding))


def _listed(values: Iterable[str]) -> str:
    return cap_list(sorted(set(values)), most=4) or NOTHING

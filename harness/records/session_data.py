"""A session as reports use it, read from a folder or from a page."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from harness.analysis.selection import gather_attempts
from harness.analysis.validity import judge_all
from harness.records.content import SessionContent, SessionDataSet
from harness.records.folder import SessionFolder
from harness.records.journal import heard_at, is_taken
from harness.records.reading import (
    Fault,
    OnFault,
    parse_content,
    parse_event,
    parse_facts,
    read_content,
    read_events,
    read_facts,
    read_record,
    read_records,
    refuse,
)
from harness.values.data import DataPlace
from harness.values.event import (
    CommandStarted,
    DataReady,
    DataShipped,
    EngineChosen,
    Event,
    HostBegun,
    HostFinished,
    HostPlanned,
    HostRenamed,
    HostStateChanged,
    ImageReady,
    ImageShipped,
    InvocationFinished,
    InvocationStarted,
    LinkBack,
    LinkLost,
    LoggedEvent,
    RoundStarted,
    SessionFinding,
    SessionFinished,
    SessionStarted,
)
from harness.values.facts import Facts
from harness.values.record import MACHINE, Record, SetSize
from harness.values.text import clean_text

REPORTED: frozenset[type[Event]] = frozenset(
    {CommandStarted, SessionStarted, SessionFinished, SessionFinding, HostPlanned, HostStateChanged, HostFinished}
    | {HostRenamed}
    | {HostBegun, EngineChosen, ImageReady, ImageShipped, DataShipped, DataReady, RoundStarted, LinkLost, LinkBack}
)
"""Kinds of events that a report reads; of starts and ends of runs, only the last of each host."""

_LAST_OF = frozenset({InvocationStarted, InvocationFinished})

_MOST_NOTES = 20

_Kind = TypeVar("_Kind", bound=Event)


@dataclass(frozen=True)
class SessionData:
    """A session as reports use it.

    ``records`` has the attempt that counts for each run, in the order of the file; ``repeats`` the other attempts of
    disturbed runs that were repeated; ``superseded`` the attempts that a later one replaced. ``notes`` are faults found
    in reading. ``origin`` is the name of the folder or page. ``is_live``: whether a controller works on the session;
    None if not known. ``heard_at`` is the controller's last sign of life.
    """

    origin: str
    content: SessionContent
    facts: Mapping[str, Facts]
    records: tuple[Record, ...]
    superseded: tuple[Record, ...]
    events: tuple[LoggedEvent, ...]
    notes: tuple[str, ...] = ()
    repeats: tuple[Record, ...] = ()
    is_live: bool | None = None
    heard_at: str | None = None

    @property
    def measured(self) -> tuple[Record, ...]:
        """All attempts that count: for a repeated run, all of its attempts can form pairs."""
        return (*self.records, *self.repeats)

    @property
    def name(self) -> str:
        """The session's name."""
        return self.content.session or self.content.name or self.origin

    @property
    def experiment_name(self) -> str:
        """The experiment's name."""
        return self.content.experiment_name or self.content.experiment.name or "unnamed"

    def place_of(self, host: str, data: str) -> DataPlace | None:
        """Return where a data set lies on a host and what its files are; None if not known."""
        known = self.content.hosts.get(host)
        return None if known is None else known.data.get(data)

    def events_of(self, kind: type[_Kind]) -> list[_Kind]:
        """Return all events of one kind, oldest first."""
        return [logged.event for logged in self.events if isinstance(logged.event, kind)]


def read_session(
    path: Path, kinds: Container[type[Event]] | None = REPORTED, on_fault: OnFault | None = None
) -> SessionData:
    """Read the folder of a session, with its events of some kinds (None: of all).

    Faults become notes, or are passed to ``on_fault``. Raises SessionError if it is not a session folder.
    """
    folder = SessionFolder(path)
    notes: list[str] = []
    on_fault = on_fault or _noting(notes)
    is_live, heard = (
        is_taken(folder),
        heard_at(folder),
    )  # before the records, so that a record written meanwhile does no harm
    session = _assemble(
        path.name or path.resolve().name,
        read_content(folder, on_fault),
        read_facts(folder, on_fault),
        records=read_records(folder, on_fault),
        events=read_events(folder, on_fault, kinds, () if kinds is None else _LAST_OF),
        notes=notes,
    )
    return replace(session, is_live=is_live, heard_at=heard)


def parse_session(value: Mapping[str, object], records: Iterable[bytes], origin: str) -> SessionData:
    """Parse a session that is embedded in a page (``report.embed``), with each record as a JSON text.

    ``origin`` is its name if it has none.
    """
    notes = [clean_text(note, 600) for note in _list(value.get("notes"))]
    on_fault = _noting(notes)
    content, facts = _object(value.get("session")), _object(value.get("facts"))
    parsed = {host: parse_facts(host, one, on_fault, origin) for host, one in facts.items()}
    read = [read_record(text, on_fault, origin, n, f"record {n}") for n, text in enumerate(records, start=1)]
    events = [parse_event(event, on_fault, origin, REPORTED | _LAST_OF) for event in _list(value.get("events"))]
    session = _assemble(
        clean_text(value.get("origin") or origin),
        parse_content(content, on_fault, origin),
        {host: one for host, one in parsed.items() if one is not None},
        records=[record for record in read if record is not None],
        events=[event for event in events if event is not None],
        notes=notes,
    )
    is_over, heard = value.get("is_live") is False, value.get("heard_at")
    heard = clean_text(heard, 40) if isinstance(heard, str) else None
    return replace(session, is_live=False if is_over else None, heard_at=heard)


def _noting(notes: list[str]) -> OnFault:
    def on_fault(fault: Fault) -> None:
        notes.append(clean_text(fault.message, 600))

    return on_fault


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _assemble(
    origin: str,
    content: SessionContent,
    facts: Mapping[str, Facts],
    *,
    records: Sequence[Record],
    events: Sequence[LoggedEvent],
    notes: list[str],
) -> SessionData:
    records = fill_set_sizes(records, content, [logged.event for logged in events])
    records = mark_machines(records, content.machines)
    counting = [record for attempts in gather_attempts(records) for record in attempts.counting]
    # Judge again: a report knows all records of the session, not only the earlier ones.
    judged = gather_attempts(judge_all(counting, facts))
    kept = {id(record) for record in counting}
    older = [record for record in records if id(record) not in kept]
    if len(notes) > _MOST_NOTES:
        notes = [*notes[:_MOST_NOTES], f"and {len(notes) - _MOST_NOTES} more like these"]
    return SessionData(
        origin=origin,
        content=content,
        facts=facts,
        records=tuple(attempts.current for attempts in judged),
        repeats=tuple(each for attempts in judged for each in attempts.records if each is not attempts.current),
        superseded=tuple(older),
        events=tuple(_rename_hosts(events)),
        notes=tuple(notes),
    )


def _rename_hosts(events: Sequence[LoggedEvent]) -> list[LoggedEvent]:
    """Return events with the current names of their hosts: the file of events is append-only."""
    now: dict[str, str] = {}  # the current name of a host, by its name at the time of the event
    renamed: list[LoggedEvent] = []
    for logged in reversed(events):
        renamed.append(_rename_host(logged, now))
        if isinstance(logged.event, HostRenamed):
            now[logged.event.old] = now.get(logged.event.host, logged.event.host)
    return renamed[::-1]


def _rename_host(logged: LoggedEvent, now: Mapping[str, str]) -> LoggedEvent:
    new = now.get(getattr(logged.event, "host", ""))
    if new is None:
        return logged
    fields = {**logged.event.to_json(), "at": logged.at, "host": new}
    return parse_event(fields, refuse, "") or logged


def mark_machines(records: Sequence[Record], machines: Mapping[str, str]) -> list[Record]:
    """Mark the records of hosts that are further names of one machine, so that it does not count twice."""
    return [
        record.model_copy(update={"environment": {**record.environment, MACHINE: machines[record.host]}})
        if record.host in machines
        else record
        for record in records
    ]


def fill_set_sizes(records: Sequence[Record], content: SessionContent, events: Iterable[Event]) -> list[Record]:
    """Return records with the size of their data set filled in from the session's content and events."""
    if all(record.set_size is not None for record in records):
        return list(records)
    said: list[SessionDataSet | DataReady] = [*content.data.values()]
    said += [event for event in events if isinstance(event, DataReady)]
    sizes = {
        each.fingerprint: SetSize(images=each.images, bytes=each.bytes or None)
        for each in said
        if each.fingerprint is not None and each.images is not None and each.images > 0
    }
    return [
        record.model_copy(update={"set_size": size})
        if record.set_size is None and (size := sizes.get(record.data_fingerprint)) is not None
        else record
        for record in records
    ]

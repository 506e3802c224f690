"""What a report is made of: a session folder, or an old report that carries its records.

Reading is tolerant: a cut last line, a line of another version or an unknown event
costs that line and becomes a note on the page, never the report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.analysis.validity import judge_all
from harness.records.session_data import SessionData
from harness.report.embed import SIDECAR_ENDING, read_sessions, unpack_sessions
from harness.values.errors import SessionError
from harness.values.facts import Facts
from harness.values.record import Record, SetSize

KNOWN_EVENTS = frozenset(
    {"SessionStarted", "SessionFinished", "SessionFinding", "HostStateChanged", "EngineChosen", "ImageReady"}
    | {"ImageShipped", "DataShipped", "DataReady", "RoundStarted"}
)
"""Events that a report reads; the others (epochs, starts) are for those who watch."""

_FORMAT = 1
_MOST_NOTES = 20


def read_source(path: Path) -> list[SessionData]:
    """The sessions of a session folder (one) or of an old ``report.html`` (all that it was made of).

    A page that was too large to carry its records has them in a file beside it, or is the page of a session folder.
    Raises SessionError where there is neither.
    """
    if path.is_file():
        return _read_page(path)
    return [_read_folder(path)]


def _read_folder(folder: Path) -> SessionData:
    description = _read_description(folder)
    notes: list[str] = []
    records = _read_lines(folder / "records.jsonl", notes, _read_record)
    events = _read_lines(folder / "events.jsonl", notes, json.loads)
    facts: dict[str, Any] = {}
    for file in sorted((folder / "facts").glob("*.json")):
        try:
            facts[file.stem] = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            notes.append(f"facts/{file.name} cannot be read: {error}")
    origin = folder.name or folder.resolve().name
    return _assemble(origin, description, facts, lines=records, events=events, notes=notes)


def _read_description(folder: Path) -> dict[str, Any]:
    file = folder / "session.json"
    hint = "name a folder that `harness run` made, or a report.html that carries its records"
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SessionError("no session here: there is no session.json", where=str(folder), hint=hint) from None
    except (OSError, ValueError) as error:
        raise SessionError(f"session.json cannot be read: {error}", where=str(folder), hint=hint) from error
    if not isinstance(value, dict) or value.get("format") != _FORMAT:
        found = value.get("format") if isinstance(value, dict) else "none"
        hint = "read it with the version of harness that wrote it"
        raise SessionError(f"session.json has format {found}, not {_FORMAT}", where=str(folder), hint=hint)
    return value


def _read_page(page: Path) -> list[SessionData]:
    try:
        if page.name.endswith(SIDECAR_ENDING):
            sessions = read_sessions(page.read_bytes())
        elif (beside := name_sidecar(page)).exists():
            sessions = read_sessions(beside.read_bytes())
        else:
            sessions = unpack_sessions(page.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        hint = "name the session folder instead; a page of very many records has them in a file beside it"
        raise SessionError(f"no records in this page: {error}", where=str(page), hint=hint) from error
    return [
        _assemble(
            str(value.get("origin") or page.name),
            value.get("session") or {},
            value.get("facts") or {},
            lines=enumerate(value.get("records") or (), start=1),
            events=enumerate(value.get("events") or (), start=1),
            notes=[str(note) for note in value.get("notes") or ()],
        )
        for value in sessions
    ]


def name_sidecar(page: Path) -> Path:
    """Where the records of a page lie that is too large to carry them."""
    return page.with_name(page.stem + SIDECAR_ENDING)


def _read_record(line: bytes) -> Any:
    """A record straight from its text, which is twice as fast; what is none goes the slow way, to say what it is."""
    try:
        return Record.model_validate_json(line)
    except ValidationError:
        return json.loads(line)


def _read_lines(file: Path, notes: list[str], read: Callable[[bytes], Any]) -> list[tuple[int, Any]]:
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return []
    *whole, tail = raw.split(b"\n")
    if tail.strip():
        notes.append(
            f"the last line of {file.name} is not whole and is not counted: its writing was cut off, or is under way"
        )
    found = []
    for number, line in enumerate(whole, start=1):
        if line.strip():
            try:
                found.append((number, read(line)))
            except ValueError:
                notes.append(f"line {number} of {file.name} is no JSON and is not counted")
    return found


def _assemble(
    origin: str,
    description: dict[str, Any],
    facts: Mapping[str, Any],
    *,
    lines: Iterable[tuple[int, Any]],
    events: Iterable[tuple[int, Any]],
    notes: list[str],
) -> SessionData:
    records = []
    for number, value in lines:
        try:
            records.append(value if isinstance(value, Record) else Record.model_validate(value))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "record"
            notes.append(f"record {number} is not of this format and is not counted: {place}: {first['msg']}")
    events_known = tuple(e for _, e in events if isinstance(e, dict) and str(e.get("event")) in KNOWN_EVENTS)
    hosts = {}
    for host, value in facts.items():
        try:
            hosts[host] = Facts.model_validate(value)
        except ValidationError as error:
            notes.append(f"facts of {host} are not of this format: {error.errors()[0]['msg']}")
    records = fill_set_sizes(records, description, events_known)
    newest = newest_attempts(records)
    kept = {id(record) for record in newest}
    judged = judge_all(newest, hosts)  # by what a report knows: all of the session, not only what came before
    if len(notes) > _MOST_NOTES:
        notes = [*notes[:_MOST_NOTES], f"and {len(notes) - _MOST_NOTES} more like these"]
    return SessionData(
        origin=origin,
        description=description,
        facts=hosts,
        records=tuple(judged),
        superseded=tuple(record for record in records if id(record) not in kept),
        events=events_known,
        notes=tuple(notes),
    )


def fill_set_sizes(
    records: Sequence[Record], description: Mapping[str, Any], events: Iterable[Mapping[str, Any]]
) -> list[Record]:
    """Give records that do not know the size of their data set the size that their session kept elsewhere."""
    if all(record.set_size is not None for record in records):
        return list(records)
    described = description.get("data")
    said = [*described.values()] if isinstance(described, Mapping) else []
    said += [event for event in events if event.get("event") == "DataReady"]
    sizes: dict[str, SetSize] = {}
    for entry in said:
        if isinstance(entry, Mapping) and isinstance(entry.get("fingerprint"), str):
            images = _count(entry.get("images"))
            if images is not None:
                sizes[entry["fingerprint"]] = SetSize(images=images, bytes=_count(entry.get("bytes")))
    return [
        record.model_copy(update={"set_size": size})
        if record.set_size is None and (size := sizes.get(record.data_fingerprint)) is not None
        else record
        for record in records
    ]


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def newest_attempts(records: Iterable[Record]) -> list[Record]:
    """One record an invocation: its highest attempt, and of equal attempts the last written."""
    newest: dict[str, Record] = {}
    for record in records:
        known = newest.get(record.invocation)
        if known is None or record.attempt >= known.attempt:
            newest[record.invocation] = record
    return list(newest.values())

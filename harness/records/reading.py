"""Reading a session's folder, strictly or tolerantly.

Every reader takes ``on_fault``. ``run`` is strict: ``refuse`` raises an error. ``status`` and reports are tolerant:
they note the fault, skip that line, field or file, and read the rest. A record that cannot be read counts as not
measured in both modes; ``run`` reports it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.bench.protocol import bounded_json
from harness.records.content import SESSION_FORMAT, SessionContent
from harness.records.folder import SessionFolder
from harness.values import event as events
from harness.values.errors import SessionError
from harness.values.event import Event, LoggedEvent
from harness.values.facts import Facts
from harness.values.record import Record
from harness.values.text import clean_text

MOST_LINE_BYTES = 8 * 2**20
"""Bytes of a line of records or events at most: enough for all results of a job, which have bounds of their own."""

MOST_SESSION_BYTES = 64 * 2**20
MOST_SESSION_VALUES = 3_000_000
"""Values in ``session.json`` at most: enough for a thousand hosts, each with a data set of a thousand classes."""

_CUT = "writing it was interrupted, or is in progress"
_RESTORE = "restore it from a copy, or start a new session with `harness run --fresh`"
_TAKE_OUT = "remove this line (keep a copy) and give the command again: that run is measured again"


@dataclass(frozen=True)
class Fault:
    """Something in a session that cannot be read.

    ``is_expected``: this occurs in any session that is being written. ``is_record``: it is a single record.
    """

    message: str
    where: str
    hint: str
    is_expected: bool = False
    is_record: bool = False


OnFault = Callable[[Fault], None]


def refuse(fault: Fault) -> None:
    """Raise SessionError for a fault, unless it is expected or a single record."""
    if not (fault.is_expected or fault.is_record):
        raise SessionError(fault.message, where=fault.where, hint=fault.hint)


def read_content(folder: SessionFolder, on_fault: OnFault = refuse) -> SessionContent:
    """Read ``session.json``. Raises SessionError if it is absent, not JSON, or of another format."""
    where = str(folder.path)
    try:
        value = bounded_json.read(folder.session_file, most_bytes=MOST_SESSION_BYTES, most_values=MOST_SESSION_VALUES)
    except FileNotFoundError:
        hint = "name a folder that `harness run` created, or a report.html with its records"
        raise SessionError("this is not a session folder: it has no session.json", where=where, hint=hint) from None
    except (OSError, ValueError) as error:
        raise SessionError(f"session.json cannot be read: {error}", where=where, hint=_RESTORE) from error
    if not isinstance(value, dict) or value.get("format") != SESSION_FORMAT:
        found = value.get("format") if isinstance(value, dict) else "none"
        hint = "it was written by another version of harness: use that one"
        raise SessionError(f"session.json has format {found}, not {SESSION_FORMAT}", where=where, hint=hint)
    return parse_content(value, on_fault, where)


def parse_content(value: Mapping[str, object], on_fault: OnFault, where: str) -> SessionContent:
    """Parse the content of ``session.json``; wrong fields are reported and left out."""
    while True:
        try:
            return SessionContent.model_validate(value)
        except ValidationError as error:
            wrong = {_find_place(value, each["loc"]): each["msg"] for each in error.errors()}
        for place, message in wrong.items():
            on_fault(Fault(f"session.json is damaged: {'.'.join(place)}: {message}", where, _RESTORE))
        value = _leave_out(value, wrong) if () not in wrong else {}


def _find_place(value: object, location: Iterable[int | str]) -> tuple[str, ...]:
    """Return the keys that lead to the innermost field that an error is about."""
    place: list[str] = []
    for key in location:
        if not isinstance(value, Mapping) or not isinstance(key, str) or key not in value:
            break
        place.append(key)
        value = value[key]
    return tuple(place)


def _leave_out(
    value: Mapping[str, object], places: Container[tuple[str, ...]], at: tuple[str, ...] = ()
) -> dict[str, object]:
    """Return a copy without some fields."""
    return {
        key: _leave_out(inner, places, (*at, key)) if isinstance(inner, Mapping) else inner
        for key, inner in value.items()
        if (*at, key) not in places
    }


def read_records(folder: SessionFolder, on_fault: OnFault = refuse) -> list[Record]:
    """Read all records of a session, oldest first."""

    def tell(fault: Fault) -> None:
        on_fault(replace(fault, is_record=True))

    file = folder.records_file
    read = (
        read_record(line, tell, f"{file}:{number}", number, f"line {number} of {file.name}")
        for number, line in _read_lines(file, tell)
    )
    return [record for record in read if record is not None]


def read_record(text: bytes, on_fault: OnFault, where: str, number: int, what: str) -> Record | None:
    """Read a record from its JSON text; None if it is not one, which is reported.

    Parsing the text directly is twice as fast; the slower way is used only to explain a fault. ``what`` names the text
    in messages.
    """
    try:
        bounded_json.check_size(text, most_bytes=MOST_LINE_BYTES)
        return Record.model_validate_json(text)
    except ValueError:
        value = _read_object(text, on_fault, where, what)
    return None if value is None else parse_record(value, on_fault, where, number)


def parse_record(value: object, on_fault: OnFault, where: str, number: int) -> Record | None:
    """Parse the record of line ``number``; None if it is not one, which is reported."""
    try:
        return Record.model_validate(value)
    except ValidationError as error:
        hint = "another version of harness wrote it, or it was edited: that run is measured again"
        message = f"record {number} does not fit the format: {_say_first(error)}"
        on_fault(Fault(message, where, hint))
    return None


def read_events(
    folder: SessionFolder,
    on_fault: OnFault = refuse,
    kinds: Container[type[Event]] | None = None,
    last_of: Container[type[Event]] = (),
) -> list[LoggedEvent]:
    """Read a session's events of some kinds (or of all known kinds), oldest first.

    Of the kinds in ``last_of``, which are numerous, only the last event of each host is read.
    """
    found: list[LoggedEvent | None] = []
    last: dict[str, tuple[int, object, str]] = {}
    for number, line in _read_lines(folder.events_file, on_fault):
        where = f"{folder.events_file}:{number}"
        value = _read_object(line, on_fault, where, f"line {number} of events.jsonl")
        if isinstance(value, Mapping) and _event_kinds().get(str(value.get("event"))) in last_of:
            last[str(value.get("host"))] = len(found), value, where
            found.append(None)
        elif value is not None:
            found.append(parse_event(value, on_fault, where, kinds))
    for place, last_value, where in last.values():
        found[place] = parse_event(last_value, on_fault, where)
    return [event for event in found if event is not None]


def parse_event(
    value: object, on_fault: OnFault, where: str, kinds: Container[type[Event]] | None = None
) -> LoggedEvent | None:
    """Parse one event; None if its kind is not known or not wanted."""
    if not isinstance(value, Mapping):
        return None
    kind = _event_kinds().get(str(value.get("event")))
    if kind is None or (kinds is not None and kind not in kinds):
        return None
    try:
        return LoggedEvent(str(value.get("at") or ""), _event_adapter(kind.__name__).validate_python(value))
    except ValidationError as error:
        message = f"an event {kind.__name__} does not fit the format: {_say_first(error)}"
        on_fault(Fault(message, where, _TAKE_OUT))
    return None


@cache
def _event_kinds() -> Mapping[str, type[Event]]:
    found = {name: kind for name, kind in vars(events).items() if isinstance(kind, type) and issubclass(kind, Event)}
    return {name: kind for name, kind in found.items() if kind is not Event}


@cache
def _event_adapter(kind: str) -> TypeAdapter[Event]:
    return TypeAdapter(_event_kinds()[kind])


def read_facts(folder: SessionFolder, on_fault: OnFault = refuse) -> dict[str, Facts]:
    """Read the facts of all hosts."""
    found = {}
    for file in sorted(folder.facts_folder.rglob("*.json")):
        host = str(file.relative_to(folder.facts_folder).with_suffix(""))
        try:
            value = bounded_json.read(file)
        except (OSError, ValueError) as error:
            on_fault(Fault(f"facts/{host}.json cannot be read: {error}", str(file), _RESTORE))
            continue
        if (facts := parse_facts(host, value, on_fault, str(file))) is not None:
            found[host] = facts
    return found


def parse_facts(host: str, value: object, on_fault: OnFault, where: str) -> Facts | None:
    """Parse the facts of a host; None if they are not valid, which is reported."""
    try:
        return Facts.model_validate(value)
    except ValidationError as error:
        message = f"the facts of {host} do not fit the format: {_say_first(error)}"
        on_fault(Fault(message, where, _RESTORE))
    return None


@dataclass(frozen=True)
class UnderWay:
    """What is made, sent or proven on a host before its first case, in words, and when that was written (UTC)."""

    at: str
    text: str


def read_under_way(folder: SessionFolder) -> dict[str, UnderWay]:
    """Read what a controller prepares on each host now; what cannot be read is left out."""
    try:
        value = bounded_json.read(folder.progress_file)
    except (OSError, ValueError):
        return {}
    hosts = value if isinstance(value, dict) else {}
    found = {str(host): _parse_under_way(one) for host, one in hosts.items()}
    return {host: one for host, one in found.items() if one is not None}


def _parse_under_way(value: object) -> UnderWay | None:
    if not isinstance(value, Mapping) or not isinstance(value.get("what"), str):
        return None
    share = value.get("fraction")
    percent = f" ({share:.0%})" if isinstance(share, int | float) and 0 <= share <= 1 else ""
    return UnderWay(clean_text(value.get("at"), 40), clean_text(value["what"], 200) + percent)


def _read_lines(file: Path, on_fault: OnFault) -> Iterator[tuple[int, bytes]]:
    """Yield the complete lines of a file with their numbers."""
    try:
        with bounded_json.open_plain(file) as stream:
            number = 0
            while line := stream.readline(MOST_LINE_BYTES + 1):
                number += 1
                if len(line) > MOST_LINE_BYTES and not line.endswith(b"\n"):
                    message = f"line {number} of {file.name} is longer than {MOST_LINE_BYTES} bytes"
                    on_fault(Fault(message, f"{file}:{number}", _TAKE_OUT))
                    while not line.endswith(b"\n") and (line := stream.readline(MOST_LINE_BYTES)):
                        pass
                elif not line.endswith(b"\n"):
                    message = f"the last line of {file.name} is incomplete and does not count: {_CUT}"
                    on_fault(Fault(message, str(file), _TAKE_OUT, is_expected=True))
                elif line.strip():
                    yield number, line
    except FileNotFoundError:
        return
    except (OSError, bounded_json.Unreadable) as error:
        hint = "allow this user to read it"
        said = error.strerror if isinstance(error, OSError) else error
        raise SessionError(f"cannot be read: {said}", where=str(file), hint=hint) from error


def _read_object(text: bytes, on_fault: OnFault, where: str, what: str) -> dict[str, object] | None:
    try:
        return bounded_json.parse_object(text, most_bytes=MOST_LINE_BYTES)
    except bounded_json.Unreadable as error:
        on_fault(Fault(f"{what}: {error}", where, _TAKE_OUT))
    return None


def _say_first(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]

"""Reading of a session's records and events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.records.folder import SessionFolder
from harness.values.errors import SessionError
from harness.values.record import Record

_TAKE_OUT = "take this line out (keep a copy), and run again: what it belonged to is measured anew"


@dataclass(frozen=True)
class Lines:
    """What a file of JSON lines holds; ``cut`` is a last line that was not written to its end."""

    values: tuple[dict[str, Any], ...]
    cut: str | None = None


def read_lines(path: Path) -> Lines:
    """All lines of a file. Raises SessionError for a damaged line that is not the last."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Lines(())
    except OSError as error:
        hint = "let this user read it"
        raise SessionError(f"cannot be read: {error.strerror}", where=str(path), hint=hint) from error
    *whole, tail = raw.split(b"\n")
    values = []
    for number, line in enumerate(whole, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise SessionError(f"not a JSON line: {error}", where=f"{path}:{number}", hint=_TAKE_OUT) from error
        if not isinstance(value, dict):
            raise SessionError("not a JSON object", where=f"{path}:{number}", hint=_TAKE_OUT)
        values.append(value)
    return Lines(tuple(values), tail.decode(errors="replace") if tail.strip() else None)


def read_records(folder: SessionFolder) -> list[Record]:
    """All records of a session, oldest first. Raises SessionError for one that is not of this format."""
    records = []
    for number, value in enumerate(read_lines(folder.records_file).values, start=1):
        try:
            records.append(Record.model_validate(value))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            hint = "it was written by another version of harness, or by hand; start anew with --fresh"
            where = f"{folder.records_file}, record {number}"
            raise SessionError(f"{place}: {first['msg']}", where=where, hint=hint) from error
    return records


def newest_records(records: Iterable[Record]) -> dict[str, Record]:
    """The newest record of each identity: the one that counts."""
    newest: dict[str, Record] = {}
    for record in records:
        held = newest.get(record.invocation)
        if held is None or record.attempt >= held.attempt:
            newest[record.invocation] = record
    return newest

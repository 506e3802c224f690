"""Records inside a page: gzip and base64 in a data block, so that an old page can be read again."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING

from harness.bench.protocol import bounded_json
from harness.records.json_text import JsonText
from harness.records.reading import MOST_SESSION_BYTES, MOST_SESSION_VALUES

if TYPE_CHECKING:
    from harness.records.session_data import SessionData
    from harness.values.record import Record

MOST_EMBEDDED_BYTES = 2_000_000
"""Above this, records go into a file beside the page, so that a page stays below 5 MB."""

SIDECAR_ENDING = "-records.json.gz"
SUMMARY_ID = "harness-summary"

BLOCK_ID = "harness-records"
_BLOCK = f'<script type="application/json" id="{BLOCK_ID}"'

MOST_UNPACKED_BYTES = 512 * 2**20
"""Unpacked records of a page, some 100,000: a few kilobytes of gzip may expand to a thousand times their size."""


def compress_sessions(sessions: Sequence[SessionData]) -> bytes:
    """Pack everything that a report is made of as JSON in gzip. Equal input gives equal bytes."""
    text = f'{{"format":1,"sessions":[{",".join(_write_session(session) for session in sessions)}]}}'
    return gzip.compress(text.encode(), compresslevel=6, mtime=0)


def pack_sessions(packed: bytes) -> str | None:
    """Encode the result of ``compress_sessions`` as base64 for a page; None above ``MOST_EMBEDDED_BYTES``."""
    text = base64.b64encode(packed)
    return text.decode() if len(text) <= MOST_EMBEDDED_BYTES else None


def find_block(page: str) -> bytes:
    """Return the packed sessions of a page. Raises ValueError where it has none, or they are damaged."""
    # The page escapes all text from hosts, so that only the block itself can match; the last match is used.
    _, is_found, rest = page.rpartition(_BLOCK)
    _, is_open, rest = rest.partition('>"')
    text, is_closed, _ = rest.partition('"</script>')
    if not (is_found and is_open and is_closed):
        raise ValueError("the page has no block of records")
    return base64.b64decode(text, validate=True)


def unpack_sessions(page: str) -> list[dict[str, object]]:
    """Return the sessions of a page, as ``_write_session`` wrote them. Raises ValueError."""
    found = read_sessions(io.BytesIO(find_block(page)))
    return [{**session, "records": [bounded_json.parse(text) for text in records]} for session, records in found]


def read_sessions(packed: IO[bytes]) -> list[tuple[dict[str, object], list[bytes]]]:
    """Read the sessions that ``compress_sessions`` packed, each with the texts of its records. Raises ValueError.

    The text is parsed in pieces, because parsed values take many times the memory of their text.
    """
    try:
        with gzip.GzipFile(fileobj=packed) as stream:
            return list(_read_sessions(JsonText(stream, MOST_UNPACKED_BYTES)))
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"the block of records is damaged: {error}") from error


def _read_sessions(text: JsonText) -> Iterator[tuple[dict[str, object], list[bytes]]]:
    said: dict[str, object] = {}
    found: list[tuple[dict[str, object], list[bytes]]] = []
    for key in text.walk_object():
        if key == "sessions":
            found = [_read_one(text) for _ in text.walk_list()]
        else:
            said[key] = bounded_json.parse(text.take())
    if said.get("format") != 1:
        raise ValueError("the block of records has another format")
    yield from found


def _read_one(text: JsonText) -> tuple[dict[str, object], list[bytes]]:
    session: dict[str, object] = {}
    records: list[bytes] = []
    for key in text.walk_object():
        if key == "records":
            records = [text.take() for _ in text.walk_list()]
        else:
            value = text.take(MOST_SESSION_BYTES)
            session[key] = bounded_json.parse(value, most_bytes=MOST_SESSION_BYTES, most_values=MOST_SESSION_VALUES)
    return session, records


def _write_session(session: SessionData) -> str:
    value = {
        "origin": session.origin,
        "session": session.content.plain(),
        "facts": {host: facts.model_dump(mode="json") for host, facts in session.facts.items()},
        "events": [event.to_json() for event in session.events],
        "notes": list(session.notes),
        "is_live": None if session.is_live else session.is_live,  # a page is read later
        "heard_at": session.heard_at,
    }
    records = ",".join(_write_record(record) for record in (*session.superseded, *session.repeats, *session.records))
    return f'{_write_plain(value)[:-1]},"records":[{records}]}}'


def _write_record(record: Record) -> str:
    """Return a record as JSON; text that UTF-8 cannot hold (a lone surrogate) is written as its escape."""
    try:
        return record.model_dump_json()
    except ValueError:
        return _write_plain(record.model_dump(mode="json"))


def _write_plain(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)

"""Records inside the page: gzip and base64 in a data block, so that an old page can be read again."""

from __future__ import annotations

import base64
import gzip
import json
import math
import re
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.records.session_data import SessionData
    from harness.values.record import Record

MOST_EMBEDDED_BYTES = 2_000_000
"""Above this, records lie in a file beside the page; with charts and tables a page stays below 5 MB."""

SIDECAR_ENDING = "-records.json.gz"
SUMMARY_ID = "harness-summary"

BLOCK_ID = "harness-records"
_BLOCK = re.compile(rf'<script type="application/json" id="{BLOCK_ID}"[^>]*>"([A-Za-z0-9+/=]*)"</script>')
_MOST_NUMBER = 2**63
_MOST_UNPACKED_BYTES = 128 << 20
"""A record takes two kilobytes: 60,000 of them. A few kilobytes of a hostile page would unpack to gigabytes."""


def compress_sessions(sessions: Sequence[SessionData]) -> bytes:
    """All that a report was made of as JSON in gzip. Equal input, equal bytes."""
    text = f'{{"format":1,"sessions":[{",".join(_write_session(session) for session in sessions)}]}}'
    return gzip.compress(text.encode(), compresslevel=6, mtime=0)


def pack_sessions(packed: bytes) -> str | None:
    """What ``compress_sessions`` made as base64 text for a page; None above ``MOST_EMBEDDED_BYTES``."""
    text = base64.b64encode(packed)
    return text.decode() if len(text) <= MOST_EMBEDDED_BYTES else None


def unpack_sessions(page: str) -> list[dict[str, object]]:
    """The sessions that a page carries. Raises ValueError where it carries none, or damaged ones."""
    # The page escapes all text from hosts, so that only the block itself can match; the last one wins anyway.
    blocks = _BLOCK.findall(page)
    if not blocks:
        raise ValueError("the page has no block of records")
    return read_sessions(base64.b64decode(blocks[-1], validate=True))


def read_sessions(packed: bytes) -> list[dict[str, object]]:
    """The sessions that ``compress_sessions`` packed. Raises ValueError where they are damaged."""
    try:
        value = json.loads(
            _decompress(packed), parse_int=_read_whole, parse_float=_read_float, parse_constant=lambda _word: None
        )
    except (OSError, EOFError, zlib.error, RecursionError) as error:
        raise ValueError(f"the block of records is damaged: {error}") from error
    if not isinstance(value, dict) or value.get("format") != 1 or not isinstance(value.get("sessions"), list):
        raise ValueError("the block of records has another format")
    return [session for session in value["sessions"] if isinstance(session, dict)]


def _read_whole(text: str) -> int | None:
    """Return a number of 64 bits; what is larger is nobody's measurement, and not known."""
    number = int(text) if len(text) <= 20 else _MOST_NUMBER
    return number if -_MOST_NUMBER < number < _MOST_NUMBER else None


def _read_float(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _decompress(packed: bytes) -> bytes:
    import io

    chunks, size = [], 0
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
        while chunk := stream.read(1 << 20):  # a reader that is asked for all it may give takes the room for it first
            size += len(chunk)
            if size > _MOST_UNPACKED_BYTES:
                raise ValueError(f"the block of records unpacks to more than {_MOST_UNPACKED_BYTES >> 20} MiB")
            chunks.append(chunk)
    return b"".join(chunks)


def _write_session(session: SessionData) -> str:
    value = {
        "origin": session.origin,
        "session": session.content.plain(),
        "facts": {host: facts.model_dump(mode="json") for host, facts in session.facts.items()},
        "events": [event.to_json() for event in session.events],
        "notes": list(session.notes),
    }
    records = ",".join(_write_record(record) for record in (*session.superseded, *session.records))
    return f'{_write_plain(value)[:-1]},"records":[{records}]}}'


def _write_record(record: Record) -> str:
    """A record's JSON; text that no file of ours can hold (a lone surrogate) is written as its escape."""
    try:
        return record.model_dump_json()
    except ValueError:
        return _write_plain(record.model_dump(mode="json"))


def _write_plain(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)

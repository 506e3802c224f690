"""Records inside the page: gzip and base64 in a data block, so that an old page can be read again."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.report.source import SessionData

MOST_EMBEDDED_BYTES = 5_000_000
"""A page names its records' file instead of carrying more than this."""

BLOCK_ID = "harness-records"
_BLOCK = re.compile(rf'<script type="application/json" id="{BLOCK_ID}"[^>]*>"([A-Za-z0-9+/=]*)"</script>')
_MOST_UNPACKED_BYTES = 2_000_000_000


def pack_sessions(sessions: Sequence[SessionData]) -> str | None:
    """All that a report was made of as base64 text; None above ``MOST_EMBEDDED_BYTES``. Equal input, equal text."""
    value = {"format": 1, "sessions": [_session_value(session) for session in sessions]}
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    packed = base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0))
    return packed.decode() if len(packed) <= MOST_EMBEDDED_BYTES else None


def unpack_sessions(page: str) -> list[dict[str, Any]]:
    """The sessions that a page carries. Raises ValueError where it carries none, or damaged ones."""
    # The page escapes all text from hosts, so that only the block itself can match; the last one wins anyway.
    blocks = _BLOCK.findall(page)
    if not blocks:
        raise ValueError("the page has no block of records")
    try:
        value = json.loads(_decompress(base64.b64decode(blocks[-1], validate=True)))
    except (OSError, EOFError) as error:
        raise ValueError(f"the block of records is damaged: {error}") from error
    if not isinstance(value, dict) or value.get("format") != 1 or not isinstance(value.get("sessions"), list):
        raise ValueError("the block of records has another format")
    return [session for session in value["sessions"] if isinstance(session, dict)]


def _decompress(packed: bytes) -> bytes:
    import io

    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
        text = stream.read(_MOST_UNPACKED_BYTES + 1)
    if len(text) > _MOST_UNPACKED_BYTES:
        raise ValueError("the block of records unpacks to more than 2 GB")
    return text


def _session_value(session: SessionData) -> dict[str, Any]:
    return {
        "origin": session.origin,
        "session": dict(session.description),
        "facts": {host: facts.model_dump(mode="json") for host, facts in session.facts.items()},
        "records": [r.model_dump(mode="json") for r in (*session.superseded, *session.records)],
        "events": [dict(event) for event in session.events],
        "notes": list(session.notes),
    }

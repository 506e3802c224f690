"""What a session was started from, without secrets; and the ledger of what was sent where."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.records.session_data import SessionData
from harness.report.view import Ledger, Source
from harness.report.words import NOTHING, clean_lines, clean_text, format_seconds
from harness.values.units import format_bytes

REDACTED = "[redacted]"

_SECRET = re.compile(r"pass(word|phrase|wd)?\b|pass$|secret|token|credential|api_?key|private_?key(?!_file)|auth", re.I)
_MOST_ROWS, _MOST_CHARACTERS = 200, 20_000


def view_ledger(sessions: Sequence[SessionData]) -> Ledger | None:
    """Images and data sets as they came to each host; None where no event tells."""
    rows: list[tuple[str, ...]] = []
    for session in sessions:
        prefix = "" if len(sessions) == 1 else f"{session.name}: "
        for event in session.events:
            row = _ledger_row(event)
            if row is not None:
                rows.append(tuple(clean_text(text, 200) for text in (prefix + row[0], *row[1:])))
    if not rows:
        return None
    return Ledger(tuple(rows[:_MOST_ROWS]), max(len(rows) - _MOST_ROWS, 0))


def _ledger_row(event: Mapping[str, Any]) -> tuple[str, ...] | None:
    kind, host = event.get("event"), str(event.get("host"))
    if kind == "ImageShipped":
        what = f"image {event['image']}" if event.get("image") else "image"
        return (host, f"{what}, shipped", str(event.get("method") or NOTHING), *_ship_cells(event))
    if kind == "DataShipped":
        how = f"{event.get('files')} files" if event.get("files") else "present"
        return (host, f"data set {event.get('data')}, shipped", how, *_ship_cells(event))
    if kind == "ImageReady":
        what = f"image {str(event.get('image_digest'))[:12]}"
        how, took = str(event.get("method") or NOTHING), _took(event.get("seconds"))
        return host, what, how, NOTHING, NOTHING, NOTHING, took, NOTHING
    if kind == "DataReady":
        what = f"data set {event.get('data')}"
        how, size = str(event.get("how") or NOTHING), _size(event.get("bytes"))
        return host, what, how, size, NOTHING, NOTHING, NOTHING, NOTHING
    return None


def _ship_cells(event: Mapping[str, Any]) -> tuple[str, ...]:
    """Bytes needed, sent and saved, how long it took, and 10⁶ bytes a second."""
    sizes = [_size(event.get(f"bytes_{name}")) for name in ("needed", "sent", "saved")]
    speed = event.get("mb_per_s")
    is_number = isinstance(speed, int | float) and not isinstance(speed, bool)
    return (*sizes, _took(event.get("seconds")), f"{speed:.1f}" if is_number else NOTHING)


def _size(value: object) -> str:
    return format_bytes(value) if isinstance(value, int) and not isinstance(value, bool) else NOTHING


def _took(value: object) -> str:
    return format_seconds(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else NOTHING


def view_sources(sessions: Sequence[SessionData]) -> list[Source]:
    """The experiment as it was resolved and what is known of the inventory, as YAML."""
    import yaml

    found = []
    for session in sessions:
        prefix = "" if len(sessions) == 1 else f"{clean_text(session.name, 80)}: "
        for name, key in (("experiment", "experiment"), ("inventory", "inventory"), ("hosts", "hosts")):
            value = session.description.get(key)
            if value:
                text = yaml.safe_dump(redact(_plain(value)), sort_keys=True, allow_unicode=True, width=110)
                found.append(Source(f"{prefix}{name}", clean_lines(text, _MOST_CHARACTERS)))
    return found


def redact(value: Any) -> Any:
    """The same value with whatever is named like a secret taken out, at any depth."""
    if isinstance(value, Mapping):
        return {k: REDACTED if _is_secret(str(k), v) else redact(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value


def _is_secret(name: str, value: object) -> bool:
    return bool(_SECRET.search(name)) and value not in (None, "", False, True) and not isinstance(value, Mapping)


def _plain(value: Any) -> Any:
    """Only what YAML can say: text of odd characters as text, keys as text."""
    if isinstance(value, Mapping):
        return {clean_text(k, 200): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        items = [_plain(item) for item in value]
        return items[0] if len(items) == 1 and not isinstance(items[0], dict | list) else items
    if isinstance(value, str):
        return clean_text(value, 2000)
    return value

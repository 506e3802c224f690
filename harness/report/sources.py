"""The inputs of a session, without secrets, and the list of what was sent to each host."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from harness.records.session_data import SessionData
from harness.report.view import Ledger, Source
from harness.report.words import format_seconds
from harness.values.event import DataReady, DataShipped, Event, ImageReady, ImageShipped
from harness.values.text import NOTHING, clean_lines, clean_text
from harness.values.units import format_bytes

REDACTED = "[redacted]"

_SECRET = re.compile(r"pass(word|phrase|wd)?\b|pass$|secret|token|credential|api_?key|private_?key(?!_file)|auth", re.I)
_MOST_ROWS, _MOST_CHARACTERS = 200, 20_000


def view_ledger(sessions: Sequence[SessionData]) -> Ledger | None:
    """List the images and data sets that each host received; None where no event reports any."""
    rows: list[tuple[str, ...]] = []
    for session in sessions:
        prefix = "" if len(sessions) == 1 else f"{session.name}: "
        for event in session.events:
            row = _ledger_row(event.event)
            if row is not None:
                rows.append(tuple(clean_text(text, 200) for text in (prefix + row[0], *row[1:])))
    if not rows:
        return None
    return Ledger(tuple(rows[:_MOST_ROWS]), max(len(rows) - _MOST_ROWS, 0))


def _ledger_row(event: Event) -> tuple[str, ...] | None:
    if isinstance(event, ImageShipped):
        kind = "environment" if event.method == "wheels" else "image"
        what = f"{kind} {event.image}" if event.image else kind
        return event.host, f"{what}, shipped", event.method or NOTHING, *_ship_cells(event)
    if isinstance(event, DataShipped):
        how = f"{event.files} files" if event.files else "present"
        return event.host, f"data set {event.data}, shipped", how, *_ship_cells(event)
    if isinstance(event, ImageReady):
        what, took = f"image {event.image_digest[:12]}", _took(event.seconds)
        return event.host, what, event.method or NOTHING, NOTHING, NOTHING, NOTHING, took, NOTHING
    if isinstance(event, DataReady):
        what, size = f"data set {event.data}", format_bytes(event.bytes)
        return event.host, what, event.how or NOTHING, size, NOTHING, NOTHING, NOTHING, NOTHING
    return None


def _ship_cells(event: ImageShipped | DataShipped) -> tuple[str, ...]:
    """Return bytes needed, sent and saved, the duration, and 10⁶ bytes a second."""
    sizes = map(format_bytes, (event.bytes_needed, event.bytes_sent, event.bytes_saved))
    return (*sizes, _took(event.seconds), NOTHING if event.mb_per_s is None else f"{event.mb_per_s:.1f}")


def _took(seconds: float | None) -> str:
    return NOTHING if seconds is None else format_seconds(seconds)


def view_sources(sessions: Sequence[SessionData]) -> list[Source]:
    """Return the resolved experiment and what is known of the inventory, as YAML."""
    import yaml

    found = []
    for session in sessions:
        prefix = "" if len(sessions) == 1 else f"{clean_text(session.name, 80)}: "
        content = session.content.plain()
        for key in ("experiment", "inventory", "hosts"):
            value = content.get(key)
            if value:
                text = yaml.safe_dump(redact(_plain(value)), sort_keys=True, allow_unicode=True, width=110)
                found.append(Source(f"{prefix}{key}", clean_lines(text, _MOST_CHARACTERS)))
    return found


def redact(value: JsonValue) -> JsonValue:
    """Return the same value without fields whose names look like secrets, at any depth."""
    if isinstance(value, Mapping):
        return redact_fields(value)
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value


def redact_fields(value: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the same fields without those whose names look like secrets, at any depth."""
    return {key: REDACTED if _is_secret(key, inner) else redact(inner) for key, inner in value.items()}


def _is_secret(name: str, value: object) -> bool:
    return bool(_SECRET.search(name)) and value not in (None, "", False, True) and not isinstance(value, Mapping)


def _plain(value: JsonValue) -> JsonValue:
    """Return a value that YAML can express: keys as text, and text without control characters."""
    if isinstance(value, Mapping):
        return {clean_text(k, 200): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        items = [_plain(item) for item in value]
        return items[0] if len(items) == 1 and not isinstance(items[0], dict | list) else items
    if isinstance(value, str):
        return clean_text(value, 2000)
    return value

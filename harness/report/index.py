"""The index of all sessions of a folder: date, hosts, hardware and advice, read from the heads of their pages.

Each page contains a summary, so that the index needs no records; a page without one (of another version) is listed by
its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from harness.bench.protocol import bounded_json
from harness.report.advice import say_advice
from harness.report.embed import SUMMARY_ID
from harness.values.text import NOTHING, cap_list, clean_text

if TYPE_CHECKING:
    from harness.records.session_data import SessionData
    from harness.report.view import View

INDEX_NAME = "index.html"
PAGE_NAME = "report.html"

_HEAD_BYTES = 200_000
_BLOCK = f'<script type="application/json" id="{SUMMARY_ID}">'
_MOST_ADVICE = 6


@dataclass(frozen=True)
class IndexRow:
    """A page in the index: ``advice`` are pairs of hardware and sentence."""

    link: str
    name: str
    date: str
    progress: str
    hosts: str
    advice: tuple[tuple[str, str], ...]


def summarise_view(view: View, sessions: Sequence[SessionData]) -> str:
    """Return the summary of a page for the index, as JSON that cannot end its script element."""
    dates = sorted(session.content.created_at for session in sessions)
    value = {
        "title": view.title,
        "date": dates[0] if dates else "",
        "progress": view.progress,
        "hosts": [clean_text(host.name, 80) for host in view.hosts],
        "advice": [
            [group.heading, f"{advice.lead}: {say_advice(advice)}"]
            for group in view.groups
            for advice in group.advice[:1]
        ][:_MOST_ADVICE],
    }
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def list_pages(output: Path) -> list[IndexRow]:
    """List the pages in the folders below ``output`` and the pages of several sessions beside them, newest first."""
    pages = [*output.glob(f"*/{PAGE_NAME}"), *(p for p in output.glob("*.html") if p.name != INDEX_NAME)]
    rows = [_read_row(page, output) for page in pages if page.is_file()]
    return sorted(rows, key=lambda row: (row.date, row.name), reverse=True)


def _read_row(page: Path, output: Path) -> IndexRow:
    link = quote(page.relative_to(output).as_posix())
    name = page.parent.name if page.name == PAGE_NAME and page.parent != output else page.name
    said = _read_summary(page)
    advice = said.get("advice")
    pairs = [pair for pair in advice if isinstance(pair, list) and len(pair) == 2] if isinstance(advice, list) else []
    hosts = said.get("hosts")
    return IndexRow(
        link=link,
        name=clean_text(name, 120),
        date=clean_text(said.get("date") or "", 40).replace("T", " ")[:16],
        progress=clean_text(said.get("progress") or "a page of another version", 120),
        hosts=cap_list([clean_text(host, 80) for host in hosts], 8) if isinstance(hosts, list) and hosts else NOTHING,
        advice=tuple((clean_text(pair[0], 200), clean_text(pair[1], 600)) for pair in pairs[:_MOST_ADVICE]),
    )


def _read_summary(page: Path) -> Mapping[str, object]:
    try:
        with page.open("rb") as stream:
            head = stream.read(_HEAD_BYTES).decode("utf-8", "replace")
        _, block, rest = head.partition(_BLOCK)
        text, end, _ = rest.partition("</script>")
        value = bounded_json.parse(text) if block and end else {}
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, Mapping) else {}

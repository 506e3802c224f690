"""Sources of a report: a session folder, or an old report that contains its records.

Reading is tolerant: a cut last line, a line of another version or an unknown event is
left out and becomes a note on the page; the report is made from the rest.
"""

from __future__ import annotations

import io
from pathlib import Path

from harness.records.session_data import SessionData, parse_session, read_session
from harness.report.embed import SIDECAR_ENDING, find_block, read_sessions
from harness.values.errors import SessionError
from harness.values.text import clean_text

_MOST_PAGE = 32 * 2**20
"""Characters of a page that contains its records: pages of this program stay below 5 MB."""


def read_source(path: Path) -> list[SessionData]:
    """Read the session of a session folder, or all sessions of an old ``report.html``.

    A page with too many records has them in a file beside it. Raises SessionError where there are none.
    """
    return _read_page(path) if path.is_file() else [read_session(path)]


def _read_page(page: Path) -> list[SessionData]:
    beside = page if page.name.endswith(SIDECAR_ENDING) else name_sidecar(page)
    try:
        if beside.exists():
            with beside.open("rb") as stream:
                sessions = read_sessions(stream)
        else:
            with page.open(encoding="utf-8") as text:
                sessions = read_sessions(io.BytesIO(find_block(text.read(_MOST_PAGE))))
    except (OSError, ValueError) as error:
        hint = "name the session folder instead; a page with too many records has them in a file beside it"
        raise SessionError(f"no records in this page: {clean_text(error)}", where=str(page), hint=hint) from error
    return [parse_session(session, records, page.name) for session, records in sessions]


def name_sidecar(page: Path) -> Path:
    """Return the path of the file beside a page that has its records when the page cannot contain them."""
    return page.with_name(page.stem + SIDECAR_ENDING)

"""The page: one self-contained HTML file, written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.records.session_data import SessionData
from harness.report.anonymous import anonymise
from harness.report.changes import ChangeView
from harness.report.composition import build_view
from harness.report.embed import compress_sessions, pack_sessions
from harness.report.glossary import GLOSSARY, link_terms
from harness.report.index import INDEX_NAME, list_pages, summarise_view
from harness.report.palette import write_colours
from harness.report.source import name_sidecar, read_source
from harness.report.view import View
from harness.report.writing import write_result
from harness.values.errors import SessionError

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).with_name("templates")


def write_report(folders: Sequence[Path], output: Path, *, is_anonymous: bool = False) -> Path:
    """Make one page of session folders (or of old pages that carry their records) and return its path.

    The same records give the same bytes. A page in its session's folder is also listed in the index of all sessions.
    Raises SessionError where a source is no session, or ``output`` cannot be written; the old page then stays.
    """
    sessions = read_sources(folders)
    return write_sessions(anonymise(sessions) if is_anonymous else sessions, output)


def read_sources(folders: Sequence[Path]) -> list[SessionData]:
    """Read the sessions of several sources, each once: a session that two of them have is taken from the last."""
    found: dict[tuple[str, str], SessionData] = {}
    for folder in folders:
        for session in read_source(folder):
            key = (session.name, session.content.created_at)
            found.pop(key, None)
            found[key] = session
    if not found:
        raise SessionError("no session to report", hint="name a folder that `harness run` made")
    return list(found.values())


def write_sessions(sessions: Sequence[SessionData], output: Path) -> Path:
    """Write the page of sessions; very many records are written to a file beside it."""
    packed = compress_sessions(sessions)
    block = pack_sessions(packed)
    beside = name_sidecar(output)
    page = render_page(sessions, block=block, beside=beside.name)
    if block is None:
        write_result(packed, beside, what="report")
    else:
        beside.unlink(missing_ok=True)
    write_page(page, output)
    if (output.parent / "session.json").is_file():
        write_index(output.parent.parent)
    return output


def render_page(sessions: Sequence[SessionData], *, block: str | None = None, beside: str = "") -> str:
    """Render sessions as HTML; ``block`` are their packed records (made here where None and ``beside`` is empty)."""
    if block is None and not beside:
        block = pack_sessions(compress_sessions(sessions))
    view = build_view(sessions, block, beside)
    return render_view(view, summarise_view(view, sessions), beside)


def render_view(view: View, summary: str = "{}", beside: str = "") -> str:
    """Render a view as HTML; every text is escaped, and a name that the view does not have is an error."""
    from markupsafe import Markup

    # Only texts of this package, base64 letters and charts are not escaped.
    block = Markup(view.data_block) if view.data_block is not None else None  # noqa: S704
    values = {"view": view, "data_block": block, "beside": beside, "glossary": GLOSSARY}
    return link_terms(render_template("report.html.j2", {**values, "summary": Markup(summary)}))  # noqa: S704


def render_template(name: str, values: Mapping[str, object]) -> str:
    """Render a template of this package with the stylesheet and the script, whose hashes are in the page's policy."""
    from markupsafe import Markup

    style = write_colours() + (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; script-src '{hash_source(script)}'; style-src '{hash_source(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    template = _load_templates().get_template(name)
    return template.render(
        **values,
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        policy=policy,
    )


@cache
def _load_templates() -> Environment:
    """Return the templates, which are compiled once: this takes half as long as a small page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["drawing"] = Markup  # charts: their texts were escaped when they were drawn
    return environment


def hash_source(text: str) -> str:
    """Return the source expression with which a Content-Security-Policy allows exactly this text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def write_index(output: Path) -> Path:
    """Write ``index.html`` of a folder: a list of all pages below it."""
    return write_page(render_template("index.html.j2", {"rows": list_pages(output)}), output / INDEX_NAME)


def write_page(page: str, output: Path) -> Path:
    """Write a page to a temporary file and rename it, so that a reader never sees half of it."""
    return write_result(page, output, what="report")


def write_comparison(view: ChangeView, output: Path) -> Path:
    """Write the page that compares two sessions."""
    return write_page(render_template("compare.html.j2", {"view": view}), output)

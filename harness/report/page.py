"""The page: one self-contained HTML file, whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from harness.report.composition import build_view
from harness.report.source import SessionData, read_source
from harness.report.view import View
from harness.values.errors import SessionError

_TEMPLATES = Path(__file__).with_name("templates")
_PAGE_MODE = 0o644


def write_report(folders: Sequence[Path], output: Path) -> Path:
    """Make one page of session folders (or of old pages that carry their records) and return its path.

    The same records give the same bytes. Raises SessionError where a source is no
    session, or ``output`` cannot be written; then the old page stays.
    """
    sessions = [session for folder in folders for session in read_source(folder)]
    if not sessions:
        raise SessionError("no session to report", hint="name a folder that `harness run` made")
    return write_page(render_page(sessions), output)


def render_page(sessions: Sequence[SessionData]) -> str:
    """The HTML of sessions."""
    return render_view(build_view(sessions))


def render_view(view: View) -> str:
    """The HTML of a view; every text is escaped, a name that the view lacks is an error."""
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
    # Only this package's own stylesheet and base64 letters go past the escaping.
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    block = Markup(view.data_block) if view.data_block is not None else None  # noqa: S704
    return environment.get_template("report.html.j2").render(
        view=view,
        style=Markup(style),  # noqa: S704
        style_hash=hash_style(style),
        data_block=block,
    )


def hash_style(style: str) -> str:
    """The source expression that lets exactly this stylesheet through a Content-Security-Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def write_page(page: str, output: Path) -> Path:
    """Write a page beside its name and move it there, so that a reader never sees half of it."""
    temporary = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(page)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(_PAGE_MODE)
        temporary.replace(output)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        hint = "make room there, or choose another place with --output"
        raise SessionError(f"the report cannot be written: {error.strerror}", where=str(output), hint=hint) from error
    return output

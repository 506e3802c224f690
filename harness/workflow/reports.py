"""``harness report`` and ``harness export``: pages and tables from session folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.session.folder import SessionFolder, list_folders
from harness.values.errors import SessionError


def newest_session(output: Path) -> SessionFolder:
    """The session that changed last. Raises SessionError where there is none."""
    folders = list_folders(output)
    if not folders:
        hint = "name a session folder, or make one with `harness run INVENTORY`"
        raise SessionError("there is no session here", where=str(output), hint=hint)
    return folders[0]


def choose_session(session: Path | None, output: Path) -> SessionFolder:
    """The session that was named, as a folder or by its name below ``output``; else the newest."""
    if session is None:
        return newest_session(output)
    folder = SessionFolder(session)
    if not folder.exists() and not session.is_absolute() and SessionFolder(output / session).exists():
        folder = SessionFolder(output / session)
    folder.read()
    return folder


def make_report(sessions: Sequence[Path], output: Path, to: Path | None) -> Path:
    """Write one page over one session or several (folders, or pages that embed their records)."""
    from harness.report.page import write_report

    if not sessions:
        folder = newest_session(output)
        return write_report([folder.path], to or folder.report_file)
    sources = [path if path.is_file() else choose_session(path, output).path for path in sessions]
    if to is None:
        single = len(sources) == 1
        to = sources[0] / "report.html" if single and sources[0].is_dir() else output / "report.html"
        to = sources[0] if single and sources[0].is_file() else to
    to.parent.mkdir(parents=True, exist_ok=True)
    return write_report(sources, to)


def export_session(session: Path | None, output: Path, format_name: str, to: Path | None) -> str | None:
    """A session's records in a format: as text, or None where they were written to ``to``."""
    from harness.report.export import export_records

    source = session if session is not None and session.is_file() else choose_session(session, output).path
    content = export_records(source, format_name, to)
    if to is not None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        hint = "name a file with --to"
        raise SessionError(f"{format_name} is not text and is not written to a terminal", hint=hint) from None

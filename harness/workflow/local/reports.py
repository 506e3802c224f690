"""``harness report``, ``export`` and ``compare``: pages and tables from session folders, or from report pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.records.folder import SessionFolder, list_folders
from harness.records.reading import read_content
from harness.values.errors import ConfigurationError, SessionError

if TYPE_CHECKING:
    from harness.report.changes import ChangeView
    from harness.report.terminal import TerminalView


def newest_session(output: Path) -> SessionFolder:
    """Return the session that changed last. Raises SessionError if there is none."""
    folders = list_folders(output)
    if not folders:
        hint = "name a session folder, or make one with `harness run INVENTORY`"
        raise SessionError("there is no session in this folder", where=str(output), hint=hint)
    return folders[0]


def choose_session(session: Path | None, output: Path) -> SessionFolder:
    """Return the session that the user named (a folder, or a name below ``output``); else the newest."""
    if session is None:
        return newest_session(output)
    folder = SessionFolder(session)
    if not folder.exists() and not session.is_absolute() and SessionFolder(output / session).exists():
        folder = SessionFolder(output / session)
    read_content(folder, lambda fault: None)
    return folder


@dataclass(frozen=True)
class MadeReport:
    """A report page, and its content for the terminal."""

    page: Path
    views: list[TerminalView]


def make_report(sessions: Sequence[Path], output: Path, to: Path | None, *, is_anonymous: bool = False) -> MadeReport:
    """Write a report page on one or several sessions, given as folders or as pages that contain their records.

    ``is_anonymous`` removes names; such a page never overwrites the session's own.
    """
    from harness.report.anonymous import anonymise
    from harness.report.page import read_sources, write_index, write_sessions
    from harness.report.terminal import view_terminal

    sources = _find_sources(sessions, output)
    found = read_sources(sources)
    found = anonymise(found) if is_anonymous else found
    target = to or _name_page(sources, output, is_anonymous=is_anonymous)
    page = write_sessions(found, target)
    if target.parent == output and not is_anonymous:
        write_index(output)
    return MadeReport(page, view_terminal(found))


def _find_sources(sessions: Sequence[Path], output: Path) -> list[Path]:
    if not sessions:
        return [newest_session(output).path]
    return [path if path.is_file() else choose_session(path, output).path for path in sessions]


def _name_page(sources: Sequence[Path], output: Path, *, is_anonymous: bool) -> Path:
    name = "report-anonymous.html" if is_anonymous else "report.html"
    if len(sources) > 1:
        return output / name
    source = sources[0]
    if source.is_dir():
        return source / name
    return source.with_name(f"{source.stem}-anonymous.html") if is_anonymous else source


def export_session(session: Path | None, output: Path, format_name: str, to: Path | None) -> str | None:
    """Export a session's records. Returns them as text, or None if they were written to ``to``."""
    from harness.report.export import export_records

    source = session if session is not None and session.is_file() else choose_session(session, output).path
    content = export_records(source, format_name, to)
    if to is not None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        hint = "name a file with --to"
        raise SessionError(f"{format_name} is a binary format and cannot be printed", hint=hint) from None


def compare_two(old: Path, new: Path, output: Path, to: Path | None, fail_slower_percent: float | None) -> ChangeView:
    """Compare two sessions (folders, names below ``output``, or pages); write a page if ``to`` is given."""
    from harness.report.changes import view_changes
    from harness.report.page import read_sources, write_comparison

    sides = [read_sources(_find_sources([path], output)) for path in (old, new)]
    view = view_changes(sides[0], sides[1], fail_slower_percent)
    if to is not None:
        write_comparison(view, to)
    return view


def recipe_text(loader: str, cache: str, element: str | None = None, deliver: str = "float32") -> str:
    """Return a loader as code to paste. Raises ConfigurationError if there is none for these settings."""
    from harness.bench.protocol.loader_registry import CACHES, LOADERS
    from harness.report.recipes.recipe import NoRecipeError, write_recipe
    from harness.values.case import Case

    try:
        spec = LOADERS[loader]
    except KeyError:
        names = ", ".join(name for name, spec in LOADERS.items() if not spec.is_automatic)
        raise ConfigurationError(f"there is no loader {loader!r}", hint=f"loaders: {names}") from None
    except ValueError as error:  # a user's own loader whose file cannot be read
        said, _, cure = str(error).partition("\n")
        raise ConfigurationError(said, hint=cure) from None
    if cache not in spec.caches:
        raise ConfigurationError(f"{loader} has no cache {cache!r}", hint=f"it has {', '.join(spec.caches)}")
    holds = CACHES[cache].elements
    if element is not None and element not in holds:
        raise ConfigurationError(f"cache {cache} cannot hold {element!r}", hint=f"it holds {', '.join(holds)}")
    if deliver not in spec.delivers:
        raise ConfigurationError(f"{loader} cannot deliver {deliver!r}", hint=f"it delivers {', '.join(spec.delivers)}")
    if element is None and deliver == "uint8" and "uint8" in holds:
        element = "uint8"
    if deliver == "uint8" and cache != "none" and (element or holds[0]) == "float32":
        cure = "give --element uint8"
        raise ConfigurationError("a float32 cache holds scaled pixels and cannot deliver uint8", hint=cure)
    pixels = "nearest" if "nearest" in spec.interpolations else spec.interpolations[0]
    values = {
        "data": "images",
        "loader": loader,
        "cache": cache,
        "element": element or holds[0],
        "deliver": deliver,
        "interpolation": pixels,
    }
    try:
        return write_recipe(Case.model_validate(values))
    except NoRecipeError as reason:
        hint = "`harness loaders` lists all loaders and what each is for"
        raise ConfigurationError(f"there is no code to paste for {loader}: {reason}", hint=hint) from None

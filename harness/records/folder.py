"""The session folder: its files and its name."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.bench.protocol.atomic import write_file
from harness.records.content import SESSION_FORMAT, SessionContent
from harness.values.digest import digest_of
from harness.values.errors import SessionError
from harness.values.facts import Facts

INVENTORY_FILE, EXPERIMENT_FILE = "inventory.yaml", "experiment.yaml"
"""Files that `advise` writes to the folder before it begins the session."""
_BESIDE = (INVENTORY_FILE, EXPERIMENT_FILE, "known_hosts")
_FETCHING = ".fetch-"
_LEFT_OUT = "left-out"
_MOST_NAME_BYTES = 100
"""Bytes of the inventory's and the experiment's part of a folder's name at most; ``--name`` may have twice as many."""


@dataclass(frozen=True)
class SessionFolder:
    """A session's folder. ``path`` is usually ``<output>/<inventory name>-<experiment name>-<8 hex>``."""

    path: Path

    @property
    def name(self) -> str:
        """The session's name, which is the folder's."""
        return self.path.name

    @property
    def session_file(self) -> Path:
        return self.path / "session.json"

    @property
    def records_file(self) -> Path:
        return self.path / "records.jsonl"

    @property
    def events_file(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def progress_file(self) -> Path:
        return self.path / "progress.json"

    @property
    def facts_folder(self) -> Path:
        return self.path / "facts"

    @property
    def report_file(self) -> Path:
        return self.path / "report.html"

    def log_file(self, host: str, invocation: str, attempt: int) -> Path:
        """Return the path of the log of one attempt."""
        return self.path / "logs" / host / f"{invocation}-{attempt}.log"

    def exists(self) -> bool:
        """Whether the folder contains a session."""
        return self.session_file.is_file()

    def write(self, content: SessionContent) -> None:
        """Write ``session.json`` atomically. Raises SessionError."""
        self.make()
        text = json.dumps({"format": SESSION_FORMAT, **content.plain()}, indent=1, sort_keys=True)
        with _explaining(self.path):
            write_file(self.session_file, text)

    def write_facts(self, host: str, facts: Facts) -> None:
        """Write the facts of a host. Raises SessionError."""
        target = self.facts_folder / f"{host}.json"
        with _explaining(self.path):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_file(target, facts.model_dump_json(indent=1) + "\n")

    def write_log(self, host: str, invocation: str, attempt: int, text: str) -> str:
        """Write the log of one attempt and return its path in the folder. Raises SessionError."""
        target = self.log_file(host, invocation, attempt)
        with _explaining(self.path):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", errors="replace")
        return str(target.relative_to(self.path))

    def left_out_file(self, host: str, data: str) -> Path:
        """Return the path of the list of files that were left out of a data set on a host."""
        return self.path / _LEFT_OUT / host / f"{data}.tsv"

    def write_left_out(self, host: str, data: str, rows: Sequence[tuple[str, str]], count: int) -> None:
        """Write the list of left-out files, as (path, reason), of ``count`` in all. Raises SessionError."""
        target = self.left_out_file(host, data)
        lines = ["path\treason", *("\t".join(" ".join(cell.split()) for cell in row) for row in rows)]
        if count > len(rows):
            lines.append(f"…\tand {count - len(rows)} more")
        with _explaining(self.path):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_file(target, "\n".join(lines) + "\n")

    @contextlib.contextmanager
    def fetching(self) -> Iterator[Path]:
        """Context manager: yield a temporary folder for a job's results."""
        place = Path(tempfile.mkdtemp(prefix=_FETCHING, dir=self.path))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def sweep(self) -> None:
        """Remove temporary folders of a killed controller. The caller must hold the folder's lock."""
        for place in self.path.glob(f"{_FETCHING}*"):
            shutil.rmtree(place, ignore_errors=True)

    def make(self) -> None:
        """Create the folder if it does not exist. Raises SessionError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            hint = "choose another folder with --output"
            message = f"this folder cannot be created: {error.strerror}"
            raise SessionError(message, where=str(self.path), hint=hint) from error

    def refuse_foreign(self) -> None:
        """Raise SessionError if the folder contains other files but no session."""
        if self.exists() or not self.path.is_dir():
            return
        foreign = sorted(path.name for path in self.path.iterdir() if not _is_ours(path))
        if foreign:
            raise SessionError(
                f"this folder has no session.json but contains other files: {', '.join(foreign[:5])}",
                where=str(self.path),
                hint="choose another folder with --output or --name, or move it away",
            )

    def list_absent(self) -> tuple[Path, ...]:
        """Return the folder and those around it that are not there yet, the innermost first."""
        return tuple(path for path in (self.path, *self.path.parents) if not path.exists())

    def remove(self, made: Iterable[Path] = ()) -> None:
        """Remove a session that holds no record, and the empty ones of the folders that were ``made`` for it.

        What is not of a session stays.
        """
        files = (self.session_file, self.records_file, self.events_file, self.progress_file, self.report_file)
        for path in (*files, self.path / ".lock"):
            path.unlink(missing_ok=True)
        for name in ("facts", "logs", _LEFT_OUT):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for path in dict.fromkeys((self.path, *made)):
            with contextlib.suppress(OSError):
                path.rmdir()


def find_folder(
    output: Path, *, inventory: str, experiment: str, digest: str, name: str | None, is_fresh: bool
) -> SessionFolder:
    """Return the folder of a session. The same command finds the same folder. Raises SessionError for a bad name.

    ``digest`` is over the resolved experiment without rounds, budget and timeout. ``--fresh`` starts ``…-2``, ``…-3``;
    later commands continue the newest.
    """
    unfit = name is not None and (not name.strip() or name in (".", "..") or not name.isprintable() or "/" in name)
    if unfit or len(os.fsencode(name or "")) > 2 * _MOST_NAME_BYTES:
        hint = f"--name is the name of one folder below --output, of at most {2 * _MOST_NAME_BYTES} bytes"
        raise SessionError(f"{name!r} cannot be the name of a session", where="--name", hint=hint)
    base = name or f"{_shorten(inventory)}-{_shorten(experiment)}-{digest}"
    number, newest = 1, SessionFolder(output / base)
    while newest.exists():
        following = SessionFolder(output / f"{base}-{number + 1}")
        if not following.exists():
            return following if is_fresh else newest
        number, newest = number + 1, following
    return newest


def _shorten(name: str) -> str:
    """Shorten a long part of a folder's name, with a digest to keep it unique. File systems allow 255 bytes."""
    raw = os.fsencode(name)
    if len(raw) <= _MOST_NAME_BYTES:
        return name
    return f"{raw[: _MOST_NAME_BYTES - 9].decode(errors='ignore')}-{digest_of(name)[:8]}"


def list_folders(output: Path) -> list[SessionFolder]:
    """Return all sessions in a folder, newest first."""
    if not output.is_dir():
        return []
    folders = [SessionFolder(path) for path in output.iterdir() if (path / "session.json").is_file()]
    return sorted(folders, key=_last_change, reverse=True)


def _last_change(folder: SessionFolder) -> float:
    files = (folder.records_file, folder.events_file, folder.session_file)
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def _is_ours(path: Path) -> bool:
    """Whether a file belongs to a session that was not fully begun."""
    begun = path.name in (".lock", "records.jsonl", "events.jsonl")
    return path.name in _BESIDE or (begun and path.stat().st_size == 0) or path.name.startswith(".session.json.")


@contextlib.contextmanager
def _explaining(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "free space there or allow writing, then give the same command again: it continues"
        raise SessionError(f"cannot write: {error.strerror}", where=str(folder), hint=hint) from error

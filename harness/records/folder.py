"""The session folder: where a session's files lie, and how its name is found."""

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
"""What a command that writes them itself leaves beside its session, before it begins one."""
_BESIDE = (INVENTORY_FILE, EXPERIMENT_FILE, "known_hosts")
_FETCHING = ".fetch-"
_LEFT_OUT = "left-out"
_MOST_NAME_BYTES = 100
"""Of what an inventory and an experiment give to a folder's name; twice as much of one that a user gives."""


@dataclass(frozen=True)
class SessionFolder:
    """``path`` is ``<output>/<inventory name>-<experiment name>-<8 hex>``."""

    path: Path

    @property
    def name(self) -> str:
        """The session's name: the folder's."""
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
        """Return where the log of one attempt is kept."""
        return self.path / "logs" / host / f"{invocation}-{attempt}.log"

    def exists(self) -> bool:
        """Whether a session was begun here."""
        return self.session_file.is_file()

    def write(self, content: SessionContent) -> None:
        """Write ``session.json``, whole or not at all."""
        self.make()
        text = json.dumps({"format": SESSION_FORMAT, **content.plain()}, indent=1, sort_keys=True)
        with _explaining(self.path):
            write_file(self.session_file, text)

    def write_facts(self, host: str, facts: Facts) -> None:
        """Keep what a host was found to be."""
        target = self.facts_folder / f"{host}.json"
        with _explaining(self.path):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_file(target, facts.model_dump_json(indent=1) + "\n")

    def write_log(self, host: str, invocation: str, attempt: int, text: str) -> str:
        """Keep the log of one attempt; returns its path in the folder. Raises SessionError."""
        target = self.log_file(host, invocation, attempt)
        with _explaining(self.path):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", errors="replace")
        return str(target.relative_to(self.path))

    def left_out_file(self, host: str, data: str) -> Path:
        """Return where the list of files that were left out of a data set on a host is kept."""
        return self.path / _LEFT_OUT / host / f"{data}.tsv"

    def write_left_out(self, host: str, data: str, rows: Sequence[tuple[str, str]], count: int) -> None:
        """Keep the files, (path, reason), that were left out of a data set, ``count`` in all. Raises SessionError."""
        target = self.left_out_file(host, data)
        lines = ["path\treason", *("\t".join(" ".join(cell.split()) for cell in row) for row in rows)]
        if count > len(rows):
            lines.append(f"…\tand {count - len(rows)} more")
        with _explaining(self.path):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_file(target, "\n".join(lines) + "\n")

    @contextlib.contextmanager
    def fetching(self) -> Iterator[Path]:
        """Yield a folder for what is fetched of a job; it is removed when the block ends."""
        place = Path(tempfile.mkdtemp(prefix=_FETCHING, dir=self.path))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what a controller that was killed was fetching; whoever calls holds the folder's lock."""
        for place in self.path.glob(f"{_FETCHING}*"):
            shutil.rmtree(place, ignore_errors=True)

    def make(self) -> None:
        """Make the folder where it is not there. Raises SessionError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            hint = "choose another place with --output"
            raise SessionError(f"cannot make this folder: {error.strerror}", where=str(self.path), hint=hint) from error

    def refuse_foreign(self) -> None:
        """Raise SessionError where no session was begun here, but the folder holds other things."""
        if self.exists() or not self.path.is_dir():
            return
        foreign = sorted(path.name for path in self.path.iterdir() if not _is_ours(path))
        if foreign:
            raise SessionError(
                f"this folder has no session.json but holds other things: {', '.join(foreign[:5])}",
                where=str(self.path),
                hint="choose another place with --output or --name, or move it away",
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
    """Return the folder of a session: the same command finds the same one.

    ``digest`` is of the resolved experiment without rounds, budget and timeout. Of several
    (``--fresh`` starts ``…-2``, ``…-3``) the newest continues.
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
    """Cut a long part of a folder's name; a digest keeps names of one beginning apart. File systems take 255 bytes."""
    raw = os.fsencode(name)
    if len(raw) <= _MOST_NAME_BYTES:
        return name
    return f"{raw[: _MOST_NAME_BYTES - 9].decode(errors='ignore')}-{digest_of(name)[:8]}"


def list_folders(output: Path) -> list[SessionFolder]:
    """Return all sessions below a folder, newest first."""
    if not output.is_dir():
        return []
    folders = [SessionFolder(path) for path in output.iterdir() if (path / "session.json").is_file()]
    return sorted(folders, key=_last_change, reverse=True)


def _last_change(folder: SessionFolder) -> float:
    files = (folder.records_file, folder.events_file, folder.session_file)
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def _is_ours(path: Path) -> bool:
    """Whether a session is begun with such a file, or a controller that was killed while it began one leaves it."""
    begun = path.name in (".lock", "records.jsonl", "events.jsonl")
    return path.name in _BESIDE or (begun and path.stat().st_size == 0) or path.name.startswith(".session.json.")


@contextlib.contextmanager
def _explaining(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "make room there, or let this user write it, and give the same command again: it continues"
        raise SessionError(f"cannot write: {error.strerror}", where=str(folder), hint=hint) from error

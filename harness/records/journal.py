"""Writing ``records.jsonl`` and ``events.jsonl``: append-only, synced line by line, by one writer."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
import time
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import IO, TextIO

from harness.bench.protocol import bounded_json
from harness.bench.protocol.atomic import replace_file
from harness.records.folder import SessionFolder
from harness.records.reading import Fault, read_records, refuse
from harness.values.errors import SessionError
from harness.values.event import Event, InvocationRunning, LoggedEvent, Progress
from harness.values.record import Record

_TAIL_BYTES = 64 * 1024
_PROGRESS_EVERY_S = 1.0
_LOCK_NAME = ".lock"


def now_utc() -> str:
    """Return the current time in UTC as ISO 8601, to the millisecond."""
    return _text(datetime.now(UTC))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Journal:
    """The only writer of a session's records and events. Safe to call from all hosts' threads.

    Opening it locks the folder, so that two controllers never write one session, and removes an incomplete last line
    that a killed controller left. ``has_written``: a record was added since. Records are cached by host, because each
    host's thread asks for its own records repeatedly.
    """

    def __init__(self, folder: SessionFolder) -> None:
        folder.make()
        self.unreadable: list[Fault] = []
        self.has_written = False
        self._folder = folder
        self._mutex = threading.Lock()
        self._known: dict[str, list[Record]] | None = None
        self._progress: dict[str, object] = {}
        self._progress_at = -_PROGRESS_EVERY_S
        files = (folder.records_file, folder.events_file)
        try:
            self._lock_stream = take_folder(folder)
            folder.sweep()
            self.cut = {path.name: cut for path in files if (cut := _cut_tail(path))}
            self._records, self._events = (path.open("ab", buffering=0) for path in files)
        except OSError as error:
            hint = "allow writing there, or choose another folder with --output"
            where = str(error.filename or folder.path)
            raise SessionError(f"cannot be written: {error.strerror}", where=where, hint=hint) from error

    def write_record(self, record: Record) -> None:
        """Append a record; it is on disk when this returns. Raises SessionError."""
        self._append(self._records, record.model_dump_json())
        self.has_written = True
        with self._mutex:
            if self._known is not None:
                self._known.setdefault(record.host, []).append(record)

    def records_of(self, host: str) -> list[Record]:
        """Return all records of one host, oldest first. The first call reads the file. Raises SessionError.

        Records that cannot be read are listed in ``unreadable`` and count as not measured.
        """
        with self._mutex:
            if self._known is None:
                self._known = {}
                for record in read_records(self._folder, self._note):
                    self._known.setdefault(record.host, []).append(record)
            return list(self._known.get(host, ()))

    def _note(self, fault: Fault) -> None:
        refuse(fault)
        if fault.is_record and not fault.is_expected:
            self.unreadable.append(fault)

    def write_event(self, event: Event) -> None:
        """Append an event with its time. ``InvocationRunning`` is for the console alone.

        Of ``Progress`` the newest of each host is kept in a file of its own, which ``harness status`` reads.
        """
        if isinstance(event, InvocationRunning):
            return
        if isinstance(event, Progress):
            self._keep_progress(event)
            return
        self._append(self._events, _write_finite(LoggedEvent(now_utc(), event).to_json()))

    def _keep_progress(self, event: Progress) -> None:
        """Write the progress of each host to the progress file, at most once a second. Write errors are ignored."""
        if event.host is None:
            return
        with self._mutex:
            self._progress[event.host] = {"at": now_utc(), "what": event.what, "fraction": event.fraction}
            if time.monotonic() - self._progress_at < _PROGRESS_EVERY_S:
                return
            self._progress_at = time.monotonic()
            with contextlib.suppress(OSError), replace_file(self._folder.progress_file, sync=False) as stream:
                stream.write(_write_finite(self._progress).encode(errors="backslashreplace"))

    def give_sign(self) -> None:
        """Leave a sign of life for ``heard_at``: a case may run for hours without an event."""
        with contextlib.suppress(OSError):
            os.utime(self._lock_stream.fileno())

    def close(self) -> None:
        """Close the files and release the folder's lock. Errors are ignored: nothing is left to write."""
        with contextlib.suppress(OSError):
            self._folder.progress_file.unlink(missing_ok=True)
        for stream in (self._records, self._events, self._lock_stream):
            with contextlib.suppress(OSError):
                stream.close()

    def _append(self, stream: FileIO, line: str) -> None:
        """Append a line completely or not at all. Lone surrogates are written as JSON escapes."""
        text = line.encode(errors="backslashreplace") + b"\n"
        with self._mutex:
            try:
                before = os.fstat(stream.fileno()).st_size
                try:
                    if stream.write(text) != len(text):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(stream.fileno())
                except OSError:
                    stream.truncate(before)
                    raise
            except OSError as error:
                hint = "free space there and give the same command again: it continues"
                raise SessionError(
                    f"cannot write: {error.strerror}", where=str(self._folder.path), hint=hint
                ) from error


def _write_finite(value: object) -> str:
    """Return a value as JSON, with null for infinite numbers and NaN."""
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    except ValueError:
        return _write_finite(json.loads(json.dumps(value), parse_constant=lambda _: None))


def take_folder(folder: SessionFolder) -> TextIO:
    """Lock the folder and return the stream that holds the lock. Raises SessionError if it is locked already."""
    stream = (folder.path / _LOCK_NAME).open("a", encoding="utf-8")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        raise SessionError(
            "another `harness run` is working on this session",
            where=str(folder.path),
            hint="watch it with `harness status`, or wait until it ends",
        ) from None
    return stream


def is_taken(folder: SessionFolder) -> bool:
    """Whether a controller on this machine is working on the session. Changes nothing."""
    try:
        with bounded_json.open_plain(folder.path / _LOCK_NAME) as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except (FileNotFoundError, bounded_json.Unreadable):
        return False
    except OSError:
        return True


def heard_at(folder: SessionFolder) -> str | None:
    """Return when a session's controller gave its last sign of life; None if it gave none."""
    try:
        seconds = (folder.path / _LOCK_NAME).stat().st_mtime
        return _text(datetime.fromtimestamp(seconds, UTC))
    except (OSError, ValueError, OverflowError):  # some file systems store years of more than four digits
        return None


def _cut_tail(path: Path) -> str | None:
    """Remove an incomplete last line from a file. Returns its beginning, or None if there is none."""
    try:
        stream = path.open("r+b")
    except FileNotFoundError:
        return None
    with stream:
        end = stream.seek(0, os.SEEK_END)
        whole = _find_last_line(stream, end)
        if whole == end:
            return None
        stream.seek(whole)
        cut = stream.read(_TAIL_BYTES)
        stream.truncate(whole)
        os.fsync(stream.fileno())
    return cut.decode(errors="replace")


def _find_last_line(stream: IO[bytes], end: int) -> int:
    """Return the offset after the last newline."""
    while end > 0:
        start = max(0, end - _TAIL_BYTES)
        stream.seek(start)
        if (found := stream.read(end - start).rfind(b"\n")) >= 0:
            return start + found + 1
        end = start
    return 0

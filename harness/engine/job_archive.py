"""Extract a job's results from an untrusted tar stream: no path outside the folder, no links, a limited size."""

from __future__ import annotations

import errno
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from harness.bench.protocol.atomic import replace_file
from harness.values.errors import EngineError, ResultsRefused
from harness.values.text import clean_text

RESULTS_BYTES = 512 * 2**20
"""The most bytes of a job's results; a log of some millions of lines is a tenth of it."""

MOST_FILES = 1000
"""The most entries of the archive, including folders and links. A job usually leaves ten."""

HEADER_BYTES = 64 * 1024
"""The most bytes of a header (name, times, sparse map); ``tarfile`` keeps a header of any length in memory."""

_MOST_NAME_BYTES = 200
_MOST_FOLDERS = 8
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


def extract_results(
    chunks: Iterable[bytes], destination: Path, *, host: str, job: str, limit_bytes: int = RESULTS_BYTES
) -> None:
    """Write the regular files of a tar into ``destination``, without their first path component.

    Jobs are not trusted: an entry that is no plain file or folder below ``destination``, or cannot be written there, is
    skipped. Each file is replaced atomically. Raises ResultsRefused above a limit, EngineError where the stream is cut
    or not a tar, OSError where the disk is full.
    """
    destination.mkdir(parents=True, exist_ok=True)
    left, stream = limit_bytes, _Stream(chunks)
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
            for count, member in enumerate(archive, start=1):
                left -= max(0, member.size)
                if left < 0:
                    raise _TooMuch(f"larger than {limit_bytes} bytes")
                if count > MOST_FILES:
                    raise _TooMuch(f"more than {MOST_FILES} files")
                stream.allow(member.size)
                source = archive.extractfile(member) if member.isreg() else None
                if source is not None and (parts := _parts_of(member.name)):
                    _keep(source, destination, parts)
    except _TooMuch as error:
        hint = "check what the job writes to its results"
        raise ResultsRefused(f"the results are {error}", where=host, hint=hint) from error
    except (tarfile.TarError, EOFError, ValueError, RecursionError) as error:
        message = f"the results came as a broken archive: {clean_text(error)}"
        raise EngineError(message, where=host, hint=f"inspect the job {job}") from error


def _parts_of(name: str) -> tuple[str, ...]:
    """Return the path of a member below the results folder; empty for a member that is skipped."""
    path = PurePosixPath(name)
    parts = path.parts[1:]
    is_plain = not path.is_absolute() and ".." not in path.parts and len(parts) <= _MOST_FOLDERS
    is_short = all(len(part.encode(errors="replace")) <= _MOST_NAME_BYTES for part in parts)
    return parts if is_plain and is_short and name.isprintable() and not name.endswith(".part") else ()


def _keep(source: IO[bytes], destination: Path, parts: tuple[str, ...]) -> None:
    """Write one file; skip it where its path is a folder, or its folder is a file."""
    folder = destination.joinpath(*parts[:-1])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.resolve().is_relative_to(destination.resolve()):
            with replace_file(folder / parts[-1], sync=False) as stream:
                shutil.copyfileobj(source, stream, 2**18)
    except OSError as error:
        if error.errno in _FULL:
            raise


class _TooMuch(Exception):
    """Raised when a job's results exceed a limit."""


class _Stream:
    """A file object for tarfile over an iterator of chunks, which limits the size of headers."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._rest = b""
        self._allowed = HEADER_BYTES

    def allow(self, size: int) -> None:
        """Permit reading a file of this size and the header after it."""
        self._allowed = size + HEADER_BYTES

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer only at the end. Raises _TooMuch where a header is too large."""
        parts, missing = [], size
        while missing > 0:
            if not self._rest:
                self._rest = next(self._chunks, b"")
                if not self._rest:
                    break
            part, self._rest = self._rest[:missing], self._rest[missing:]
            parts.append(part)
            missing -= len(part)
        self._allowed -= size - missing
        if self._allowed < 0:
            raise _TooMuch(f"an archive with a header of more than {HEADER_BYTES} bytes")
        return b"".join(parts)

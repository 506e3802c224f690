"""Write files atomically (under a temporary name, synced to disk, then renamed), and read their text.

Standard library only. The controller uses it as well.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import IO

TEXT_BYTES = 2**20
"""Most bytes that are read of a kernel file or of our log; a job may have put another file in its place."""


@contextlib.contextmanager
def replace_file(path: str | os.PathLike[str], *, mode: int | None = None, sync: bool = True) -> Iterator[IO[bytes]]:
    """Open a temporary file beside ``path`` that replaces it when the block ends, and is removed if the block fails.

    ``mode`` are its permissions, by default those that the umask leaves. Without ``sync`` the file may be empty after a
    power failure: for data that can be made again, if waiting for the disk costs too much.
    """
    folder, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(folder, f".{name}.{os.urandom(4).hex()}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else 0o600)
    try:
        with open(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            if mode is not None:
                os.fchmod(descriptor, mode)
            if sync:
                os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_file(path: str | os.PathLike[str], content: str | bytes, *, mode: int | None = None) -> None:
    """Write a file atomically and sync it to disk; text as UTF-8."""
    with replace_file(path, mode=mode) as stream:
        stream.write(content.encode() if isinstance(content, str) else content)


def read_text(path: str | os.PathLike[str], most: int = TEXT_BYTES) -> str:
    """Return the last ``most`` bytes of a file as text; empty if it cannot be read."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            with contextlib.suppress(OSError):  # kernel files cannot seek from the end
                stream.seek(-most, os.SEEK_END)
            return stream.read(most).decode(errors="replace")
    except OSError:
        return ""

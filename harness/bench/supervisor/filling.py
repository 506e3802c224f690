"""Whether a job fills the disk that its own folder lies on, which no engine limits. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Sequence

MOST_BYTES = 16 * 2**30
"""What a benchmark may write beside its cache: results are megabytes, weights and links to files less than this."""

_EVERY_S = 5.0


class FillWatch:
    """Looks at the room of a disk, and only where so much of it went at the files that may have taken it."""

    def __init__(self, folders: Sequence[str], most_bytes: int = MOST_BYTES) -> None:
        self._folders = folders
        self._most = most_bytes
        self._free = _free_bytes(folders)
        self._next_look = 0.0

    def look(self, now: float) -> str | None:
        """Return why a job is ended; None while it may go on. ``now`` in seconds."""
        if now < self._next_look:
            return None
        self._next_look = now + _EVERY_S
        free = _free_bytes(self._folders)
        if self._free - free <= self._most:
            return None
        self._free = free
        used = sum(map(_used_bytes, self._folders))
        if used <= self._most:
            return None
        return f"it wrote {used} bytes into its own folder, where at most {self._most} are meant to be: use its cache"


def _free_bytes(folders: Sequence[str]) -> int:
    for folder in folders:
        try:
            found = os.statvfs(folder)
            return found.f_bavail * found.f_frsize
        except OSError:
            continue
    return 0


def _used_bytes(folder: str) -> int:
    """What is allocated to the files below a folder."""
    used = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                used += os.lstat(os.path.join(place, name)).st_blocks * 512
            except OSError:
                continue
    return used

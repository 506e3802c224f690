"""Detect a job that fills the disk of its own folder, which no engine limits. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Sequence

MOST_BYTES = 16 * 2**30
"""Most bytes that a benchmark may write besides its cache: results have megabytes, weights and links less than this."""

_EVERY_S = 5.0


class FillWatch:
    """A watch on a disk's free space, which measures the job's files only after a large decrease."""

    def __init__(self, folders: Sequence[str], most_bytes: int = MOST_BYTES) -> None:
        self._folders = folders
        self._most = most_bytes
        self._free = _free_bytes(folders)
        self._next_look = 0.0

    def look(self, now: float) -> str | None:
        """Return why the job must be ended, or None; ``now`` in seconds."""
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
        return f"the job wrote {used} bytes into its own folder, where {self._most} are allowed: use its cache folder"


def _free_bytes(folders: Sequence[str]) -> int:
    for folder in folders:
        try:
            found = os.statvfs(folder)
            return found.f_bavail * found.f_frsize
        except OSError:
            continue
    return 0


def _used_bytes(folder: str) -> int:
    """Return the bytes allocated to the files below a folder."""
    used = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                used += os.lstat(os.path.join(place, name)).st_blocks * 512
            except OSError:
                continue
    return used

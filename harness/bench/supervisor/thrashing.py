"""Detect a job that makes no progress at its memory limit. Standard library only.

Just below a limit the kernel need not kill: as long as it can drop a page of program code and read it again, it does
that, a thousand times a second, for minutes or forever, without progress (seen with a memory cache that filled 98 % of
its limit: the last 8 MB of page cache were read over and over). Such a job has run out of memory as much as a killed
one, so the supervisor ends it and says why; systemd-oomd and earlyoom do the same.
"""

from __future__ import annotations

import os
from typing import TypedDict

from ..launcher.cgroup import Cgroup

NEAR = 0.90
"""Least share of the limit that anonymous memory takes."""
FAULTS_PER_S = 50.0
"""Least rate of major faults: pages that were dropped and had to be read from disk again."""
PATIENCE_S = 20.0
"""Seconds for which all of this must hold, without a line of progress."""


class Thrashing(TypedDict):
    """How a job thrashed: for how long, how often pages were read again, and bytes of anonymous memory."""

    seconds: float
    major_faults_per_s: int
    anon: int | None


class ThrashWatch:
    """A watch on a job. ``progress`` is a file that grows while the job makes progress."""

    def __init__(self, cgroup: Cgroup | None, progress: str) -> None:
        self._cgroup = cgroup
        self._limit = cgroup.limit_bytes() if cgroup else None
        self._progress = progress
        self._size = -1
        self._since: float | None = None
        self._faults = 0
        self.finding: Thrashing | None = None

    def look(self, now: float, anon: int | None) -> bool:
        """Return whether the job thrashes, with ``anon`` bytes of anonymous memory at ``now`` (monotonic seconds)."""
        size = self._progress_size()
        is_near = self._limit is not None and anon is not None and anon >= NEAR * self._limit
        if not is_near or size != self._size or self._cgroup is None:
            self._size, self._since = size, None
            return False
        faults = self._cgroup.major_faults()
        if faults is None:
            return False
        if self._since is None:
            self._since, self._faults = now, faults
            return False
        seconds = now - self._since
        if seconds < PATIENCE_S:
            return False
        rate = (faults - self._faults) / seconds
        if rate < FAULTS_PER_S:
            self._since = None
            return False
        self.finding = {"seconds": round(seconds, 1), "major_faults_per_s": round(rate), "anon": anon}
        return True

    def _progress_size(self) -> int:
        try:
            return os.stat(self._progress).st_size
        except OSError:
            return 0

"""Sample a job's memory and the disk of its cache while a child runs. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import time

from ..launcher.cgroup import Cgroup, Reading, swap_total_bytes
from ..protocol.atomic import replace_file

MOST_LINES = 1000
_DISK_EVERY = 5


class Sampler:
    """A sampler that keeps peaks and writes ``samples.jsonl``: at most about a thousand lines, evenly thinned out.

    Peaks are over *all* samples. ``cgroup`` None: only the disk can be watched.
    """

    def __init__(self, path: str, cgroup: Cgroup | None, disk: str | None, most_lines: int = MOST_LINES) -> None:
        self._path = path
        self._cgroup = cgroup
        self._disk = disk
        self._most = most_lines
        self._lines: list[str] = []
        self._stride = 1
        self._stream = open(path, "w", encoding="ascii")  # noqa: SIM115 - open for as long as the job runs
        self._first_kills = (cgroup.read().oom_kills if cgroup else None) or 0
        self._begun = time.monotonic()
        self.count = 0
        self.peak = Reading()
        self.free_bytes_min: int | None = None
        self.oom_at_s: float | None = None

    def begin(self) -> None:
        """Start the clock and reset the peaks, when the measured child starts."""
        self._begun = time.monotonic()
        self.peak = Reading()

    def take(self) -> Reading:
        """Take one sample."""
        reading = Reading()
        if self._disk is not None and self.count % _DISK_EVERY == 0:
            self._watch_disk(self._disk)
        if self._cgroup is not None:
            reading = self._cgroup.read()
            seconds = time.monotonic() - self._begun
            self.peak = Reading(*(_most(*pair) for pair in zip(self.peak, reading, strict=True)))
            if self.oom_at_s is None and (reading.oom_kills or 0) > self._first_kills:
                self.oom_at_s = round(seconds, 3)
            if self.count % self._stride == 0:
                self._keep(seconds, reading)
        self.count += 1
        return reading

    def close(self) -> None:
        """Close ``samples.jsonl``."""
        with contextlib.suppress(OSError):
            self._stream.close()

    def memory(self) -> dict[str, object]:
        """Return the object ``memory`` of ``outcome.json``."""
        group = self._cgroup
        limit = group.limit_bytes() if group else None
        kills = self.peak.oom_kills
        swap = self.peak.swap
        if swap is None and swap_total_bytes() == 0:
            swap = 0  # the machine has no swap: known without accounting
        return {
            "limit_effective": limit,
            "swap_limit": group.swap_limit_bytes() if group else None,
            "enforced_by": group.name if group and limit is not None else None,
            "peak_anon": self.peak.anon,
            "peak_total": _most(self.peak.total, group.peak_bytes() if group else None),
            "oom_kills": None if kills is None else kills - self._first_kills,
            "swap_used": swap,
            "oom_at_s": self.oom_at_s,
        }

    def _watch_disk(self, folder: str) -> None:
        with contextlib.suppress(OSError):
            found = os.statvfs(folder)
            free = found.f_bavail * found.f_frsize
            self.free_bytes_min = free if self.free_bytes_min is None else min(free, self.free_bytes_min)

    def _keep(self, seconds: float, reading: Reading) -> None:
        line = json.dumps({"t": round(seconds, 3), **reading._asdict()})
        self._lines.append(line)
        try:
            if len(self._lines) > self._most:
                self._lines = self._lines[::2]
                self._stride *= 2
                self._rewrite()
            else:
                self._stream.write(line + "\n")
                self._stream.flush()
        except (OSError, ValueError):
            pass  # the disk is full: the peaks are still kept

    def _rewrite(self) -> None:
        with replace_file(self._path, sync=False) as stream:
            stream.write("".join(line + "\n" for line in self._lines).encode())
        self._stream.close()
        self._stream = open(self._path, "a", encoding="ascii")  # noqa: SIM115


def _most(first: int | None, second: int | None) -> int | None:
    if first is None or second is None:
        return second if first is None else first
    return max(first, second)

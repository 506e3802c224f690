"""Detect whether a job was paused during a measurement: its supervisor woke far too late, or the machine slept.

Standard library only. If a process that asks to be woken in 0.2 s wakes after nine, its cgroup or machine was stopped
and the benchmark did nothing meanwhile; or the benchmark went on, and only the supervisor had to wait. Both numbers are
kept and judged afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypedDict

LATE_S = 1.0
"""A wake-up that is late by at least this is recorded: five times the time between two samples."""


class PausesSeen(TypedDict):
    """Late wake-ups: their number, and the seconds by which they were late, in total and at most.

    ``cpus`` is the number of CPUs that the benchmark kept busy during them, ``cpus_else`` during all other waits; None
    if not known. ``suspended_s`` is how long the machine slept.
    """

    count: int
    seconds: float
    longest_s: float
    cpus: float | None
    cpus_else: float | None
    suspended_s: float


class PauseWatch:
    """A watch that reads the clock before and after each wait; ``read_cpu_s`` returns the benchmark's CPU time."""

    def __init__(self, read_cpu_s: Callable[[], float | None]) -> None:
        self._read_cpu_s = read_cpu_s
        self._asleep_before_s = _asleep_s()
        self._count, self._late_s, self._longest_s = 0, 0.0, 0.0
        self._paused, self._usual = _Spent(), _Spent()

    def wait(self, wait: Callable[[float], None], seconds: float) -> None:
        """Call ``wait(seconds)`` and record how late it returned."""
        cpu_before_s, before = self._read_cpu_s(), time.monotonic()
        wait(seconds)
        waited_s = time.monotonic() - before
        late_s = waited_s - max(0.0, seconds)
        is_late = late_s > LATE_S
        if is_late:
            self._count += 1
            self._late_s += late_s
            self._longest_s = max(self._longest_s, late_s)
        (self._paused if is_late else self._usual).add(waited_s, cpu_before_s, self._read_cpu_s())

    def seen(self) -> PausesSeen:
        """Return the results so far."""
        return {
            "count": self._count,
            "seconds": round(self._late_s, 3),
            "longest_s": round(self._longest_s, 3),
            "cpus": self._paused.cpus(),
            "cpus_else": self._usual.cpus(),
            "suspended_s": round(max(0.0, _asleep_s() - self._asleep_before_s), 3),
        }


class _Spent:
    """Elapsed seconds, and the CPU time used in them."""

    def __init__(self) -> None:
        self._seconds = self._cpu_s = 0.0

    def add(self, seconds: float, before_s: float | None, after_s: float | None) -> None:
        if before_s is not None and after_s is not None:
            self._seconds += seconds
            self._cpu_s += after_s - before_s

    def cpus(self) -> float | None:
        return round(self._cpu_s / self._seconds, 3) if self._seconds > 0 else None


def _asleep_s() -> float:
    """Return how long this machine has slept since boot: only one of the two clocks includes it (clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()

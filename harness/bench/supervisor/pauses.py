"""Whether a job stood still while it was measured: its supervisor woke far too late, or its machine slept.

Standard library only. A process that asks to be woken in a fifth of a second and wakes after nine was stopped with its
cgroup or its machine, where the benchmark did nothing meanwhile either; where that went on, the supervisor alone had to
wait. Both numbers are kept, and judged when all is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypedDict

LATE_S = 1.0
"""A wake-up that comes by so much too late is kept: five times the pause between two samples."""


class PausesSeen(TypedDict):
    """Late wake-ups: how many, and the seconds by which they were late, in all and at the most.

    ``cpus`` are what the benchmark kept busy in them, ``cpus_else`` in all other waits; None where nothing is known.
    ``suspended_s`` is how long the machine slept.
    """

    count: int
    seconds: float
    longest_s: float
    cpus: float | None
    cpus_else: float | None
    suspended_s: float


class PauseWatch:
    """Waits, and looks at the clock before and after; ``read_cpu_s`` is the benchmark's CPU time so far."""

    def __init__(self, read_cpu_s: Callable[[], float | None]) -> None:
        self._read_cpu_s = read_cpu_s
        self._asleep_before_s = _asleep_s()
        self._count, self._late_s, self._longest_s = 0, 0.0, 0.0
        self._paused, self._usual = _Spent(), _Spent()

    def wait(self, wait: Callable[[float], None], seconds: float) -> None:
        """Let ``wait`` wait so long."""
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
        """What was seen so far."""
        return {
            "count": self._count,
            "seconds": round(self._late_s, 3),
            "longest_s": round(self._longest_s, 3),
            "cpus": self._paused.cpus(),
            "cpus_else": self._usual.cpus(),
            "suspended_s": round(max(0.0, _asleep_s() - self._asleep_before_s), 3),
        }


class _Spent:
    """Seconds, and the CPU time used in them."""

    def __init__(self) -> None:
        self._seconds = self._cpu_s = 0.0

    def add(self, seconds: float, before_s: float | None, after_s: float | None) -> None:
        if before_s is not None and after_s is not None:
            self._seconds += seconds
            self._cpu_s += after_s - before_s

    def cpus(self) -> float | None:
        return round(self._cpu_s / self._seconds, 3) if self._seconds > 0 else None


def _asleep_s() -> float:
    """How long this machine has slept since its boot: of its two clocks one goes on meanwhile (clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()

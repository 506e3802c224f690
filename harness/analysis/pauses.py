"""Whether a job was paused while it was measured, from the supervisor's data (``io.host.pauses``). Pure."""

from __future__ import annotations

from harness.values.record import Record, number

SUSPENDED_S = 1.0
"""A machine that was suspended for this long was paused."""
STILL_SHARE = 0.5
"""A benchmark that used less than this share of its usual CPUs was paused together with its supervisor."""


def paused_seconds(record: Record) -> float:
    """Return for how many seconds a job did not run; 0 where it continued, or where this was not watched.

    Waiting for memory under a tight limit, which may stop the supervisor as long, does not count as a pause.
    """
    late_s = number(record.io, "host", "pauses", "seconds") or 0.0
    suspended_s = number(record.io, "host", "pauses", "suspended_s") or 0.0
    asleep_s = suspended_s if suspended_s >= SUSPENDED_S else 0.0
    return asleep_s + (late_s if late_s and _stood_still(record) and not _waited_for_memory(record, late_s) else 0.0)


def _stood_still(record: Record) -> bool:
    cpus, usual = (number(record.io, "host", "pauses", name) for name in ("cpus", "cpus_else"))
    return cpus is None or usual is None or cpus <= STILL_SHARE * usual


def _waited_for_memory(record: Record, late_s: float) -> bool:
    pressure, seconds = number(record.io, "host", "memory_pressure"), number(record.io, "host", "seconds")
    return pressure is not None and seconds is not None and pressure * seconds >= STILL_SHARE * late_s

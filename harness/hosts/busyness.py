"""How busy a host is at this moment: a load average still remembers what has ended a minute ago."""

from __future__ import annotations

import time

from harness.hosts.connection import Connection

_WATCH_S = 2.0
_TICKS_PER_S = 100.0


def parse_busy_ticks(text: str) -> float | None:
    """Clock ticks that all CPUs together were not idle, from ``/proc/stat`` (proc(5)); None where it cannot be read."""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["cpu"] and len(words) > 5:
            values = [float(word) for word in words[1:9]]
            return sum(values) - values[3] - values[4]
    return None


def read_busy_cpus(connection: Connection, watch_s: float = _WATCH_S) -> float | None:
    """CPUs in use, averaged over a moment; None where the host does not tell."""
    before, begun = parse_busy_ticks(connection.run(["cat", "/proc/stat"]).text), time.monotonic()
    time.sleep(watch_s)
    after = parse_busy_ticks(connection.run(["cat", "/proc/stat"]).text)
    if before is None or after is None:
        return None
    return max(0.0, (after - before) / _TICKS_PER_S / (time.monotonic() - begun))

"""What this process has used so far: CPU time, bytes from storage, anonymous memory. Standard library only."""

from __future__ import annotations

import resource
from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """Counters at one moment: seconds of CPU (ended children included) and bytes; None where it is not told."""

    cpu_s: float
    bytes_read: int | None


def read_usage() -> Usage:
    """The counters of this process now."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Usage(
        cpu_s=sum(each.ru_utime + each.ru_stime for each in used),
        bytes_read=_read_field("/proc/self/io", "read_bytes:"),
    )


def read_anon_bytes() -> int | None:
    """Anonymous memory of this process, in bytes: what it needs, without file pages."""
    kib = _read_field("/proc/self/status", "RssAnon:")
    return None if kib is None else kib * 1024


def _read_field(path: str, name: str) -> int | None:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            for line in stream:
                if line.startswith(name):
                    return int(line.split()[1])
    except OSError:
        pass
    return None

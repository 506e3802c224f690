"""Read what this process has used so far: CPU time, bytes from storage, anonymous memory. Standard library only."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """Counters at one moment: seconds of CPU and bytes, children included; None if the kernel does not report it."""

    cpu_s: float
    bytes_read: int | None


def read_usage() -> Usage:
    """Return the counters of this process now."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    children = list_children()
    read = _read_field("/proc/self/io", "read_bytes:")
    return Usage(
        cpu_s=sum(each.ru_utime + each.ru_stime for each in used) + sum(map(_read_cpu_s, children)),
        bytes_read=None if read is None else read + sum(_read_bytes(pid) for pid in children),
    )


def list_children() -> list[int]:
    """Return the running child processes; the kernel adds their usage to this process when they end."""
    found: list[int] = []
    try:
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children", encoding="ascii") as stream:
                found += map(int, stream.read().split())
    except OSError:
        pass
    return found


def _read_cpu_s(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime


def _read_bytes(pid: int) -> int:
    return _read_field(f"/proc/{pid}/io", "read_bytes:") or 0


def read_anon_bytes() -> int | None:
    """Return the anonymous memory of this process in bytes, without file pages."""
    kib = _read_field("/proc/self/status", "RssAnon:")
    return None if kib is None else kib * 1024


def read_all_anon_bytes() -> int | None:
    """Return the anonymous memory of this process plus the private memory of its children, in bytes."""
    own = read_anon_bytes()
    return None if own is None else own + sum(map(read_private_bytes, list_children()))


def read_private_bytes(pid: int) -> int:
    """Return the private memory of another process in bytes; 0 if it has ended."""
    return 1024 * (_read_field(f"/proc/{pid}/smaps_rollup", "Private_Dirty:") or 0)


def _read_field(path: str, name: str) -> int | None:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            for line in stream:
                if line.startswith(name):
                    return int(line.split()[1])
    except OSError:
        pass
    return None

"""What a measurement may use of its host (rule 2 of the measuring rules), and whether the host is busy. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from harness.values.errors import HostNotReady
from harness.values.facts import DiskFacts, Facts

MEMORY_RESERVE_BYTES = 2 * 2**30
MEMORY_RESERVE_SHARE = 0.10
DISK_RESERVE_BYTES = 5 * 2**30
DISK_RESERVE_SHARE = 0.05
BUSY_LOAD_PER_CPU = 0.5
BUSY_LOAD_LEAST = 1.5
"""A single program that has just ended, such as an installation, does not make a small machine busy."""


def default_memory_reserve(facts: Facts) -> int:
    """Return the bytes of memory that are reserved for the host: the larger of 2 GiB and 10 % of its RAM."""
    return max(MEMORY_RESERVE_BYTES, round(MEMORY_RESERVE_SHARE * (facts.ram_bytes or 0)))


def available_limit(facts: Facts, memory_reserve: int | None = None) -> int:
    """Return the bytes that ``memory_limit: none`` means on this host: available now minus the reserve, at least 0.

    ``memory_reserve`` of the inventory replaces the default. Raises HostNotReady where the host does not report its
    available memory: a limit is never guessed.
    """
    if facts.available_bytes is None or facts.ram_bytes is None:
        raise HostNotReady(
            "the host does not report how much memory is available, so no limit can protect it",
            hint="check that /proc/meminfo has MemTotal and MemAvailable there (Linux ≥ 3.14)",
        )
    reserve = default_memory_reserve(facts) if memory_reserve is None else memory_reserve
    return max(0, facts.available_bytes - reserve)


DiskReserve: TypeAlias = int | Mapping[str, int] | None
"""The reserve in the inventory: bytes for each disk, or by the name of a disk; None for the default."""


def reserve_of(reserve: DiskReserve, disk: str) -> int | None:
    """Return the reserve of a disk by its name; None for the default."""
    return reserve.get(disk) if isinstance(reserve, Mapping) else reserve


def disk_allowance(disk: DiskFacts, disk_reserve: int | None = None) -> int:
    """Return the bytes that caches may fill: free minus the larger of 5 % of the disk and 5 GiB, at least 0.

    ``disk_reserve`` of the inventory (``reserve_of``) replaces the default. Where the free space is not known, nothing
    may be filled: check ``disk.free_bytes`` first where unknown and full must be distinguished.
    """
    if disk_reserve is None:
        disk_reserve = max(DISK_RESERVE_BYTES, round(DISK_RESERVE_SHARE * (disk.total_bytes or 0)))
    return max(0, (disk.free_bytes or 0) - disk_reserve)


def busy_load(facts: Facts) -> float:
    """Return the load average of a minute above which a host counts as busy."""
    cpus = len(facts.usable_cpus) or facts.logical_cpus or 1
    return max(BUSY_LOAD_LEAST, BUSY_LOAD_PER_CPU * cpus)


def busy_reason(facts: Facts, allow_busy: bool = False) -> str | None:
    """Return why a host is too busy to measure; None where it is not, where that is allowed, or not known."""
    if allow_busy or facts.load_1m is None:
        return None
    most = busy_load(facts)
    if facts.load_1m <= most:
        return None
    cpus = len(facts.usable_cpus) or facts.logical_cpus or 1
    return f"other programs use it: load {facts.load_1m:.1f} in the last minute on {cpus} CPUs (busy above {most:.1f})"

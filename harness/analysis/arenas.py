"""How a program's memory grows with its batches: the habits of glibc's ``malloc``. Standard library only.

A thread allocates in an arena of its own, of which there are at most eight a CPU. What a batch took there is kept when
the batch is freed, as long as less than two batches are free at the arena's end (``M_TRIM_THRESHOLD`` follows the
largest block that was freed, mallopt(3)). The next batch may come from another thread, and so from another arena.
Batches of more than 32 MiB (``DEFAULT_MMAP_THRESHOLD_MAX``) are mapped for themselves, and given back at once.
"""

from __future__ import annotations

PER_CPU = 8
LARGEST_KEPT = 32 * 2**20


def most_kept(cpus: int, batch_bytes: float) -> float:
    """Return the most that all arenas keep of batches of so many bytes."""
    return 2.0 * PER_CPU * cpus * batch_bytes if batch_bytes <= LARGEST_KEPT else 0.0


def count_batches(cpus: int) -> int:
    """Count the batches after which a program does not grow any more: sixteen for each arena."""
    return min(1024, 16 * PER_CPU * cpus)

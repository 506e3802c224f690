"""How a program's memory grows with its batches because of glibc's ``malloc``. Standard library only.

Each thread allocates in an arena, of which there are at most eight per CPU. The memory of a freed batch is kept there
as long as less than two batches are free at the arena's end (``M_TRIM_THRESHOLD`` follows the largest freed block,
mallopt(3)). The next batch may come from another thread, and so from another arena. Batches of more than 32 MiB
(``DEFAULT_MMAP_THRESHOLD_MAX``) are mapped separately and returned at once.
"""

from __future__ import annotations

PER_CPU = 8
LARGEST_KEPT = 32 * 2**20


def most_kept(cpus: int, batch_bytes: float) -> float:
    """Return the bytes that all arenas keep at most, of batches of so many bytes."""
    return 2.0 * PER_CPU * cpus * batch_bytes if batch_bytes <= LARGEST_KEPT else 0.0


def count_batches(cpus: int) -> int:
    """Return the number of batches after which a program no longer grows: sixteen for each arena."""
    return min(1024, 16 * PER_CPU * cpus)

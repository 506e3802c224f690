"""What TensorFlow may use: threads and memory of the container, not of its host.

tf.data takes half of the host's free memory as its budget (``kRamBudgetShare = 0.5`` of
``sysinfo().freeram``, computed once) and does not see a cgroup's limit; of a
container's CPUs it sees the cpuset (``sched_getaffinity``), not a quota.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

RAM_SHARE = 0.5
"""TensorFlow's own share of what is free, kept."""
LEAST_RAM_BYTES = 64 * 2**20
"""Below this tf.data could not hold a few batches."""


@dataclass(frozen=True)
class Budgets:
    """What is set (None: left to TensorFlow) and what TensorFlow would have assumed. Bytes, CPUs, threads.

    ``assumed_ram_bytes`` is the budget that it would have taken, so half of the host's free memory.
    """

    ram_budget_bytes: int | None
    cpu_budget: int | None
    threadpool_size: int | None
    assumed_ram_bytes: int
    assumed_cpus: int

    def as_fields(self) -> dict[str, int | None]:
        """The fields of ``environment.json``: what was set, what would have been assumed, and so what tf.data took."""
        took_ram = self.assumed_ram_bytes if self.ram_budget_bytes is None else self.ram_budget_bytes
        return {
            **asdict(self),
            "assumed_threads": self.assumed_cpus,
            "took_ram_bytes": took_ram,
            "took_cpus": self.cpu_budget or self.assumed_cpus,
            "took_threads": self.threadpool_size or self.assumed_cpus,
        }


def compute_ram_budget(limit_bytes: int, anon_bytes: int, cache_bytes: int) -> int:
    """Half of what a limit leaves beside the process and a cache in memory; at least ``LEAST_RAM_BYTES``."""
    return max(LEAST_RAM_BYTES, int((limit_bytes - anon_bytes - cache_bytes) * RAM_SHARE))


def compute_budgets(mode: str, *, limit_bytes: int, anon_bytes: int, cache_bytes: int) -> Budgets:
    """The budgets for ``mode`` ``container`` (from limit and affinity) or ``default`` (none set).

    ``anon_bytes`` is what the process already needs, ``cache_bytes`` what a cache in memory will.
    """
    cpus = len(os.sched_getaffinity(0))
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # glibc: sysinfo().freeram
    is_set = mode == "container"
    return Budgets(
        ram_budget_bytes=compute_ram_budget(limit_bytes, anon_bytes, cache_bytes) if is_set else None,
        cpu_budget=cpus if is_set else None,
        threadpool_size=cpus if is_set else None,
        assumed_ram_bytes=int(free * RAM_SHARE),
        assumed_cpus=cpus,
    )


def read_available_bytes() -> int:
    """Memory that the machine could give now, in bytes: for a run without any limit."""
    with open("/proc/meminfo", encoding="ascii") as stream:
        for line in stream:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    raise OSError("/proc/meminfo has no MemAvailable")


def set_threads(mode: str) -> None:
    """Give TensorFlow's two thread pools the CPUs that the process may use. Before its first operation."""
    if mode != "container":
        return
    import tensorflow as tf

    cpus = len(os.sched_getaffinity(0))
    tf.config.threading.set_intra_op_parallelism_threads(cpus)
    tf.config.threading.set_inter_op_parallelism_threads(cpus)

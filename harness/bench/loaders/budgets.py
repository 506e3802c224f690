"""Set TensorFlow's budgets of threads and memory to the container's limits instead of the host's.

tf.data takes half of the host's free memory as its budget (``kRamBudgetShare = 0.5`` of ``sysinfo().freeram``, computed
once) and ignores the cgroup's limit. It respects a container's cpuset (``sched_getaffinity``), but not a CPU quota.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

RAM_SHARE = 0.5
"""The share of free memory that TensorFlow itself takes."""
LEAST_RAM_BYTES = 64 * 2**20
"""With less than this tf.data could not hold a few batches."""


@dataclass(frozen=True)
class Budgets:
    """Budgets that are set (None: left to TensorFlow) and that TensorFlow would have assumed. Bytes, CPUs, threads.

    ``assumed_ram_bytes`` is TensorFlow's own budget: half of the host's free memory.
    """

    ram_budget_bytes: int | None
    cpu_budget: int | None
    threadpool_size: int | None
    assumed_ram_bytes: int
    assumed_cpus: int

    def as_fields(self) -> dict[str, int | None]:
        """Return the fields of ``environment.json``: budgets set, assumed without that, and in effect."""
        took_ram = self.assumed_ram_bytes if self.ram_budget_bytes is None else self.ram_budget_bytes
        return {
            **asdict(self),
            "assumed_threads": self.assumed_cpus,
            "took_ram_bytes": took_ram,
            "took_cpus": self.cpu_budget or self.assumed_cpus,
            "took_threads": self.threadpool_size or self.assumed_cpus,
        }


def compute_ram_budget(limit_bytes: int, anon_bytes: int, cache_bytes: int) -> int:
    """Return half of what a limit leaves besides the process and a memory cache; at least ``LEAST_RAM_BYTES``."""
    return max(LEAST_RAM_BYTES, int((limit_bytes - anon_bytes - cache_bytes) * RAM_SHARE))


def compute_budgets(mode: str, *, limit_bytes: int, anon_bytes: int, cache_bytes: int) -> Budgets:
    """Return the budgets for ``mode`` ``container`` (from limit and affinity) or ``default`` (none set).

    ``anon_bytes`` is what the process uses already, ``cache_bytes`` what a memory cache will use.
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
    """Return the memory that the machine could provide now, in bytes; used if there is no limit."""
    with open("/proc/meminfo", encoding="ascii") as stream:
        for line in stream:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    raise OSError("/proc/meminfo has no MemAvailable")


def set_threads(mode: str) -> None:
    """Size TensorFlow's two thread pools by the CPUs of this process; must be called before its first operation."""
    if mode != "container":
        return
    import tensorflow as tf

    cpus = len(os.sched_getaffinity(0))
    tf.config.threading.set_intra_op_parallelism_threads(cpus)
    tf.config.threading.set_inter_op_parallelism_threads(cpus)

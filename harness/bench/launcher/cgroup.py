"""Read the cgroup of a job from inside: limit, use, peaks and kills, for version 1 and version 2.

Standard library only, and cheap: the supervisor reads it five times a second.

Files and their meaning: ``Documentation/admin-guide/cgroup-v1/memory.rst`` and
``Documentation/admin-guide/cgroup-v2.rst`` of the Linux kernel.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ..protocol.atomic import read_text

SHARED_VARIABLE = "HARNESS_CGROUP"
"""``shared``: the engine could not create a cgroup for the job, so what can be read is not only the job's.
``own``: everything in the cgroup belongs to the job. Unset: that is true only for PID 1 of a container."""

_UNLIMITED = 2**62
"""Version 1 reports LONG_MAX, rounded to pages, if there is no limit."""


class Reading(NamedTuple):
    """One reading of a cgroup, in bytes; None for what this kernel does not report.

    ``anon`` is memory that cannot be freed without swap: anonymous memory plus tmpfs and shared memory (version 1:
    ``total_rss + total_shmem``, version 2: ``anon + shmem``). ``total`` includes page cache. ``oom_kills`` counts since
    the cgroup was created.
    """

    anon: int | None = None
    total: int | None = None
    swap: int | None = None
    oom_kills: int | None = None


class Cgroup(NamedTuple):
    """The memory cgroup of this process: ``folder`` holds its files, ``root`` is where the hierarchy is mounted."""

    version: int
    folder: str
    root: str

    @property
    def name(self) -> str:
        """The name used in evidence: ``cgroup-v1`` or ``cgroup-v2``."""
        return f"cgroup-v{self.version}"

    def limit_bytes(self) -> int | None:
        """Return the effective memory limit, whichever level sets it; None if there is none."""
        if self.version == 1:
            levels = [_number(os.path.join(folder, "memory.limit_in_bytes")) for folder in self.levels()]
            return _finite(_least([self._stat().get("hierarchical_memory_limit"), *levels]))
        return _least(_number(os.path.join(folder, "memory.max")) for folder in self.levels())

    def swap_limit_bytes(self) -> int | None:
        """Return the limit of memory and swap together; None if there is none or swap is not accounted."""
        if self.version == 1:
            return _finite(self._stat().get("hierarchical_memsw_limit"))
        swap = _least(_number(os.path.join(folder, "memory.swap.max")) for folder in self.levels())
        memory = self.limit_bytes()
        return None if swap is None or memory is None else memory + swap

    def read(self) -> Reading:
        """Return the memory in use now."""
        stat = self._stat()
        if self.version == 1:
            anon = _sum(stat.get("total_rss"), stat.get("total_shmem", 0))
            total = _number(os.path.join(self.folder, "memory.usage_in_bytes"))
            kills = _fields(os.path.join(self.folder, "memory.oom_control")).get("oom_kill")
            return Reading(anon, total, stat.get("total_swap"), kills)
        anon = _sum(stat.get("anon"), stat.get("shmem", 0))
        total = _number(os.path.join(self.folder, "memory.current"))
        kills = _fields(os.path.join(self.folder, "memory.events")).get("oom_kill")
        return Reading(anon, total, _number(os.path.join(self.folder, "memory.swap.current")), kills)

    def major_faults(self) -> int | None:
        """Return the number of pages that had to be read from disk since the cgroup was created."""
        return self._stat().get("total_pgmajfault" if self.version == 1 else "pgmajfault")

    def peak_bytes(self) -> int | None:
        """Return the highest memory use, page cache included; None before Linux 5.19 on version 2."""
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        return _number(os.path.join(self.folder, name))

    def processes(self) -> list[int]:
        """Return the pids of all processes in the cgroup and below it."""
        found: list[int] = []
        for folder, _, files in os.walk(self.folder):
            if "cgroup.procs" in files:
                found += [int(word) for word in read_text(os.path.join(folder, "cgroup.procs")).split() if word != "0"]
        return found

    def _stat(self) -> dict[str, int]:
        return _fields(os.path.join(self.folder, "memory.stat"))

    def levels(self) -> list[str]:
        """Return the cgroup's folder and its parents, as far as they are visible."""
        levels, folder = [self.folder], self.folder
        while folder != self.root and len(folder) > len(self.root):
            folder = os.path.dirname(folder)
            levels.append(folder)
        return levels


def find_own(proc: str = "/proc/self", prefix: str = "") -> Cgroup | None:
    """Return the memory cgroup of this process; None if there is no memory controller.

    In a container ``/proc/self/cgroup`` may name a host path that is not visible; the mounted hierarchy is then the
    container's own cgroup. ``proc`` and ``prefix`` (put before mount points) are for recorded files in tests.
    """
    for version, probe in ((1, "memory.usage_in_bytes"), (2, "memory.current")):
        found = locate(version, proc, prefix)
        if found is None:
            continue
        if os.path.exists(os.path.join(found.folder, probe)):
            return found
        if version == 2 and os.path.exists(os.path.join(found.folder, "memory.stat")):
            return found  # the real root: no limit, no total, but statistics
    return None


def locate(version: int, proc: str = "/proc/self", prefix: str = "") -> Cgroup | None:
    """Return this process's place in the hierarchy of one version, whether or not it controls memory."""
    paths = _own_paths(read_text(os.path.join(proc, "cgroup")))
    mounts = _mounts(read_text(os.path.join(proc, "mountinfo")))
    if version not in mounts or version not in paths:
        return None
    top, point = mounts[version]
    return Cgroup(version, _inside(paths[version], top, prefix + point), prefix + point)


def find_job(environment: dict[str, str] | None = None) -> Cgroup | None:
    """Return the cgroup that holds this job and nothing else; None if the engine could not create one."""
    variables = os.environ if environment is None else environment
    return None if variables.get(SHARED_VARIABLE) == "shared" else find_own()


def is_job_alone() -> bool:
    """Return whether all processes in this process's cgroup belong to its job and may be ended with it."""
    return os.getpid() == 1 or os.environ.get(SHARED_VARIABLE) == "own"


def swap_total_bytes(path: str = "/proc/meminfo") -> int | None:
    """Return the machine's swap in bytes; if it is 0, no job can have used any."""
    for line in read_text(path).splitlines():
        if line.startswith("SwapTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _own_paths(text: str) -> dict[int, str]:
    paths: dict[int, str] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            paths[1] = path
        elif number == "0" and not controllers:
            paths[2] = path
    return paths


def _mounts(text: str) -> dict[int, tuple[str, str]]:
    """Return by version (mounted part of the hierarchy, mount point); the first mount of each version counts."""
    mounts: dict[int, tuple[str, str]] = {}
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            mounts.setdefault(2, (fields[3], fields[4]))
        elif kind[0] == "cgroup" and "memory" in kind[2].split(","):
            mounts.setdefault(1, (fields[3], fields[4]))
    return mounts


def _inside(path: str, top: str, point: str) -> str:
    """Return the folder of cgroup ``path`` in a hierarchy of which ``top`` is mounted at ``point``."""
    rest = path if top == "/" else path.removeprefix(top)
    outside = top not in ("/", path) and not path.startswith(top + "/")
    folder = os.path.normpath(point + "/" + rest)
    return point if outside or ".." in path.split("/") or not os.path.isdir(folder) else folder


def _fields(path: str) -> dict[str, int]:
    """Parse a file of ``name number`` lines."""
    fields: dict[str, int] = {}
    for line in read_text(path).splitlines():
        name, _, value = line.partition(" ")
        if value.strip().isdigit():
            fields[name] = int(value)
    return fields


def _number(path: str) -> int | None:
    text = read_text(path).strip()
    return int(text) if text.isdigit() else None


def _finite(value: int | None) -> int | None:
    return None if value is None or value >= _UNLIMITED else value


def _sum(first: int | None, second: int) -> int | None:
    return None if first is None else first + second


def _least(values: object) -> int | None:
    found = [value for value in values if value is not None]  # type: ignore[attr-defined]
    return min(found, default=None)

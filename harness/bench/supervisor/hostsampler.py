"""Watch the host during a measurement: load, foreign CPU use, steal, clocks, throttling, swap, pressure, disk.

Standard library only, and cheap: it reads a few files of ``/proc`` and ``/sys`` per second, the larger ones at start
and end. Inside a container these files describe the whole machine, as intended. What a machine does not report is None.
"""

from __future__ import annotations

import contextlib
import glob
import os
import time
from collections.abc import Callable
from typing import NamedTuple, TypedDict

from ..launcher.cgroup import Cgroup
from .pauses import PausesSeen, PauseWatch

EVERY_S = 1.0
SLOW_EVERY = 5
"""Clocks and temperatures are read with every ``SLOW_EVERY``-th sample."""
_TICKS_PER_S = float(os.sysconf("SC_CLK_TCK"))
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_CPU = "/sys/devices/system/cpu"
_WATCHED_CPUS = 4
_SENSORS = ("x86_pkg_temp", "cpu-thermal", "cpu_thermal", "coretemp", "k10temp", "zenpower", "acpitz")


class DiskUse(TypedDict):
    """Reads and writes of a device: their number, bytes and mean latency in seconds."""

    device: str
    reads: int
    bytes_read: int
    read_latency_s: float | None
    writes: int
    bytes_written: int
    write_latency_s: float | None


class HostSeen(TypedDict):
    """What the host did during a measurement; None for what the machine does not report."""

    seconds: float
    samples: int
    cpus: int | None
    load_1m: dict[str, float | None]
    foreign_cpus: dict[str, float | None]
    steal_share: float | None
    clock_mhz: dict[str, float | None]
    temperature_c: dict[str, float | None]
    governor: str | None
    throttled: float | None
    swapped_bytes: float | None
    memory_pressure: float | None
    io_pressure: float | None
    cpu_pressure: float | None
    disk: DiskUse | None
    pauses: PausesSeen


class _Counters(NamedTuple):
    """Counters that are read at start and end only; ``memory``, ``io`` and ``cpu`` are seconds of pressure."""

    swapped: int | None
    throttled: int | None
    memory: float | None
    io: float | None
    cpu: float | None
    disk: tuple[str, list[int]] | None


class Series:
    """Mean, minimum and maximum of a series of numbers."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.least: float | None = None
        self.most: float | None = None

    def add(self, value: float | None) -> None:
        """Add a number; None is ignored."""
        if value is not None:
            self.count += 1
            self.total += value
            self.least = value if self.least is None else min(self.least, value)
            self.most = value if self.most is None else max(self.most, value)

    def as_fields(self) -> dict[str, float | None]:
        """Return ``mean``, ``min`` and ``max``; None each without any number."""
        mean = round(self.total / self.count, 4) if self.count else None
        return {"mean": mean, "min": self.least, "max": self.most}


class HostSampler:
    """A sampler of the host from ``begin`` to ``end``. ``place`` is a path on the disk that holds the data."""

    def __init__(self, cgroup: Cgroup | None, place: str | None, root: str = "") -> None:
        self._cgroup = cgroup
        self._place = place
        self._root = root
        self._load, self._foreign, self._clock, self._heat = Series(), Series(), Series(), Series()
        self._pid: int | None = None

    def begin(self, pid: int) -> None:
        """Start sampling for the measured child ``pid``."""
        self._pid = pid
        self._count = 0
        self._clocks = self._find(f"{_CPU}/cpu[0-9]*/cpufreq/scaling_cur_freq")[:_WATCHED_CPUS]
        self._sensors = self._find_sensors()
        self._begun = self._next = time.monotonic()
        self._first = self._last = self._read_cpu()
        self._first_own = self._last_own = self._read_own()
        self._last_at = self._begun
        self._slow_first = self._read_slow()
        self._load_before = self._read_load()
        self._pauses = PauseWatch(lambda: self._process_cpu(pid))

    def wait(self, wait: Callable[[float], None], seconds: float) -> None:
        """Call ``wait(seconds)``, and record whether it took much longer."""
        if self._pid is None:
            wait(seconds)
        else:
            self._pauses.wait(wait, seconds)

    def take(self) -> None:
        """Take a sample if one is due."""
        now = time.monotonic()
        if self._pid is None or now < self._next:
            return
        self._next = now + EVERY_S
        self._load.add(self._read_load())
        if now - self._last_at > EVERY_S / 2:
            self._take_cpu(now)
        if self._count % SLOW_EVERY == 0:
            for path in self._clocks:
                kilohertz = self._number(path)
                self._clock.add(None if kilohertz is None else kilohertz / 1000)
            for path in self._sensors:
                millidegrees = self._number(path)
                self._heat.add(None if millidegrees is None else millidegrees / 1000)
        self._count += 1

    def end(self, own_cpu_s: float | None) -> HostSeen | None:
        """Return the results, None if nothing began; ``own_cpu_s`` is the CPU time of the child and this process."""
        if self._pid is None:
            return None
        seconds = max(1e-6, time.monotonic() - self._begun)
        first, last, slow, before = self._first, self._read_cpu(), self._read_slow(), self._slow_first
        foreign = steal = None
        if first is not None and last is not None:
            total = last["total"] - first["total"]
            steal = (last["steal"] - first["steal"]) / total if total > 0 else None
            if own_cpu_s is not None:
                foreign = max(0.0, (last["busy"] - first["busy"] - own_cpu_s) / seconds)
        return {
            "seconds": round(seconds, 3),
            "samples": self._count,
            "cpus": os.cpu_count(),
            "load_1m": {"before": self._load_before, **self._load.as_fields()},
            "foreign_cpus": {**self._foreign.as_fields(), "mean": None if foreign is None else round(foreign, 4)},
            "steal_share": None if steal is None else round(steal, 5),
            "clock_mhz": self._clock.as_fields(),
            "temperature_c": self._heat.as_fields(),
            "governor": self._text(f"{_CPU}/cpu0/cpufreq/scaling_governor").strip() or None,
            "throttled": _less(slow.throttled, before.throttled),
            "swapped_bytes": _less(slow.swapped, before.swapped),
            "memory_pressure": _share(slow.memory, before.memory, seconds),
            "io_pressure": _share(slow.io, before.io, seconds),
            "cpu_pressure": _share(slow.cpu, before.cpu, seconds),
            "disk": _disk_fields(slow.disk, before.disk),
            "pauses": self._pauses.seen(),
        }

    def _take_cpu(self, now: float) -> None:
        cpu, own = self._read_cpu(), self._read_own()
        if None not in (cpu, own, self._last, self._last_own) and cpu and self._last:
            used = cpu["busy"] - self._last["busy"] - (own or 0.0) + (self._last_own or 0.0)
            self._foreign.add(round(max(0.0, used / (now - self._last_at)), 3))
        self._last, self._last_own, self._last_at = cpu, own, now

    def _read_cpu(self) -> dict[str, float] | None:
        """Return the seconds of all CPUs since boot, from the first line of ``/proc/stat`` (proc(5))."""
        words = self._text("/proc/stat", 512).partition("\n")[0].split()
        if words[:1] != ["cpu"] or len(words) < 8:
            return None
        values = [float(word) / _TICKS_PER_S for word in words[1:9]]
        user, nice, system, idle, waiting, irq, soft, *rest = values
        return {
            "busy": user + nice + system + irq + soft,
            "steal": sum(rest),
            "total": sum(values) if idle + waiting else 0,
        }

    def _read_own(self) -> float | None:
        """Return the CPU seconds of the job's processes, including their reaped children."""
        pids = [self._pid] if self._cgroup is None else self._cgroup_pids()
        found = [seconds for pid in pids if pid is not None and (seconds := self._process_cpu(pid)) is not None]
        return sum(found) if found else None

    def _cgroup_pids(self) -> list[int]:
        assert self._cgroup is not None
        return [int(word) for word in self._text(os.path.join(self._cgroup.folder, "cgroup.procs")).split()] or [
            self._pid or 0
        ]

    def _process_cpu(self, pid: int) -> float | None:
        fields = self._text(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return sum(float(field) for field in fields[11:15]) / _TICKS_PER_S if len(fields) > 15 else None

    def _read_load(self) -> float | None:
        words = self._text("/proc/loadavg").split()
        return float(words[0]) if words else None

    def _read_slow(self) -> _Counters:
        vm = dict(line.split()[:2] for line in self._text("/proc/vmstat").splitlines() if line.startswith("pswp"))
        swapped = sum(int(value) for value in vm.values()) * _PAGE_BYTES if vm else None
        counts = [self._number(path) for path in self._find(f"{_CPU}/cpu[0-9]*/thermal_throttle/core_throttle_count")]
        known = [count for count in counts if count is not None]
        return _Counters(
            swapped=swapped,
            throttled=sum(known) if known else None,
            memory=self._read_pressure("memory"),
            io=self._read_pressure("io"),
            cpu=self._read_pressure("cpu"),
            disk=self._read_disk(),
        )

    def _read_pressure(self, name: str) -> float | None:
        """Return the seconds in which some task waited (Documentation/accounting/psi.rst of the kernel)."""
        for line in self._text(f"/proc/pressure/{name}").splitlines():
            if line.startswith("some"):
                return int(line.rpartition("total=")[2]) / 1e6
        return None

    def _read_disk(self) -> tuple[str, list[int]] | None:
        """Return (name, counters) of the device that holds the data (Documentation/admin-guide/iostats.rst)."""
        if self._place is None:
            return None
        try:
            device = os.stat(self._root + self._place).st_dev
        except OSError:
            return None
        wanted = [str(os.major(device)), str(os.minor(device))]
        for line in self._text("/proc/diskstats").splitlines():
            words = line.split()
            if words[:2] == wanted and len(words) >= 14:
                return words[2], [int(word) for word in words[3:14]]
        return None

    def _find_sensors(self) -> list[str]:
        zones = [os.path.dirname(path) for path in self._find("/sys/class/thermal/thermal_zone*/type")]
        found = [f"{zone}/temp" for zone in zones if self._text(f"{zone}/type").strip() in _SENSORS]
        if not found:
            chips = [os.path.dirname(path) for path in self._find("/sys/class/hwmon/hwmon*/name")]
            found = [f"{chip}/temp1_input" for chip in chips if self._text(f"{chip}/name").strip() in _SENSORS]
        return found[:2]

    def _find(self, pattern: str) -> list[str]:
        return [path.removeprefix(self._root) for path in sorted(glob.glob(self._root + pattern))]

    def _text(self, path: str, most: int = 65536) -> str:
        with contextlib.suppress(OSError):
            descriptor = os.open(self._root + path, os.O_RDONLY)
            try:
                return os.read(descriptor, most).decode("ascii", "replace")
            finally:
                os.close(descriptor)
        return ""

    def _number(self, path: str) -> int | None:
        text = self._text(path).strip()
        return int(text) if text.lstrip("-").isdigit() else None


def _less(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def _share(after: float | None, before: float | None, seconds: float) -> float | None:
    waited = _less(after, before)
    return None if waited is None else round(waited / seconds, 4)


def _disk_fields(after: tuple[str, list[int]] | None, before: tuple[str, list[int]] | None) -> DiskUse | None:
    """Return reads and writes with their mean latency; None if the device is unknown."""
    if after is None or before is None or after[0] != before[0]:
        return None
    reads, _, sectors, read_ms, writes, _, written, write_ms, *_ = (
        x - y for x, y in zip(after[1], before[1], strict=True)
    )
    return {
        "device": after[0],
        "reads": reads,
        "bytes_read": sectors * 512,
        "read_latency_s": round(read_ms / reads / 1000, 6) if reads else None,
        "writes": writes,
        "bytes_written": written * 512,
        "write_latency_s": round(write_ms / writes / 1000, 6) if writes else None,
    }

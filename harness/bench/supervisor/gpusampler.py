"""Watch the GPUs of a job through NVML, in a separate process, and write the results to ``gpu.json``.

``python -m bench.supervisor.gpusampler FILE [GPU…]``, GPUs by UUID or index, all if none is named. SIGTERM ends it. It
needs ``nvidia-ml-py``, which is in the GPU image. Values that cannot be read are None; without NVML the file has an
error. NVML's names and meanings: NVIDIA Management Library API reference.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from ..protocol.protocol import write_json
from .hostsampler import Series

EVERY_S = 1.0
THROTTLING = {
    0x08: "hardware slow-down",
    0x20: "software thermal slow-down",
    0x40: "hardware thermal slow-down",
    0x80: "power brake",
}
"""nvmlClocksEventReason…: reasons that slow down a busy GPU; power capping (0x04) is normal under load."""


class GpuSeen(TypedDict):
    """The results for one GPU; None for what it does not report."""

    index: int
    name: str | None
    uuid: str | None
    memory_bytes: int | None
    utilisation: dict[str, float | None]
    memory_used_bytes: dict[str, float | None]
    clock_mhz: dict[str, float | None]
    temperature_c: dict[str, float | None]
    power_w: dict[str, float | None]
    throttled: list[str]
    foreign_processes: int
    is_lost: bool
    reason: str | None


class GpusSeen(TypedDict):
    """The contents of ``gpu.json``, except the sampler's own CPU time and memory."""

    driver: str | None
    samples: int
    seconds: float
    gpus_before: int
    gpus_after: int
    gpus: list[GpuSeen]


class GpuWatch:
    """A watch on one GPU. ``own`` returns whether a process belongs to the job."""

    def __init__(self, nvml: Any, handle: Any, index: int, own: Callable[[int], bool]) -> None:
        self._nvml, self._handle, self._own = nvml, handle, own
        self.index = index
        self.name = _word(self._ask("nvmlDeviceGetName"))
        self.uuid = _word(self._ask("nvmlDeviceGetUUID"))
        self._use, self._memory, self._clock, self._heat, self._power = (Series() for _ in range(5))
        self._reasons = self._foreign = 0
        self._before: float | None = None
        self._lost: str | None = None

    def take(self) -> None:
        """Take one sample."""
        nvml = self._nvml
        try:
            rates = nvml.nvmlDeviceGetUtilizationRates(self._handle)
            if self._before is None:  # the job does not use it yet
                self._before = float(rates.gpu) / 100
            self._use.add(float(rates.gpu) / 100)
        except nvml.NVMLError as error:
            if getattr(error, "value", None) == getattr(nvml, "NVML_ERROR_GPU_IS_LOST", 15):
                self._lost = str(error)
        memory = self._ask("nvmlDeviceGetMemoryInfo")
        self._memory.add(None if memory is None else float(memory.used))
        self._clock.add(self._ask("nvmlDeviceGetClockInfo", 1))
        self._heat.add(self._ask("nvmlDeviceGetTemperature", 0))
        power = self._ask("nvmlDeviceGetPowerUsage")
        self._power.add(None if power is None else power / 1000)
        self._reasons |= int(self._ask("nvmlDeviceGetCurrentClocksThrottleReasons") or 0)
        running = self._ask("nvmlDeviceGetComputeRunningProcesses") or []
        self._foreign = max(self._foreign, sum(not self._own(process.pid) for process in running))

    def as_fields(self) -> GpuSeen:
        """Return the results; utilisation is the share of time in which any kernel ran, not of capacity."""
        total = self._ask("nvmlDeviceGetMemoryInfo")
        return {
            "index": self.index,
            "name": self.name,
            "uuid": self.uuid,
            "memory_bytes": None if total is None else int(total.total),
            "utilisation": {"before": self._before, **self._use.as_fields()},
            "memory_used_bytes": self._memory.as_fields(),
            "clock_mhz": self._clock.as_fields(),
            "temperature_c": self._heat.as_fields(),
            "power_w": self._power.as_fields(),
            "throttled": [words for bit, words in THROTTLING.items() if self._reasons & bit],
            "foreign_processes": self._foreign,
            "is_lost": self._lost is not None,
            "reason": self._lost,
        }

    def _ask(self, function: str, *arguments: Any) -> Any:
        try:
            return getattr(self._nvml, function)(self._handle, *arguments)
        except (self._nvml.NVMLError, AttributeError):
            return None


def _word(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


def is_own(pid: int) -> bool:
    """Return whether a process belongs to this job, by its cgroup.

    In a container NVML reports pids that are not valid there, so the answer is always True; ``utilisation.before`` then
    shows use by others.
    """
    try:
        with (
            open(f"/proc/{pid}/cgroup", encoding="ascii") as theirs,
            open("/proc/self/cgroup", encoding="ascii") as mine,
        ):
            return theirs.read() == mine.read()
    except OSError:
        return _is_in_container()


def _is_in_container() -> bool:
    return os.path.exists("/.dockerenv")


def find_gpus(nvml: Any, wanted: Sequence[str]) -> list[tuple[int, Any]]:
    """Return (index, handle) of the requested GPUs; all if none is requested."""
    found = []
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        uuid = _word(nvml.nvmlDeviceGetUUID(handle))
        if not wanted or uuid in wanted or str(index) in wanted:
            found.append((index, handle))
    return found


def watch(nvml: Any, wanted: Sequence[str], is_over: Callable[[float], bool]) -> GpusSeen:
    """Sample until ``is_over(seconds)``, which also waits, returns True; return the contents of ``gpu.json``."""
    begun = time.monotonic()
    nvml.nvmlInit()
    try:
        gpus = [GpuWatch(nvml, handle, index, is_own) for index, handle in find_gpus(nvml, wanted)]
        samples = 0
        while True:
            for gpu in gpus:
                gpu.take()
            samples += 1
            if is_over(EVERY_S):
                break
        count = nvml.nvmlDeviceGetCount()
        return {
            "driver": _word(nvml.nvmlSystemGetDriverVersion()),
            "samples": samples,
            "seconds": round(time.monotonic() - begun, 3),
            "gpus_before": len(gpus),
            "gpus_after": min(count, len(gpus)),
            "gpus": [gpu.as_fields() for gpu in gpus],
        }
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def main(arguments: Sequence[str]) -> int:
    """Watch for ``FILE [GPU…]`` until a signal comes; return 0."""
    target, wanted = Path(arguments[0]), list(arguments[1:])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})

    def is_over(seconds: float) -> bool:
        return signal.sigtimedwait({signal.SIGTERM, signal.SIGINT}, seconds) is not None

    found: Mapping[str, object]
    try:
        found = watch(importlib.import_module("pynvml"), wanted, is_over)
    except ImportError:
        found = {"error": "nvidia-ml-py is not in this image"}
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {error}"}
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    anon = next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:")), None)
    write_json(target, {**found, "cpu_s": round(time.process_time(), 3), "anon_bytes": anon})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

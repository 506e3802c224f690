"""GPUs are watched through NVML; here by one that is written for the test, as no GPU is at hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import harness
from harness.bench.supervisor.gpusampler import watch

NVML = '''
"""Two GPUs, the second of which falls off the bus."""
import os
from types import SimpleNamespace

NVML_ERROR_GPU_IS_LOST = 15


class NVMLError(Exception):
    def __init__(self, value, text):
        super().__init__(text)
        self.value = value


calls = 0


def nvmlInit(): pass
def nvmlShutdown(): pass
def nvmlDeviceGetCount(): return 2
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlSystemGetDriverVersion(): return "550.54"
def nvmlDeviceGetName(handle): return f"GPU model {handle}"
def nvmlDeviceGetUUID(handle): return f"GPU-{handle}"


def nvmlDeviceGetUtilizationRates(handle):
    global calls
    calls += 1
    if handle == 1:
        raise NVMLError(15, "GPU is lost")
    return SimpleNamespace(gpu=0 if calls == 1 else 80)


def nvmlDeviceGetMemoryInfo(handle): return SimpleNamespace(total=16 * 10**9, used=5 * 10**9)
def nvmlDeviceGetClockInfo(handle, kind): return 1500
def nvmlDeviceGetTemperature(handle, kind): return 70
def nvmlDeviceGetPowerUsage(handle): raise NVMLError(3, "Not Supported")
def nvmlDeviceGetCurrentClocksThrottleReasons(handle): return 0x40 | 0x04
def nvmlDeviceGetComputeRunningProcesses(handle): return [SimpleNamespace(pid=os.getpid()), SimpleNamespace(pid=1)]
'''


def fake() -> Any:
    from types import ModuleType

    module = ModuleType("pynvml")
    exec(NVML, module.__dict__)
    return module


def test_what_a_gpu_did_is_told_and_what_it_cannot_tell_is_null() -> None:
    left = [False, False, True]
    found = watch(fake(), ["GPU-0", "1"], lambda _seconds: left.pop(0))
    first, second = found["gpus"]
    assert (found["driver"], found["samples"], len(found["gpus"])) == ("550.54", 3, 2)
    assert first["utilisation"] == {"before": 0.0, "mean": 0.5333, "min": 0.0, "max": 0.8}
    assert first["memory_used_bytes"]["max"] == 5e9
    assert first["power_w"] == {"mean": None, "min": None, "max": None}
    assert first["throttled"] == ["hardware thermal slow-down"]
    assert (first["is_lost"], second["is_lost"], second["reason"]) == (False, True, "GPU is lost")
    assert [gpu["index"] for gpu in watch(fake(), ["GPU-1"], lambda _seconds: True)["gpus"]] == [1]


def test_it_is_a_process_of_its_own_that_ends_when_asked_and_records_its_own_cost(tmp_path: Path) -> None:
    (tmp_path / "pynvml.py").write_text(NVML)
    found = run(tmp_path, {"PYTHONPATH": str(tmp_path)})
    assert found["gpus"][0]["name"] == "GPU model 0"
    assert found["cpu_s"] < 2.0
    assert found["anon_bytes"] > 0


def test_without_nvml_the_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "pynvml.py").write_text("raise ImportError('no')\n")
    assert run(tmp_path, {"PYTHONPATH": str(tmp_path)})["error"] == "nvidia-ml-py is not in this image"


def blocks_signals(pid: int) -> bool:
    """Whether it would hear of a SIGTERM; while it waits for one, the kernel does not show it as blocked."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    is_blocked = any(line.startswith("SigBlk:") and int(line.split()[1], 16) >> 14 & 1 for line in lines)
    return is_blocked or "sigtimedwait" in Path(f"/proc/{pid}/wchan").read_text()


def run(folder: Path, variables: dict[str, str]) -> Any:
    payload = Path(harness.__file__).parent
    target = folder / "gpu.json"
    command = [sys.executable, "-m", "bench.supervisor.gpusampler", str(target), "GPU-0"]
    child = subprocess.Popen(command, cwd=payload, env={**os.environ, **variables})
    while child.poll() is None and not blocks_signals(child.pid):
        time.sleep(0.02)
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 0
    return json.loads(target.read_text())

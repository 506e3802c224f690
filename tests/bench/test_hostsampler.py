"""What a host does meanwhile: parsed from files as kernels write them, and cheap on the real one."""

# mypy: disable-error-code="index"

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.bench.launcher.cgroup import Cgroup
from harness.bench.supervisor.hostsampler import HostSampler


class Machine:
    """A tree of recorded files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.busy_s, self.own_s, self.steal_s, self.throttled, self.swapped = 100.0, 10.0, 1.0, 5, 7
        self.pressure_us, self.reads, self.read_ms = 1_000_000, 100, 1000
        self.data = root / "data"
        self.data.mkdir(parents=True)
        device = os.stat(self.data).st_dev
        self.device = f"{os.major(device)} {os.minor(device)}"
        self.write()

    def put(self, path: str, text: str) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def write(self) -> None:
        ticks = os.sysconf("SC_CLK_TCK")
        numbers = [self.busy_s, 0, 0, 1000, 0, 0, 0, self.steal_s, 0, 0]
        self.put("/proc/stat", "cpu  " + " ".join(str(round(n * ticks)) for n in numbers) + "\ncpu0 1 2 3\n")
        half = round(self.own_s * ticks / 2)
        self.put("/proc/77/stat", f"77 (a b) c) R {' '.join(['0'] * 10)} {half} {half} 0 0 20 0 1\n")
        self.put("/proc/loadavg", "1.25 2.00 3.00 1/100 5\n")
        self.put("/proc/vmstat", f"nr_free 1\npswpin {self.swapped}\npswpout 3\n")
        for name in ("memory", "io", "cpu"):
            self.put(f"/proc/pressure/{name}", f"some avg10=0.00 avg60=0.00 avg300=0.00 total={self.pressure_us}\n")
        self.put("/proc/diskstats", f" {self.device} sdx {self.reads} 0 2048 {self.read_ms} 0 0 0 0 0 0 0 0 0 0 0\n")
        cpu = "/sys/devices/system/cpu/cpu0"
        self.put(f"{cpu}/cpufreq/scaling_cur_freq", "2400000\n")
        self.put(f"{cpu}/cpufreq/scaling_governor", "powersave\n")
        self.put(f"{cpu}/thermal_throttle/core_throttle_count", f"{self.throttled}\n")
        self.put("/sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n")
        self.put("/sys/class/thermal/thermal_zone0/temp", "61000\n")


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("harness.bench.supervisor.hostsampler.time.monotonic", found.monotonic)
    return found


def test_what_a_machine_did_is_told_in_numbers(tmp_path: Path, clock: Clock) -> None:
    machine = Machine(tmp_path)
    sampler = HostSampler(None, "/data", root=str(tmp_path))
    sampler.begin(77)
    for _ in range(10):
        clock.now += 1.0
        machine.busy_s += 1.5
        machine.own_s += 1.0
        machine.steal_s += 0.1
        machine.write()
        sampler.take()
    machine.throttled += 2
    machine.swapped += 1000
    machine.pressure_us += 2_500_000
    machine.reads, machine.read_ms = 300, 5000
    machine.write()
    seen = sampler.end(10.0)
    assert seen is not None
    assert seen["foreign_cpus"]["mean"] == pytest.approx(0.5)
    assert seen["foreign_cpus"]["max"] == pytest.approx(0.5, abs=0.02)
    assert seen["steal_share"] == pytest.approx(1.0 / 16.0, abs=0.001)
    assert seen["load_1m"] == {"before": 1.25, "mean": 1.25, "min": 1.25, "max": 1.25}
    assert (seen["throttled"], seen["governor"]) == (2, "powersave")
    assert (seen["clock_mhz"]["mean"], seen["temperature_c"]["max"]) == (2400.0, 61.0)
    assert seen["swapped_bytes"] == 1000 * os.sysconf("SC_PAGE_SIZE")
    assert seen["memory_pressure"] == pytest.approx(0.25)
    assert seen["disk"]["read_latency_s"] == pytest.approx(0.02)
    assert (seen["disk"]["device"], seen["disk"]["reads"], seen["samples"]) == ("sdx", 200, 10)


def test_a_machine_that_tells_nothing_gives_nulls_and_not_zeros(tmp_path: Path) -> None:
    sampler = HostSampler(None, None, root=str(tmp_path / "empty"))
    assert sampler.end(1.0) is None
    sampler.begin(77)
    sampler.take()
    seen = sampler.end(1.0)
    assert seen is not None
    names = ("steal_share", "governor", "throttled", "swapped_bytes", "memory_pressure", "io_pressure", "disk")
    assert {name: value for name, value in seen.items() if name in names} == dict.fromkeys(names)
    assert seen["foreign_cpus"] == {"mean": None, "min": None, "max": None}


def test_the_job_s_own_load_is_not_foreign() -> None:
    """A real child that spins: its CPU time is the job's own, whatever else goes on here."""
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    sampler = HostSampler(None, "/")
    try:
        sampler.begin(child.pid)
        before = sampler._read_own()  # noqa: SLF001 - one look, without its interval
        time.sleep(0.5)
        after = sampler._read_own()  # noqa: SLF001 - one look, without its interval
    finally:
        child.kill()
        child.wait()
    assert before is not None and after is not None and after > before
    group = Cgroup(2, "/nowhere", "/")
    assert HostSampler(group, "/")._cgroup_pids() == [0]  # noqa: SLF001 - one look, without its interval


def test_a_look_costs_little() -> None:
    """At one look a second a hundredth of a core is ten milliseconds a look."""
    sampler = HostSampler(None, "/")
    sampler.begin(os.getpid())
    begun = time.process_time()
    for _ in range(50):
        sampler._next = 0.0  # noqa: SLF001 - one look, without its interval
        sampler.take()
    assert (time.process_time() - begun) / 50 < 0.01

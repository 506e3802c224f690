"""What the host did while a run was measured, from the samples in its record (``io.host`` and ``gpu``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.analysis.findings import Entry, Family, find
from harness.analysis.pauses import paused_seconds
from harness.values.facts import Facts
from harness.values.record import Finding, Record, number, value_at
from harness.values.units import format_bytes

FOREIGN_CPUS = 0.25
FOREIGN_SHARE = 0.05
"""Other programs may use a quarter of a CPU or 5 % of all CPUs, whichever is more."""
STEAL_SHARE = 0.01
CLOCK_SHARE = 0.85
SWAP_BYTES = 2**20
PRESSURE_SHARE = 0.10
DISK_LATENCY_S = 0.05
LEAST_READS = 100
GPU_BEFORE = 0.05
"""Utilisation of a GPU before a run that is above that of an idle desktop."""
SUPERVISOR_ANON_BYTES = 16 * 2**20
SUPERVISOR_CPU_SHARE = 0.01
SHORT_S = 5.0
"""In shorter runs the cost of the start would dominate the share."""


ENTRIES = {
    "host-paused": Entry(
        "error",
        "invocation",
        "the host was paused",
        cause=(
            "the job did not run for more than a second: its supervisor woke that much later than it had requested, "
            "and the benchmark used no CPU meanwhile (a frozen container, a virtual machine that was paused or moved); "
            "or the machine was suspended. Its epochs include that time, so its figures cannot be used. A supervisor "
            "that wakes late while the benchmark continues, or while it waits for memory, is not a pause."
        ),
        cure="nothing: the same command measures it again. If it is frequent, find out what pauses the machine.",
    ),
    "logout-ends-jobs": Entry(
        "warning",
        "host",
        cause=(
            "lingering is not enabled for the host's user, and the engine's jobs belong to that user: systemd ends them"
            " some seconds after the connection to the host is lost. Those jobs end as `lost`."
        ),
        cure="`loginctl enable-linger` on the host, as that user. Until then keep the connection up.",
    ),
    "host-unwatched": Entry(
        "info",
        "invocation",
        cause="the record has no samples of its host: an older version wrote it, or `/proc` could not be read.",
        cure="nothing; the load of other programs is not known.",
    ),
    "host-busy": Entry(
        "warning",
        "invocation",
        "the host was busy",
        cause=(
            "other programs used on average more than a quarter of a CPU (or 5 % of all CPUs, if that is more) during "
            "the run."
        ),
        cure="measure again when the host is idle. A session starts on a busy host only with `allow_busy`.",
    ),
    "cpu-stolen": Entry(
        "warning",
        "invocation",
        "CPU time was stolen",
        cause="the hypervisor gave more than 1 % of the CPU time to other machines (steal).",
        cure="use a machine that is not shared, or measure at another time.",
    ),
    "cpu-throttled": Entry(
        "warning",
        "invocation",
        "the CPU was throttled",
        cause="the kernel counted thermal throttling during the run.",
        cure="improve the cooling, or set a power cap that the machine can hold all the time.",
    ),
    "clock-dropped": Entry(
        "info",
        "invocation",
        cause="the mean clock of the CPUs was below 85 % of the highest clock in the same run.",
        cure="set the governor while measuring: `sudo cpupower frequency-set -g performance`.",
    ),
    "governor-saves-power": Entry(
        "info",
        "invocation",
        cause="the CPU frequency governor is not `performance`.",
        cure="set it while measuring: `sudo cpupower frequency-set -g performance`.",
    ),
    "host-swapping": Entry(
        "warning",
        "invocation",
        "the host was swapping",
        cause="the host moved more than 1 MiB to or from swap during the run.",
        cure="end programs that use much memory.",
    ),
    "memory-pressure": Entry(
        "info",
        "invocation",
        cause="some process on the host waited for memory in more than 10 % of the time (PSI).",
        cure="expected in a case with a tight limit; elsewhere the host has too little memory.",
    ),
    "supervisor-heavy": Entry(
        "warning",
        "invocation",
        "monitoring took too much",
        cause="the supervisor of the harness used more than 1 % of a core or 16 MiB of memory.",
        cure="report it with the record.",
    ),
    "sampler-heavy": Entry(
        "warning",
        "invocation",
        "monitoring took too much",
        cause="the process that samples the GPUs used more than 1 % of a core.",
        cure="report it with the record.",
    ),
    "gpu-unwatched": Entry(
        "info",
        "invocation",
        cause="there is no sample of a GPU that was used: NVML is not in the image, or did not answer.",
        cure="use the GPU image of the harness, or install `nvidia-ml-py` in your image.",
    ),
    "gpu-shared": Entry(
        "warning",
        "invocation",
        "the GPU was shared",
        cause="other processes used the GPU during the run.",
        cure="find them with `nvidia-smi`, and end them or use another GPU.",
    ),
    "gpu-throttled": Entry(
        "warning",
        "invocation",
        "the GPU was throttled",
        cause="the GPU reduced its clock (heat, power brake, hardware slow-down).",
        cure="check cooling and power supply with `nvidia-smi -q -d PERFORMANCE`.",
    ),
    "gpu-lost": Entry(
        "error",
        "invocation",
        "the GPU was lost",
        cause='the GPU stopped answering during the run ("fallen off the bus").',
        cure="see `dmesg | grep Xid`, reboot, and check the card's slot and power if it happens again.",
    ),
}


def judge(record: Record, facts: Facts | None, _peers: Sequence[Record]) -> Iterator[Finding]:
    """Yield the findings about host, supervisor and GPUs of a run."""
    yield from _find_supervisor(record)
    yield from _find_pauses(record)
    host = record.io.get("host")
    if not isinstance(host, Mapping):
        if record.status == "ok":
            hint = "an older version measured it, or /proc could not be read"
            yield find("host-unwatched", "the host was not monitored during the run", hint)
    else:
        yield from _find_cpus(host)
        yield from _find_clocks(host, facts)
        yield from _find_memory(host)
        yield from _find_disk(host)
    yield from _find_gpus(record)


def _find_supervisor(record: Record) -> Iterator[Finding]:
    own, wall = record.environment.get("supervisor"), number(record.io, "wall_s")
    if not isinstance(own, Mapping):
        return
    cpu, anon = number(own, "cpu_s"), number(own, "anon_bytes")
    is_busy = wall and cpu and wall > SHORT_S and cpu / wall > SUPERVISOR_CPU_SHARE
    if is_busy or (anon and anon > SUPERVISOR_ANON_BYTES):
        size = format_bytes(None if anon is None else int(anon))
        message = f"the supervisor used {cpu} s of CPU in {wall} s and {size} of memory"
        yield find("supervisor-heavy", message, "report this: it should be below 1 % of a core and 16.8 MB")


def _find_pauses(record: Record) -> Iterator[Finding]:
    """Yield a finding about pauses; the result of an OOM does not depend on time."""
    seconds = paused_seconds(record)
    if seconds and record.status != "oom":
        message = f"the job did not run for {seconds:.1f} s: the job or its host was paused"
        yield find("host-paused", message, "the same command measures it again; find out what pauses this machine")


def _find_cpus(host: Mapping[str, object]) -> Iterator[Finding]:
    cpus = number(host, "cpus") or 1.0
    foreign, most = number(host, "foreign_cpus", "mean"), number(host, "foreign_cpus", "max")
    if foreign is not None and foreign > max(FOREIGN_CPUS, FOREIGN_SHARE * cpus):
        top = "" if most is None else f" (at most {most:.2f})"
        message = f"other programs used {foreign:.2f} of {cpus:.0f} CPUs during the run{top}"
        yield find("host-busy", message, "measure again when the host is idle; `top` there shows the programs")
    steal = number(host, "steal_share")
    if steal is not None and steal > STEAL_SHARE:
        message = f"the hypervisor took {100 * steal:.1f} % of the CPU time for other machines"
        yield find("cpu-stolen", message, "measure on a machine that is not shared, or at another time")


def _find_clocks(host: Mapping[str, object], facts: Facts | None) -> Iterator[Finding]:
    throttled = number(host, "throttled")
    if throttled:
        heat = number(host, "temperature_c", "max")
        at = "" if heat is None else f", at {heat:.0f} °C"
        message = f"the CPUs were throttled {throttled:.0f} times during the run{at}"
        yield find("cpu-throttled", message, "improve the cooling, or set a power cap that the machine can hold")
    mean, top = number(host, "clock_mhz", "mean"), number(host, "clock_mhz", "max")
    if mean and top and mean < CLOCK_SHARE * top:
        message = f"the CPUs ran at {mean:.0f} MHz on average and {top:.0f} at most"
        yield find("clock-dropped", message, "`cpupower frequency-set -g performance`; check the cooling")
    governor = host.get("governor") or (facts.governor if facts else None)
    if governor is not None and governor != "performance":
        message = f"the CPU frequency governor is {governor}"
        yield find("governor-saves-power", message, "`sudo cpupower frequency-set -g performance` while measuring")


def _find_memory(host: Mapping[str, object]) -> Iterator[Finding]:
    swapped = number(host, "swapped_bytes")
    if swapped is not None and swapped > SWAP_BYTES:
        message = f"the host moved {format_bytes(int(swapped))} to or from swap during the run"
        yield find("host-swapping", message, "end programs that use much memory, or turn swap off while measuring")
    pressure = number(host, "memory_pressure")
    if pressure is not None and pressure > PRESSURE_SHARE:
        message = f"some process waited for memory in {100 * pressure:.0f} % of the time (PSI)"
        hint = "expected with a tight limit; without a limit the host has too little memory"
        yield find("memory-pressure", message, hint)


def _find_disk(host: Mapping[str, object]) -> Iterator[Finding]:
    latency, reads = number(host, "disk", "read_latency_s"), number(host, "disk", "reads")
    if latency is not None and latency > DISK_LATENCY_S and (reads or 0) >= LEAST_READS:
        message = f"a read of {value_at(host, 'disk', 'device')} took {1000 * latency:.0f} ms on average"
        yield find("disk-slow", message, "check whether other programs use this disk (`iostat -x 5`)")


def _find_gpus(record: Record) -> Iterator[Finding]:
    watch = record.io.get("gpu")
    if not isinstance(watch, Mapping):
        if record.gpu and record.status == "ok":
            message = "its GPUs were not monitored: there is no sample"
            yield find("gpu-unwatched", message, "see the log; NVML may be missing")
        return
    if watch.get("error"):
        hint = "install nvidia-ml-py in the image; the harness's own GPU image has it"
        yield find("gpu-unwatched", f"its GPUs were not monitored: {watch['error']}", hint)
        return
    wall, cpu = number(record.io, "wall_s"), number(watch, "cpu_s")
    if wall and cpu and wall > SHORT_S and cpu / wall > SUPERVISOR_CPU_SHARE:
        message = f"the GPU sampler used {cpu:.2f} s of CPU in {wall:.0f} s"
        yield find("sampler-heavy", message, "report this: it should be below 1 % of a core")
    for gpu in watch.get("gpus") or ():
        name = f"GPU {gpu.get('index')} ({gpu.get('name')})"
        if gpu.get("is_lost"):
            hint = "see `nvidia-smi` and `dmesg | grep Xid` there, and reboot the host"
            yield find("gpu-lost", f"{name} stopped answering: {gpu.get('reason')}", hint)
        before = number(gpu, "utilisation", "before")
        if gpu.get("foreign_processes") or (before is not None and before > GPU_BEFORE):
            share = "?" if before is None else f"{100 * before:.0f}"
            message = (
                f"{name} is shared: {gpu.get('foreign_processes') or 0} other processes, {share} % busy before the run"
            )
            yield find("gpu-shared", message, "find them with `nvidia-smi` there and end them, or use another GPU")
        if gpu.get("throttled"):
            message = f"{name} was slowed: {', '.join(str(why) for why in gpu['throttled'])}"
            yield find(
                "gpu-throttled", message, "check its cooling and its power limit (`nvidia-smi -q -d PERFORMANCE`)"
            )


FAMILY = Family(rank=60, title="The host", entries=ENTRIES, judge=judge)

"""What the host did while an invocation was measured, from the samples in its record (``io.host`` and ``gpu``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.analysis.findings import Entry, Family, find
from harness.analysis.pauses import paused_seconds
from harness.values.facts import Facts
from harness.values.record import Finding, Record, number, value_at
from harness.values.units import format_bytes

FOREIGN_CPUS = 0.25
FOREIGN_SHARE = 0.05
"""Others may use a quarter of a CPU, or 5 % of all, whichever is more."""
STEAL_SHARE = 0.01
CLOCK_SHARE = 0.85
SWAP_BYTES = 2**20
PRESSURE_SHARE = 0.10
DISK_LATENCY_S = 0.05
LEAST_READS = 100
GPU_BEFORE = 0.05
"""A desktop alone keeps a GPU less busy than this."""
SUPERVISOR_ANON_BYTES = 16 * 2**20
SUPERVISOR_CPU_SHARE = 0.01
SHORT_S = 5.0
"""Below this a start's own cost would count as a share."""


ENTRIES = {
    "host-paused": Entry(
        "error",
        "invocation",
        "the host was paused",
        cause=(
            "for more than a second nothing of the job ran: its supervisor woke so much later than it had asked for, "
            "and the benchmark used no CPU meanwhile (a frozen container, a virtual machine that was paused or moved); "
            "or the machine slept. Its epochs hold that time, so that its figures say nothing. A supervisor that wakes "
            "late while the benchmark goes on, or waits for memory, is no pause."
        ),
        cure="nothing: the same command measures it again. See who pauses the machine where it comes often.",
    ),
    "logout-ends-jobs": Entry(
        "warning",
        "host",
        cause=(
            "the host's user does not linger, and the engine's jobs belong to that user's session: systemd ends them "
            "when the link to the host is lost for longer than some seconds. Those jobs end as `lost`."
        ),
        cure="`loginctl enable-linger` on the host, as that user. Until then keep the link up.",
    ),
    "host-unwatched": Entry(
        "info",
        "invocation",
        cause="the record has no samples of its host: an older version wrote it, or `/proc` could not be read.",
        cure="nothing; what others did meanwhile is not known.",
    ),
    "host-busy": Entry(
        "warning",
        "invocation",
        "the host was busy",
        cause=(
            "other programs used more than a quarter of a CPU (or 5 % of all CPUs, if that is more) in the mean "
            "while this was measured."
        ),
        cure="measure again when it is quiet. A session does not begin on a busy host unless `allow_busy` says so.",
    ),
    "cpu-stolen": Entry(
        "warning",
        "invocation",
        "CPU time was stolen",
        cause="the hypervisor gave more than 1 % of the CPU time to other machines (steal).",
        cure="a machine of its own, or other hours.",
    ),
    "cpu-throttled": Entry(
        "warning",
        "invocation",
        "the CPU was throttled",
        cause="the kernel counted thermal throttling while this was measured.",
        cure="cooling; or a power cap low enough to be held all the time.",
    ),
    "clock-dropped": Entry(
        "info",
        "invocation",
        cause="the CPUs' clock was in the mean below 85 % of the highest seen in the same invocation.",
        cure="fix the clock while measuring: `sudo cpupower frequency-set -g performance`.",
    ),
    "governor-saves-power": Entry(
        "info",
        "invocation",
        cause="the CPU frequency governor is not `performance`.",
        cure="the same.",
    ),
    "host-swapping": Entry(
        "warning",
        "invocation",
        "the host was swapping",
        cause="the host as a whole moved more than 1 MiB to or from swap while this was measured.",
        cure="close what fills its memory.",
    ),
    "memory-pressure": Entry(
        "info",
        "invocation",
        cause="in more than 10 % of the time something on the host waited for memory (PSI).",
        cure="expected in a case whose limit is tight; elsewhere the host has too little memory.",
    ),
    "supervisor-heavy": Entry(
        "warning",
        "invocation",
        "watching took too much",
        cause="the harness's own supervisor took more than 1 % of a core or 16 MiB.",
        cure="report it with the record.",
    ),
    "sampler-heavy": Entry(
        "warning",
        "invocation",
        "watching took too much",
        cause="the process that samples the GPUs took more than 1 % of a core.",
        cure="report it with the record.",
    ),
    "gpu-unwatched": Entry(
        "info",
        "invocation",
        cause="no sample of a GPU that was used: NVML is not in the image, or did not answer.",
        cure="the harness's GPU image has `nvidia-ml-py`; put it into your own.",
    ),
    "gpu-shared": Entry(
        "warning",
        "invocation",
        "the GPU was shared",
        cause="processes that are not the benchmark's used the GPU meanwhile.",
        cure="`nvidia-smi` shows them.",
    ),
    "gpu-throttled": Entry(
        "warning",
        "invocation",
        "the GPU was throttled",
        cause="the GPU slowed itself (heat, power brake, hardware slow-down).",
        cure="cooling, power supply, `nvidia-smi -q -d PERFORMANCE`.",
    ),
    "gpu-lost": Entry(
        "error",
        "invocation",
        "the GPU was lost",
        cause='the GPU stopped to answer while this was measured ("fallen off the bus").',
        cure="`dmesg | grep Xid`; a reboot brings it back, a loose card does it again.",
    ),
}


def judge(record: Record, facts: Facts | None, _peers: Sequence[Record]) -> Iterator[Finding]:
    """Findings about host, supervisor and GPUs of one invocation."""
    yield from _find_supervisor(record)
    yield from _find_pauses(record)
    host = record.io.get("host")
    if not isinstance(host, Mapping):
        if record.status == "ok":
            hint = "it was measured by an older version, or /proc could not be read"
            yield find("host-unwatched", "the host was not watched while this was measured", hint)
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
        message = f"the supervisor took {cpu} s of CPU in {wall} s and {size} of memory"
        yield find("supervisor-heavy", message, "report this: it should be below 1 % of a core and 16.8 MB")


def _find_pauses(record: Record) -> Iterator[Finding]:
    """Of what ran out of memory the result does not hang on time."""
    seconds = paused_seconds(record)
    if seconds and record.status != "oom":
        message = f"nothing ran for {seconds:.1f} s while this was measured: the job or its host was paused"
        yield find("host-paused", message, "the same command measures it again; see who pauses this machine")


def _find_cpus(host: Mapping[str, object]) -> Iterator[Finding]:
    cpus = number(host, "cpus") or 1.0
    foreign, most = number(host, "foreign_cpus", "mean"), number(host, "foreign_cpus", "max")
    if foreign is not None and foreign > max(FOREIGN_CPUS, FOREIGN_SHARE * cpus):
        top = "" if most is None else f" (at most {most:.2f})"
        message = f"others used {foreign:.2f} of {cpus:.0f} CPUs while this was measured{top}"
        yield find("host-busy", message, "measure again when the host is quiet; `top` there shows who it is")
    steal = number(host, "steal_share")
    if steal is not None and steal > STEAL_SHARE:
        message = f"the hypervisor took {100 * steal:.1f} % of the CPU time for other machines"
        yield find("cpu-stolen", message, "measure on a machine that is not shared, or when its neighbours are quiet")


def _find_clocks(host: Mapping[str, object], facts: Facts | None) -> Iterator[Finding]:
    throttled = number(host, "throttled")
    if throttled:
        heat = number(host, "temperature_c", "max")
        at = "" if heat is None else f", at {heat:.0f} °C"
        message = f"the CPUs were throttled {throttled:.0f} times while this was measured{at}"
        yield find("cpu-throttled", message, "see to its cooling, or cap its power so that it stays steady")
    mean, top = number(host, "clock_mhz", "mean"), number(host, "clock_mhz", "max")
    if mean and top and mean < CLOCK_SHARE * top:
        message = f"the CPUs ran at {mean:.0f} MHz in the mean, {top:.0f} at the most"
        yield find("clock-dropped", message, "fix the clock (`cpupower frequency-set -g performance`), see to cooling")
    governor = host.get("governor") or (facts.governor if facts else None)
    if governor is not None and governor != "performance":
        message = f"the CPU frequency governor is {governor}"
        yield find("governor-saves-power", message, "`sudo cpupower frequency-set -g performance` while measuring")


def _find_memory(host: Mapping[str, object]) -> Iterator[Finding]:
    swapped = number(host, "swapped_bytes")
    if swapped is not None and swapped > SWAP_BYTES:
        message = f"the host moved {format_bytes(int(swapped))} to or from swap while this was measured"
        yield find("host-swapping", message, "close what fills its memory, or turn swap off while measuring")
    pressure = number(host, "memory_pressure")
    if pressure is not None and pressure > PRESSURE_SHARE:
        message = f"something waited for memory in {100 * pressure:.0f} % of the time (PSI)"
        hint = "expected where a limit is tight; on a host without limits it has too little memory"
        yield find("memory-pressure", message, hint)


def _find_disk(host: Mapping[str, object]) -> Iterator[Finding]:
    latency, reads = number(host, "disk", "read_latency_s"), number(host, "disk", "reads")
    if latency is not None and latency > DISK_LATENCY_S and (reads or 0) >= LEAST_READS:
        message = f"a read of {value_at(host, 'disk', 'device')} took {1000 * latency:.0f} ms in the mean"
        yield find("disk-slow", message, "see whether somebody else uses this disk (`iostat -x 5`)")


def _find_gpus(record: Record) -> Iterator[Finding]:
    watch = record.io.get("gpu")
    if not isinstance(watch, Mapping):
        if record.gpu and record.status == "ok":
            yield find("gpu-unwatched", "its GPUs were not watched: no sample came", "see the log; NVML may be missing")
        return
    if watch.get("error"):
        hint = "install nvidia-ml-py in the image; the harness's own GPU image has it"
        yield find("gpu-unwatched", f"its GPUs were not watched: {watch['error']}", hint)
        return
    wall, cpu = number(record.io, "wall_s"), number(watch, "cpu_s")
    if wall and cpu and wall > SHORT_S and cpu / wall > SUPERVISOR_CPU_SHARE:
        message = f"the GPU sampler took {cpu:.2f} s of CPU in {wall:.0f} s"
        yield find("sampler-heavy", message, "report this: it should be below 1 % of a core")
    for gpu in watch.get("gpus") or ():
        name = f"GPU {gpu.get('index')} ({gpu.get('name')})"
        if gpu.get("is_lost"):
            hint = "see `nvidia-smi` and `dmesg | grep Xid` there; a reboot brings it back"
            yield find("gpu-lost", f"{name} stopped to answer: {gpu.get('reason')}", hint)
        before = number(gpu, "utilisation", "before")
        if gpu.get("foreign_processes") or (before is not None and before > GPU_BEFORE):
            share = "?" if before is None else f"{100 * before:.0f}"
            message = (
                f"others use {name}: {gpu.get('foreign_processes') or 0} processes, {share} % busy before it was needed"
            )
            yield find("gpu-shared", message, "see `nvidia-smi` there and end them, or measure another GPU")
        if gpu.get("throttled"):
            message = f"{name} was slowed: {', '.join(str(why) for why in gpu['throttled'])}"
            yield find(
                "gpu-throttled", message, "see to its cooling and its power limit (`nvidia-smi -q -d PERFORMANCE`)"
            )


FAMILY = Family(rank=60, title="The host", entries=ENTRIES, judge=judge)

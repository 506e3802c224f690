"""Facts about the processors: model, number, those that this user may use, and clock policy."""

from __future__ import annotations

import re

from harness.hosts.facts.fact import Fact

_RANGE = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?\Z")
_MOST_CPUS = 65536
_EMPTY_NAMES = frozenset({"", "-", "unknown", "not specified"})
# 32-bit ARM kernels write a generic core name instead of a model.
_GENERIC_ARM = re.compile(r"ARMv\d+ (compatible )?Processor", re.IGNORECASE)


def parse_cpu_list(text: str) -> tuple[int, ...] | None:
    """Parse the kernel's list of CPUs, such as ``0-3,8`` (Documentation/admin-guide/cputopology.rst), in its order."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        match = _RANGE.match(part.strip())
        if match is None:
            return None
        first = int(match[1])
        last = int(match[2] or first)
        if last < first or last >= _MOST_CPUS or (numbers and first <= numbers[-1]):
            return None
        numbers += range(first, last + 1)
    return tuple(numbers)


def parse_cpuinfo_model(text: str) -> str | None:
    """Return the model of x86, POWER and s390x processors; None on ARM, where the kernel does not name it."""
    for key in ("model name", "cpu", "machine"):
        for line in text.splitlines():
            name, colon, value = line.partition(":")
            if colon and name.strip() == key and not _GENERIC_ARM.match(value.strip()):
                return _clean_name(value)
    return None


def parse_lscpu_model(text: str) -> str | None:
    """Return lscpu's ``Model name``; several kinds of cores in one machine are joined by `` + ``."""
    vendor, models = None, []
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        key, cleaned = name.strip(), _clean_name(value)
        if not colon or cleaned is None:
            continue
        if key == "Vendor ID":
            vendor = cleaned
        elif key == "Model name" and cleaned not in models:
            models.append(cleaned)
    if not models:
        return None
    model = " + ".join(models)
    return f"{vendor} {model}" if vendor == "ARM" and not model.startswith("ARM") else model


def parse_device_tree_model(text: str) -> str | None:
    """Return the board's name from the device tree, whose strings end with a zero byte."""
    return _clean_name(text.split("\0", 1)[0])


def parse_allowed_cpus(text: str) -> tuple[int, ...] | None:
    """Return the CPUs in ``Cpus_allowed_list`` of /proc/PID/status, which reflects affinity and cpuset."""
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() == "Cpus_allowed_list":
            return parse_cpu_list(value)
    return None


def parse_governor(text: str) -> str | None:
    """Return the frequency governor of the CPUs; different ones are joined by ``/``."""
    names = sorted({line.strip() for line in text.splitlines() if line.strip()})
    return "/".join(names) or None


def parse_turbo(text: str) -> bool | None:
    """Return whether turbo is enabled, from ``no_turbo N`` of intel_pstate, else from ``boost N`` of cpufreq."""
    values = dict(line.split() for line in text.splitlines() if len(line.split()) == 2)
    if values.get("no_turbo") in ("0", "1"):
        return values["no_turbo"] == "0"
    if values.get("boost") in ("0", "1"):
        return values["boost"] == "1"
    return None


def _clean_name(value: str) -> str | None:
    name = " ".join(value.split())
    return None if name.lower() in _EMPTY_NAMES else name


_TURBO_SCRIPT = """
cd /sys/devices/system/cpu || exit 1
for f in intel_pstate/no_turbo cpufreq/boost; do
  [ -r "$f" ] && echo "${f##*/} $(cat "$f")"
done
"""

CPU_MODEL = Fact(
    "cpu_model",
    ("grep", "-m", "8", "-E", "^(model name|cpu|machine)[[:space:]]*:", "/proc/cpuinfo"),
    parse_cpuinfo_model,
)
LSCPU_MODEL = Fact("lscpu_model", ("lscpu",), parse_lscpu_model)
DEVICE_TREE_MODEL = Fact("device_tree_model", ("cat", "/proc/device-tree/model"), parse_device_tree_model)
ONLINE_CPUS = Fact("online_cpus", ("cat", "/sys/devices/system/cpu/online"), parse_cpu_list, is_needed=True)
ALLOWED_CPUS = Fact("allowed_cpus", ("grep", "Cpus_allowed_list", "/proc/self/status"), parse_allowed_cpus)
GOVERNOR = Fact(
    "governor",
    ("sh", "-c", "cat /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor | sort -u"),
    parse_governor,
)
TURBO = Fact("turbo", ("sh", "-c", _TURBO_SCRIPT), parse_turbo)

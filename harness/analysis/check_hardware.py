"""Checks of the machine itself: GPU and driver, memory, clock policy, clock. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.analysis.host_check import Check
from harness.analysis.protection import available_limit
from harness.values.engine_names import NO_WORDS, EngineFacts
from harness.values.errors import HostNotReady
from harness.values.facts import Facts
from harness.values.units import format_bytes

LEAST_USABLE_BYTES = 2 * 10**9
"""TensorFlow alone needs about half a GB; with less than this no case of the presets ends well."""
MOST_CLOCK_OFFSET_S = 5.0
MINIMUM_DRIVERS: dict[int, str] = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}
"""The oldest Linux driver for each major version of CUDA.

Within one major version any driver from this on will do ("minor version compatibility"): NVIDIA, CUDA
Compatibility, table 1 (https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html: ≥ 450, 525,
580), in full as in table 3 of the CUDA Toolkit Release Notes (https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/:
12.0 GA ≥ 525.60.13, 13.0 GA ≥ 580.65.06); 450.80.02 is the note to the first table.
"""


def check_hardware(
    facts: Facts, engine: EngineFacts | None, needed_cuda: str | None, memory_reserve: int | None
) -> Iterator[Check]:
    """``engine`` is the one that will be used; ``needed_cuda`` what the image was built for, None without CUDA."""
    yield from _check_gpus(facts, needed_cuda, uses_images=engine is None or engine.uses_images)
    if facts.gpus:
        yield _check_runtime(facts, engine)
    yield _check_memory(facts, memory_reserve)
    if facts.governor is not None and facts.governor != "performance":
        cure = "for steadier figures: `sudo cpupower frequency-set -g performance` while measuring"
        yield Check("governor", "", "warning", f"the CPU frequency governor is {facts.governor}", cure)
    if facts.clock_offset_s is not None and abs(facts.clock_offset_s) > MOST_CLOCK_OFFSET_S:
        message = f"its clock is {facts.clock_offset_s:+.0f} s off the controller's"
        yield Check("clock", "", "warning", message, "start a time service there: `sudo timedatectl set-ntp true`")


def _check_gpus(facts: Facts, needed_cuda: str | None, *, uses_images: bool) -> Iterator[Check]:
    if facts.silent_gpus:
        message = (
            f"{len(facts.silent_gpus)} NVIDIA GPU(s) on the PCI bus ({', '.join(facts.silent_gpus)}), no driver answers"
        )
        cure = "run `nvidia-smi` there: install the driver, or reboot if it was updated since the last start"
        yield Check("gpu", "", "warning", message, cure)
    elif not facts.gpus:
        yield Check("gpu", "", "ok", f"no NVIDIA GPU{': the CPU image is used' if uses_images else ''}")
    for gpu in facts.gpus:
        memory = f", {format_bytes(gpu.memory_bytes)}" if gpu.memory_bytes is not None else ""
        yield Check("gpu", gpu.name, "ok", f"{gpu.name}{memory}, driver {gpu.driver or 'unknown'}")
        if needed_cuda is not None:
            yield _check_driver(gpu.name, gpu.driver, needed_cuda, uses_images=uses_images)


def _check_driver(name: str, driver: str | None, cuda: str, *, uses_images: bool) -> Check:
    minimum = minimum_driver(cuda)
    enough = is_driver_enough(driver, minimum) if driver is not None and minimum is not None else None
    if minimum is None or enough is None:
        return Check("driver", name, "unproven", f"whether driver {driver or '?'} serves CUDA {cuda} is not known")
    if enough:
        return Check("driver", name, "ok", f"driver {driver} serves CUDA {cuda} (≥ {minimum})")
    whose = "the image's" if uses_images else "TensorFlow's"
    message = f"driver {driver} is too old for {whose} CUDA {cuda}: {minimum} or newer is needed"
    instead = "use the CPU image with `image:` in the inventory" if uses_images else "use none with `gpus: 0`"
    cure = f"install a driver ≥ {minimum} and reboot, or {instead}"
    return Check("driver", name, "failure", message, cure)


def _check_runtime(facts: Facts, engine: EngineFacts | None) -> Check:
    support = (engine.gpu_support if engine is not None else None) or None
    if support == "direct":
        return Check("nvidia-runtime", "", "ok", "jobs see the GPUs without one")
    if support is not None:
        return Check("nvidia-runtime", "", "ok", f"containers get GPUs by {support}")
    cure = (NO_WORDS if engine is None else engine.words).gpu_cure
    if facts.nvidia_runtime is not None:
        message = f"the NVIDIA container toolkit is installed ({facts.nvidia_runtime}), but the engine does not name it"
        return Check("nvidia-runtime", "", "warning" if engine is not None else "unproven", message, cure)
    cure = f"`sudo apt install nvidia-container-toolkit` (from NVIDIA's repository), then {cure}"
    return Check("nvidia-runtime", "", "failure", "containers cannot get the GPU: no NVIDIA runtime and no CDI", cure)


def _check_memory(facts: Facts, memory_reserve: int | None) -> Check:
    try:
        limit = available_limit(facts, memory_reserve)
    except HostNotReady as error:
        return Check("memory", "", "failure", error.message, error.hint)
    total = format_bytes(facts.ram_bytes)
    message = f"{format_bytes(limit)} of {total} may be used (available now, less the reserve)"
    if limit < LEAST_USABLE_BYTES:
        return Check(
            "memory",
            "",
            "failure" if limit == 0 else "warning",
            message,
            "end programs that hold memory: `ps aux --sort=-rss | head`",
        )
    return Check("memory", "", "ok", message)


def minimum_driver(cuda: str) -> str | None:
    """The oldest driver for a CUDA version (``12.5``); None for one that this table does not know."""
    match = re.match(r"(\d+)(?:\.|\Z)", cuda.strip())
    return MINIMUM_DRIVERS.get(int(match[1])) if match else None


def is_driver_enough(driver: str, minimum: str) -> bool | None:
    """Whether a driver is as new as the minimum; None where its version cannot be read."""
    have, need = _parts(driver), _parts(minimum)
    return None if have is None or need is None else have >= need


def _parts(version: str) -> tuple[int, ...] | None:
    # The open kernel modules and some distributions append a word: 535.104.05-open.
    match = re.match(r"\d+(?:\.\d+)*", version.strip())
    if match is None:
        return None
    numbers = tuple(int(part) for part in match[0].split("."))
    return numbers + (0,) * (4 - len(numbers))

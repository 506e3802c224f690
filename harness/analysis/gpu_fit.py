"""Whether GPUs can be used: their driver, TensorFlow's code for them, and how jobs access them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from harness.analysis.host_check import Check, GpuProbe
from harness.values.cuda import Capability, CudaBuild, has_packages, locked_build, parse_capability
from harness.values.engine_names import NO_WORDS, EngineFacts
from harness.values.facts import Facts, GpuFacts
from harness.values.text import join_words, plural
from harness.values.units import format_bytes

MINIMUM_DRIVERS: dict[int, str] = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}
"""The oldest Linux driver for each major version of CUDA.

Within one major version any driver from this version on works ("minor version compatibility"): NVIDIA, CUDA
Compatibility, table 1 (https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html: ≥ 450, 525,
580), in full as in table 3 of the CUDA Toolkit Release Notes (https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/:
12.0 GA ≥ 525.60.13, 13.0 GA ≥ 580.65.06); 450.80.02 is the note to the first table.
"""
FIRST_CUDA: tuple[tuple[Capability, tuple[int, int]], ...] = (
    (Capability(11, 0), (13, 0)),
    (Capability(10, 3), (12, 9)),
    (Capability(12, 1), (12, 9)),
    (Capability(10, 0), (12, 8)),
    (Capability(12, 0), (12, 8)),
)
"""The first CUDA that knows a compute capability newer than 9.0 (release notes of the CUDA Toolkit, 12.8 to 13.0).

TensorFlow's packages that were built with an older one have PTX for such a GPU, but are reported to fail there with
CUDA_ERROR_INVALID_PTX: versions 2.16 to 2.20 and a nightly 2.21 on RTX 50 (github.com/tensorflow/tensorflow, issues
89272, 97387, 99592, 101746).
"""

Fit = Literal["exact", "ptx", "none", "unknown"]
"""How TensorFlow runs on a GPU: with its binary code, with PTX that the driver compiles, or not at all."""


class _Speaking(NamedTuple):
    """Properties of a host on which the messages depend."""

    uses_images: bool
    architecture: str | None

    @property
    def whose(self) -> str:
        return "the image's" if self.uses_images else "TensorFlow's"

    @property
    def instead(self) -> str:
        """Return what a user can do where a GPU cannot be used."""
        if self.uses_images:
            return "set `gpus: 0` in the inventory to measure the CPUs, or `image:` to use your own image"
        return "set `gpus: 0` in the inventory to measure the CPUs"


def find_fit(capability: Capability | None, build: CudaBuild | None) -> Fit:
    """Decide how a build of TensorFlow runs on a GPU.

    Binary code runs on its compute capability and on later ones of the same major version; PTX can be compiled for all
    later ones (CUDA C++ Programming Guide, "Application Compatibility").
    """
    if build is not None and build.cuda is None:
        return "none"
    if capability is None or build is None or not build.code:
        return "unknown"
    for code in build.code:
        has, is_later = code.capability, code.capability <= capability
        if capability == has or (not code.is_alone and is_later and has.major == capability.major):
            return "exact"
    has_ptx = any(code.has_ptx and not code.is_alone and code.capability <= capability for code in build.code)
    return "ptx" if has_ptx else "none"


def check_gpus(
    facts: Facts, engine: EngineFacts | None, used: Sequence[str] | None = None, probe: GpuProbe | None = None
) -> Iterator[Check]:
    """Check a host's GPUs. ``used`` are ids of those that jobs may use, None for all.

    ``engine`` is the engine that will be used, ``probe`` the result of a job that requested GPUs.
    """
    speaking = _Speaking(engine is None or engine.uses_images, facts.architecture)
    if facts.silent_gpus:
        message = (
            f"no driver answers for {plural(len(facts.silent_gpus), 'NVIDIA GPU')} on the PCI bus "
            f"({', '.join(facts.silent_gpus)})"
        )
        cure = "run `nvidia-smi` there: install the driver, or reboot if the driver was updated since the last boot"
        yield Check("gpu", "", "warning", message, cure)
    elif not facts.gpus:
        yield Check("gpu", "", "ok", f"no NVIDIA GPU{': the CPU image is used' if speaking.uses_images else ''}")
    unknown = [one for one in used or () if one.isdigit() and int(one) >= len(facts.gpus)]
    if unknown:
        message = f"the inventory names GPU {join_words(unknown)}, but the host has {plural(len(facts.gpus), 'GPU')}"
        cure = "correct `gpus:` in the inventory; numbers start at 0"
        yield Check("gpu", ", ".join(unknown), "failure", message, cure)
    build = locked_build(facts.architecture) if engine is None else engine.cuda
    taken = list(_used_of(facts, used))
    for gpu in facts.gpus:
        memory = f", {format_bytes(gpu.memory_bytes)}" if gpu.memory_bytes is not None else ""
        unused = "" if gpu in taken else " (not used: `gpus:` in the inventory)"
        yield Check("gpu", gpu.name, "ok", f"{gpu.name}{memory}, driver {gpu.driver or 'unknown'}{unused}")
        if gpu in taken:
            yield from _check_driver(gpu, build, speaking)
            yield _check_code(gpu, build, speaking)
    if taken:
        yield _check_access(facts, engine, probe)


def find_obstacle(facts: Facts, engine: EngineFacts | None, used: Sequence[str]) -> str | None:
    """Return why no job can use the GPUs of a host, and what to do; None where no obstacle is known."""
    if not used:
        return None
    failed = [check for check in check_gpus(facts, engine, used) if check.outcome == "failure"]
    return f"{failed[0].message}: {failed[0].cure}" if failed else None


def usable_gpus(facts: Facts, engine: EngineFacts | None, used: tuple[str, ...]) -> tuple[str, ...]:
    """Return the GPUs that jobs may use, none where they cannot."""
    return used if find_obstacle(facts, engine, used) is None else ()


def _used_of(facts: Facts, used: Sequence[str] | None) -> Iterator[GpuFacts]:
    for index, gpu in enumerate(facts.gpus):
        if used is None or gpu.uuid in used or str(index) in used:
            yield gpu


def _check_driver(gpu: GpuFacts, build: CudaBuild | None, speaking: _Speaking) -> Iterator[Check]:
    if build is None or build.cuda is None:
        return
    minimum = minimum_driver(build.cuda)
    enough = is_driver_enough(gpu.driver, minimum) if gpu.driver is not None and minimum is not None else None
    if minimum is None or enough is None:
        message = f"whether driver {gpu.driver or '?'} supports CUDA {build.cuda} is not known"
        yield Check("driver", gpu.name, "unproven", message)
        return
    if enough:
        message = f"driver {gpu.driver} supports CUDA {build.cuda} (≥ {minimum})"
        yield Check("driver", gpu.name, "ok", message)
        return
    message = f"driver {gpu.driver} is too old for {speaking.whose} CUDA {build.cuda}: {minimum} or newer is needed"
    cure = f"install a driver ≥ {minimum} and reboot; {speaking.instead}"
    yield Check("driver", gpu.name, "failure", message, cure)


def _check_code(gpu: GpuFacts, build: CudaBuild | None, speaking: _Speaking) -> Check:
    """Check whether TensorFlow has code for a GPU."""
    capability = parse_capability(gpu.capability)
    fit = find_fit(capability, build)
    if fit == "unknown" or build is None:
        what = (
            "the GPU's compute capability" if capability is None else f"what {speaking.whose} CUDA code was built for"
        )
        return Check(
            "gpu-code", gpu.name, "unproven", f"{what} is not known: a first job shows whether the GPU can be used"
        )
    if build.cuda is None:
        message = "this TensorFlow was built without CUDA"
        if not has_packages(speaking.architecture):
            message = f"TensorFlow's packages for {speaking.architecture} are built without CUDA"
        return Check("gpu-code", gpu.name, "failure", message, speaking.instead)
    if fit == "exact":
        message = f"TensorFlow has code for compute capability {capability}"
        return Check("gpu-code", gpu.name, "ok", message)
    newest, oldest = max(one.capability for one in build.code), min(one.capability for one in build.code)
    if fit == "none":
        message = f"TensorFlow has no code for compute capability {capability}: it was built for {oldest} to {newest}"
        age = "an older" if capability is not None and capability < oldest else "another"
        return Check("gpu-code", gpu.name, "failure", message, f"{speaking.instead}, with {age} TensorFlow")
    message = (
        f"TensorFlow has no code for compute capability {capability} (built for {oldest} to {newest}): the driver "
        "compiles it at the first start, which takes minutes; the result is kept in the scratch folder"
    )
    first = first_cuda(capability)
    if first is not None and _version(build.cuda) < first:
        message += (
            f"; CUDA {build.cuda} does not know this GPU ({first[0]}.{first[1]} does), and such packages are reported "
            "to fail with CUDA_ERROR_INVALID_PTX"
        )
    cure = f"run one case first; if it fails, {speaking.instead}, with a TensorFlow for {capability}"
    return Check("gpu-code", gpu.name, "warning", message, cure)


def _check_access(facts: Facts, engine: EngineFacts | None, probe: GpuProbe | None) -> Check:
    """Check whether jobs can access the GPUs."""
    support = (engine.gpu_support if engine is not None else None) or None
    cure = (NO_WORDS if engine is None else engine.words).gpu_cure
    if support == "direct":
        cure = "run `nvidia-smi` there as this user, and check the permissions of /dev/nvidia*"
    if support is not None and probe is not None and probe.problem is not None:
        asked = plural(probe.asked, "GPU")
        return Check("nvidia-runtime", "", "failure", f"a job that requested {asked} got none: {probe.problem}", cure)
    if support is not None and probe is not None and probe.found is not None and probe.found < probe.asked:
        message = f"a job that requested {plural(probe.asked, 'GPU')} got {probe.found}"
        return Check("nvidia-runtime", "", "failure", message, cure)
    proven = "" if probe is None or probe.found is None else f" (a job that requested them got {probe.found})"
    if support == "direct":
        return Check("nvidia-runtime", "", "ok", f"jobs access the GPUs without a container runtime{proven}")
    if support is not None:
        return Check("nvidia-runtime", "", "ok", f"containers get GPUs by {support}{proven}")
    if facts.nvidia_runtime is not None:
        message = f"the NVIDIA container toolkit is installed ({facts.nvidia_runtime}), but the engine does not list it"
        return Check("nvidia-runtime", "", "warning" if engine is not None else "unproven", message, cure)
    cure = f"`sudo apt install nvidia-container-toolkit` (from NVIDIA's repository), then {cure}"
    return Check("nvidia-runtime", "", "failure", "containers cannot get the GPU: no NVIDIA runtime and no CDI", cure)


def first_cuda(capability: Capability | None) -> tuple[int, int] | None:
    """Return the first CUDA that knows a compute capability; None where it is none of the newest."""
    return next((first for known, first in FIRST_CUDA if known == capability), None)


def _version(cuda: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", cuda)[:2]))


def minimum_driver(cuda: str) -> str | None:
    """Return the oldest driver for a CUDA version (``12.5``); None for one that is not in the table."""
    match = re.match(r"(\d+)(?:\.|\Z)", cuda.strip())
    return MINIMUM_DRIVERS.get(int(match[1])) if match else None


def is_driver_enough(driver: str, minimum: str) -> bool | None:
    """Return whether a driver is as new as the minimum; None where its version cannot be parsed."""
    have, need = _parts(driver), _parts(minimum)
    return None if have is None or need is None else have >= need


def _parts(version: str) -> tuple[int, ...] | None:
    # The open kernel modules and some distributions append a word: 535.104.05-open.
    match = re.match(r"\d+(?:\.\d+)*", version.strip())
    if match is None:
        return None
    numbers = tuple(int(part) for part in match[0].split("."))
    return numbers + (0,) * (4 - len(numbers))

"""CUDA versions and compute capabilities of TensorFlow builds and GPUs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from harness.values.text import without_codes

_Word = Annotated[str, AfterValidator(lambda text: without_codes(text, 40))]

_ARCHITECTURE = re.compile(r"(?:(sm|compute)_)?(\d{1,2})\.?(\d)([af]?)")
_CAPABILITY = re.compile(r"(\d{1,2})\.(\d)")


class Capability(NamedTuple):
    """A compute capability: a GPU generation and its minor version."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


class Architecture(NamedTuple):
    """GPU code in a build: binary code for a capability, with or without PTX, which drivers compile for newer GPUs.

    ``is_alone``: it runs on exactly this capability only.
    """

    capability: Capability
    has_ptx: bool
    is_alone: bool


class CudaBuild(BaseModel):
    """The CUDA part of ``tf.sysconfig.get_build_info()``. ``cuda`` is None for a TensorFlow without CUDA.

    ``architectures`` are in TensorFlow's notation: ``sm_80`` is binary code for 8.0, ``compute_90`` binary code for 9.0
    and PTX (configure.py: "compute_xy" includes both virtual and binary GPU code, "sm_xy" the binary code only).
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    cuda: _Word | None = None
    cudnn: _Word | None = None
    architectures: Annotated[tuple[_Word, ...], Field(max_length=100)] = ()

    @property
    def code(self) -> tuple[Architecture, ...]:
        """The GPU code in the build; entries that are not understood are left out."""
        found = map(parse_architecture, self.architectures)
        return tuple(one for one in found if one is not None)


LOCKED_BUILD = CudaBuild(cuda="12.5.1", cudnn="9", architectures=("sm_60", "sm_70", "sm_80", "sm_89", "compute_90"))
"""The build of the TensorFlow in ``images/requirements-gpu.txt``: assumed for a GPU image that is not built yet."""


def has_packages(architecture: str | None) -> bool:
    """Whether TensorFlow's packages for an architecture are built with CUDA; those for Arm are not."""
    return architecture in (None, "x86_64", "amd64")


def locked_build(architecture: str | None) -> CudaBuild:
    """Return the CUDA build of harness's GPU image for an architecture; without CUDA if there is no such image."""
    return LOCKED_BUILD if has_packages(architecture) else CudaBuild()


def read_build(info: object) -> CudaBuild | None:
    """Parse the result of ``get_build_info()``; None if it is not valid."""
    if not isinstance(info, Mapping) or not isinstance(info.get("is_cuda_build"), bool):
        return None
    if not info["is_cuda_build"]:
        return CudaBuild()
    names = {"cuda": "cuda_version", "cudnn": "cudnn_version", "architectures": "cuda_compute_capabilities"}
    said = {field: info[name] for field, name in names.items() if info.get(name)}
    try:
        build = CudaBuild.model_validate(said)
    except ValidationError:
        return None
    return build if build.cuda else None


def parse_architecture(word: str) -> Architecture | None:
    """Parse ``sm_89``, ``compute_90``, ``sm_90a``, or ``8.9`` (binary code and PTX); None for anything else."""
    found = _ARCHITECTURE.fullmatch(word.strip())
    if found is None:
        return None
    kind, major, minor, alone = found.groups()
    return Architecture(Capability(int(major), int(minor)), kind != "sm", bool(alone))


def parse_capability(text: str | None) -> Capability | None:
    """Parse ``8.9``; None for anything else."""
    found = _CAPABILITY.fullmatch((text or "").strip())
    return Capability(int(found[1]), int(found[2])) if found else None


_NAMES = (
    (r"GB10\b", "12.1"),
    (r"RTX PRO \d+ .*Blackwell|RTX 50[5-9]0", "12.0"),
    (r"B300|GB300", "10.3"),
    (r"B100|B200|GB200", "10.0"),
    (r"H100|H200|H800|H20|GH200", "9.0"),
    (r"L4|L40S?|L20|RTX 40[5-9]0|RTX \d{4} .*Ada", "8.9"),
    (r"A2|A10G?|A16|A40|RTX A\d{3,4}|RTX 30[5-9]0", "8.6"),
    (r"A100|A800|A30", "8.0"),
    (r"T4G?|T[46]00|T1000|T2000|GTX 16[3-6]0|RTX 20[5-8]0|TITAN RTX|Quadro RTX \d{4}", "7.5"),
    (r"V100S?|TITAN V|Quadro GV100", "7.0"),
    (r"P4|P40|GTX 10[1-8]0|TITAN Xp|TITAN X \(Pascal\)|Quadro P\d{3,4}", "6.1"),
    (r"P100|Quadro GP100", "6.0"),
    (r"M4|M40|M60|GTX 9[5-8]0|GTX TITAN X|Quadro M\d{4}", "5.2"),
    (r"K80", "3.7"),
    (r"K20\w*|K40\w*|GTX TITAN", "3.5"),
)


def capability_of(name: str) -> str | None:
    """Return the compute capability of a GPU by its name, for drivers too old to report it; None if unknown.

    From NVIDIA's list (developer.nvidia.com/cuda-gpus).
    """
    plain = re.sub(r"\s+", " ", name.replace("-", " "))
    return next((found for words, found in _NAMES if re.search(rf"(?<!\w)(?:{words})(?!\w)", plain)), None)

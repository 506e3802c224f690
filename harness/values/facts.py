"""Facts: properties of a host, read anew each time. They never include its name."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from harness.values.digest import digest_of
from harness.values.text import without_codes

_Text = Annotated[str, AfterValidator(lambda text: without_codes(text, 300))]
_Path = Annotated[str, Field(max_length=4096)]
_Bytes = Annotated[int, Field(ge=0, le=2**63)]
_Id = Annotated[int, Field(ge=0, lt=2**32)]

MOST_CPUS = 65536
MOST_GPUS = 256


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GpuFacts(_Frozen):
    """A GPU as its driver describes it. ``capability`` is its compute capability, as ``8.9``."""

    name: _Text
    memory_bytes: _Bytes | None = None
    driver: _Text | None = None
    uuid: _Text | None = None
    capability: Annotated[str, Field(pattern=r"^\d{1,2}\.\d$")] | None = None


class DiskFacts(_Frozen):
    """The disk of a folder for caches or data.

    ``kind``: ``nvme``, ``ssd``, ``hdd``, ``virtual``, ``network``, ``memory`` or ``unknown``.
    """

    path: _Path
    filesystem: _Text | None = None
    device: _Text | None = None
    kind: _Text = "unknown"
    total_bytes: _Bytes | None = None
    free_bytes: _Bytes | None = None
    is_writable: bool | None = None


class Facts(_Frozen):
    """The facts of a host at one moment; None for what could not be read. Sizes are in bytes.

    Text is shortened and has no control characters; numbers have bounds.

    ``disks``: ``scratch``, ``images`` (where the engine keeps them), those of the inventory by name, and ``data:NAME``.
    ``silent_gpus``: NVIDIA devices on the PCI bus (``vendor:device``) whose driver does not answer.
    ``nvidia_runtime``: how containers get GPUs: ``runtime``, ``cdi``, or both joined by a comma.
    ``clock_offset_s``: the host's clock minus the controller's, in seconds, as far as they certainly differ.
    ``lingers``: this user's processes survive the last logout; None if no systemd would end them.
    ``kills_at_logout``: otherwise even processes outside the login session are ended (``KillUserProcesses``).
    ``others``: facts that are only shown, by label.
    """

    cpu_model: _Text | None = None
    architecture: _Text | None = None
    logical_cpus: Annotated[int, Field(ge=0, le=MOST_CPUS)] | None = None
    usable_cpus: Annotated[tuple[Annotated[int, Field(ge=0, lt=MOST_CPUS)], ...], Field(max_length=MOST_CPUS)] = ()
    ram_bytes: _Bytes | None = None
    available_bytes: _Bytes | None = None
    swap_bytes: _Bytes | None = None
    os: _Text | None = None
    kernel: _Text | None = None
    cgroup_version: Annotated[int, Field(ge=1, le=2)] | None = None
    disks: dict[str, DiskFacts] = {}
    gpus: Annotated[tuple[GpuFacts, ...], Field(max_length=MOST_GPUS)] = ()
    silent_gpus: Annotated[tuple[_Text, ...], Field(max_length=MOST_GPUS)] = ()
    nvidia_runtime: _Text | None = None
    governor: _Text | None = None
    turbo: bool | None = None
    boot_id: _Text | None = None
    load_1m: Annotated[float, Field(ge=0, lt=1e9)] | None = None
    uid: _Id | None = None
    gid: _Id | None = None
    lingers: bool | None = None
    kills_at_logout: bool | None = None
    clock_offset_s: Annotated[float, Field(allow_inf_nan=False)] | None = None
    read_at: _Text | None = None
    others: dict[str, _Text | int | float | bool | None] = {}

    @property
    def hardware(self) -> str:
        """The key by which reports group hosts: CPU, cores, RAM (whole GB), GPUs and kind of the scratch disk."""
        return hardware_label(self) + " #" + digest_of(hardware_parts(self))[:6]


def hardware_parts(facts: Facts) -> dict[str, object]:
    """Return the facts that determine a host's hardware group; drivers and kernels do not count."""
    scratch = facts.disks.get("scratch")
    return {
        "cpu": facts.cpu_model,
        "cores": facts.logical_cpus,
        "ram_gb": None if facts.ram_bytes is None else round(facts.ram_bytes / 1e9),
        "gpus": [[gpu.name, None if gpu.memory_bytes is None else round(gpu.memory_bytes / 1e9)] for gpu in facts.gpus],
        "disk": scratch.kind if scratch else "unknown",
    }


def hardware_label(facts: Facts) -> str:
    """Return the hardware of a host in words, as in the headings of reports."""
    parts = hardware_parts(facts)
    gpus = ", ".join(gpu.name for gpu in facts.gpus) or "no GPU"
    ram = "? GB" if parts["ram_gb"] is None else f"{parts['ram_gb']} GB"
    return (
        f"{facts.cpu_model or 'unknown CPU'}, {facts.logical_cpus or '?'} CPUs, {ram} RAM, {gpus}, {parts['disk']} disk"
    )

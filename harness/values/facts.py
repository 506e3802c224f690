"""Facts: what a host *is*, read afresh each time; never its name."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from harness.values.digest import digest_of


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GpuFacts(_Frozen):
    """One GPU as its driver names it."""

    name: str
    memory_bytes: int | None = None
    driver: str | None = None
    uuid: str | None = None


class DiskFacts(_Frozen):
    """Where caches or data live.

    ``kind``: ``nvme``, ``ssd``, ``hdd``, ``virtual``, ``network``, ``memory`` or ``unknown``.
    """

    path: str
    filesystem: str | None = None
    device: str | None = None
    kind: str = "unknown"
    total_bytes: int | None = None
    free_bytes: int | None = None
    is_writable: bool | None = None


class Facts(_Frozen):
    """A host at one moment; None is what could not be read. Memory and disks in bytes.

    ``disks``: ``scratch``, ``images`` (the Docker Engine's), those of the inventory by name, and ``data:NAME``.
    ``silent_gpus``: NVIDIA devices on the PCI bus (``vendor:device``) whose driver does not answer.
    ``nvidia_runtime``: how containers get GPUs: ``runtime``, ``cdi``, or both joined by a comma.
    ``clock_offset_s``: the host's clock minus the controller's, as far as it certainly differs.
    ``others``: facts that are only shown, by their labels.
    """

    cpu_model: str | None = None
    architecture: str | None = None
    logical_cpus: int | None = None
    usable_cpus: tuple[int, ...] = ()
    ram_bytes: int | None = None
    available_bytes: int | None = None
    swap_bytes: int | None = None
    os: str | None = None
    kernel: str | None = None
    cgroup_version: int | None = None
    disks: dict[str, DiskFacts] = {}
    gpus: tuple[GpuFacts, ...] = ()
    silent_gpus: tuple[str, ...] = ()
    nvidia_runtime: str | None = None
    governor: str | None = None
    turbo: bool | None = None
    boot_id: str | None = None
    load_1m: float | None = None
    uid: int | None = None
    gid: int | None = None
    clock_offset_s: float | None = None
    read_at: str | None = None
    others: dict[str, str | int | float | bool | None] = {}

    @property
    def hardware(self) -> str:
        """What the report groups by: CPU, cores, RAM (rounded to whole GB), GPUs and the class of the scratch disk."""
        return hardware_label(self) + " #" + digest_of(hardware_parts(self))[:6]


def hardware_parts(facts: Facts) -> dict[str, object]:
    """The facts that make two hosts the same kind of machine; drivers and kernels are not among them."""
    scratch = facts.disks.get("scratch")
    return {
        "cpu": facts.cpu_model,
        "cores": facts.logical_cpus,
        "ram_gb": None if facts.ram_bytes is None else round(facts.ram_bytes / 1e9),
        "gpus": [[gpu.name, None if gpu.memory_bytes is None else round(gpu.memory_bytes / 1e9)] for gpu in facts.gpus],
        "disk": scratch.kind if scratch else "unknown",
    }


def hardware_label(facts: Facts) -> str:
    """The same in words, as the report's headings say it."""
    parts = hardware_parts(facts)
    gpus = ", ".join(gpu.name for gpu in facts.gpus) or "no GPU"
    ram = "? GB" if parts["ram_gb"] is None else f"{parts['ram_gb']} GB"
    return (
        f"{facts.cpu_model or 'unknown CPU'}, {facts.logical_cpus or '?'} CPUs, {ram} RAM, {gpus}, {parts['disk']} disk"
    )

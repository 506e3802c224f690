"""What a Docker Engine says of itself, read into facts: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.analysis.findings import find
from harness.engine.interface import EngineFacts
from harness.values.record import Finding

_NVIDIA = "nvidia.com/gpu"


def engine_facts(
    name: str, version: Mapping[str, Any], info: Mapping[str, Any], *, api_version: str | None, image_digest: str | None
) -> EngineFacts:
    """Facts out of ``GET /version`` and ``GET /info``."""
    can_limit_memory = bool(info.get("MemoryLimit"))
    can_limit_swap = bool(info.get("SwapLimit"))
    can_limit_cpus = bool(info.get("CPUSet"))
    reasons = []
    if not can_limit_memory:
        reasons.append("the kernel gives Docker no memory controller: boot with cgroup_enable=memory")
    if not can_limit_cpus:
        reasons.append("the kernel gives Docker no cpuset controller")
    return EngineFacts(
        engine=name,
        version=str(version.get("Version") or info.get("ServerVersion") or "unknown"),
        image_digest=image_digest,
        api_version=api_version,
        cgroup_version=_number(info.get("CgroupVersion")) or 1,
        can_limit_memory=can_limit_memory,
        can_limit_swap=can_limit_swap,
        can_limit_cpus=can_limit_cpus,
        storage=storage_of(info),
        gpu_support=gpu_support(info),
        reasons=tuple(reasons),
        findings=_findings(info, can_limit_swap=can_limit_swap),
    )


def storage_of(info: Mapping[str, Any]) -> str:
    """The storage driver, and which of the two image stores: they do not agree on image IDs."""
    status = {str(row[0]): str(row[1]) for row in info.get("DriverStatus") or () if len(row) == 2}
    is_containerd = status.get("driver-type", "").startswith("io.containerd.snapshotter")
    return f"{info.get('Driver') or 'unknown'} ({'containerd' if is_containerd else 'classic'} image store)"


def gpu_support(info: Mapping[str, Any]) -> str | None:
    """``nvidia`` (its runtime is registered), ``cdi`` (the daemon found NVIDIA devices itself), or None.

    CDI is on by default in new engines, so that its folders prove nothing: only devices do.
    """
    if "nvidia" in (info.get("Runtimes") or {}):
        return "nvidia"
    devices = [str(device.get("ID")) for device in info.get("DiscoveredDevices") or () if isinstance(device, Mapping)]
    return "cdi" if any(device.startswith(_NVIDIA) for device in devices) else None


def _findings(info: Mapping[str, Any], *, can_limit_swap: bool) -> tuple[Finding, ...]:
    findings = []
    if not can_limit_swap:
        findings.append(
            find(
                "no-swap-accounting",
                "this kernel does not account swap: a job under a memory limit may use swap unseen",
                "boot with swapaccount=1, or turn swap off",
            )
        )
    if any("rootless" in str(option) for option in info.get("SecurityOptions") or ()):
        findings.append(
            find(
                "rootless-docker",
                "Docker runs rootless: users inside a container are others outside, limits need delegation",
                "use the system's Docker Engine, or `engine: process`",
            )
        )
    return tuple(findings)


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, (int, str)) and str(value).isdigit() else None

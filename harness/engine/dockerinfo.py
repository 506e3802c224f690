"""What a Docker Engine answers, read into facts: of itself, of its images and of its containers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict, cast

from harness.analysis.findings import find
from harness.engine.container import LABEL_MEMORY, LABEL_WARNINGS, read_list_label
from harness.engine.interface import JobPhase, JobState
from harness.values.engine_names import EngineFacts
from harness.values.record import Finding

if TYPE_CHECKING:
    from docker.api.client import APIClient

_NVIDIA = "nvidia.com/gpu"
_PHASES: dict[str, JobPhase] = {
    "created": "created",
    "running": "running",
    "paused": "running",
    "restarting": "running",
    "removing": "gone",
    "exited": "exited",
    "dead": "exited",
}
_NEVER = "0001-01-01T00:00:00Z"


class EngineInfo(TypedDict, total=False):
    """What is read of ``GET /info``; engines write null for an empty list."""

    ServerVersion: str
    CgroupVersion: str
    MemoryLimit: bool
    SwapLimit: bool
    CPUSet: bool
    Driver: str
    DriverStatus: Sequence[Sequence[str]] | None
    DockerRootDir: str
    Runtimes: Mapping[str, object] | None
    DiscoveredDevices: Sequence[Mapping[str, str]] | None
    SecurityOptions: Sequence[str] | None


class Config(TypedDict, total=False):
    """The settings of an image, or of a container."""

    Env: Sequence[str] | None
    Cmd: Sequence[str] | None
    User: str
    Labels: Mapping[str, str] | None


class RootFS(TypedDict, total=False):
    """The layers of an image, from the lowest on, by the digests of their contents."""

    Layers: Sequence[str] | None


class Image(TypedDict, total=False):
    """What is read of ``GET /images/NAME/json``."""

    Config: Config | None
    RootFS: RootFS
    Architecture: str
    RepoTags: Sequence[str] | None
    Size: int


class State(TypedDict, total=False):
    """What a container does, or how it ended."""

    Status: str
    ExitCode: int
    OOMKilled: bool
    Error: str
    StartedAt: str
    FinishedAt: str


class HostConfig(TypedDict, total=False):
    """The limits of a container."""

    Memory: int


class Container(TypedDict, total=False):
    """What is read of ``GET /containers/ID/json``."""

    Id: str
    State: State
    Config: Config
    HostConfig: HostConfig


class Created(TypedDict):
    """The answer to ``POST /containers/create``."""

    Id: str
    Warnings: Sequence[str] | None


def read_info(client: APIClient) -> EngineInfo:
    """Ask an engine what it is. Raises what the client raises."""
    return cast(EngineInfo, client.info())


def inspect_image(client: APIClient, reference: str) -> Image:
    """Ask an engine for one image. Raises what the client raises."""
    return cast(Image, client.inspect_image(reference))  # type: ignore[no-untyped-call]  # stub lacks types


def seek_image(client: APIClient, reference: str) -> Image | None:
    """Ask an engine for one image; None where it has it not."""
    from docker.errors import NotFound

    try:
        return inspect_image(client, reference)
    except NotFound:
        return None


def create_container(client: APIClient, body: Mapping[str, object], name: str) -> Created:
    """Have an engine make a container. Raises what the client raises."""
    created = client.create_container_from_config(body, name)  # type: ignore[no-untyped-call]  # stub lacks types
    return cast(Created, created)


def labels_in(inspected: Image | Container) -> Mapping[str, str]:
    """Return the labels of an image or a container."""
    return (inspected.get("Config") or {}).get("Labels") or {}


def image_digest(inspected: Image) -> str:
    """Return what an image *is*, on any image store: SHA-256 in hex over layers, Env, Cmd, User and architecture.

    An image's ID is the digest of its configuration on one store and of its manifest on
    the other; these five are what both say alike, and what decides how a program behaves in it.
    """
    config = inspected.get("Config") or {}
    root = inspected.get("RootFS") or {}
    parts = {
        "layers": list(root.get("Layers") or ()),
        "env": list(config.get("Env") or ()),
        "cmd": list(config.get("Cmd") or ()),
        "user": config.get("User") or "",
        "architecture": inspected.get("Architecture") or "",
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def engine_facts(
    name: str, version: Mapping[str, object], info: EngineInfo, *, api_version: str | None, image_digest: str | None
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


def storage_of(info: EngineInfo) -> str:
    """The storage driver, and which of the two image stores: they do not agree on image IDs."""
    status = {str(row[0]): str(row[1]) for row in info.get("DriverStatus") or () if len(row) == 2}
    is_containerd = status.get("driver-type", "").startswith("io.containerd.snapshotter")
    return f"{info.get('Driver') or 'unknown'} ({'containerd' if is_containerd else 'classic'} image store)"


def gpu_support(info: EngineInfo) -> str | None:
    """``nvidia`` (its runtime is registered), ``cdi`` (the daemon found NVIDIA devices itself), or None.

    CDI is on by default in new engines, so that its folders prove nothing: only devices do.
    """
    if "nvidia" in (info.get("Runtimes") or {}):
        return "nvidia"
    devices = [str(device.get("ID")) for device in info.get("DiscoveredDevices") or ()]
    return "cdi" if any(device.startswith(_NVIDIA) for device in devices) else None


def _findings(info: EngineInfo, *, can_limit_swap: bool) -> tuple[Finding, ...]:
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


def job_state(inspected: Container) -> JobState:
    """Phase, exit code and evidence out of ``GET /containers/ID/json``.

    ``OOMKilled`` says that something in the container was killed, not that the
    job failed of it: it can be true with exit code 0. What is being removed by
    force shows this state as soon as it is killed: somebody took it, it did not end.
    """
    state = inspected.get("State") or {}
    phase = _PHASES.get(str(state.get("Status")), "exited")
    is_over = phase == "exited"
    return JobState(
        phase=phase,
        exit_code=state.get("ExitCode") if is_over else None,
        oom_killed=state.get("OOMKilled"),
        error=state.get("Error") or None,
        started_at=_time(state.get("StartedAt")),
        finished_at=_time(state.get("FinishedAt")) if is_over else None,
        warnings=_warnings(inspected),
    )


def _time(text: str | None) -> str | None:
    return None if not text or text == _NEVER else text


def _warnings(inspected: Container) -> tuple[str, ...]:
    """What the daemon said when the container was created, and a limit that is not what was asked."""
    labels = labels_in(inspected)
    warnings = read_list_label(labels, LABEL_WARNINGS)
    asked = labels.get(LABEL_MEMORY)
    has = (inspected.get("HostConfig") or {}).get("Memory")
    if asked is not None and has is not None and str(has) != asked:
        warnings += (f"The memory limit of the container is {has} instead of {asked} bytes. Limitation discarded.",)
    return warnings

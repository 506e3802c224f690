"""Parse the answers of a Docker Engine about itself, its images and its containers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_pascal

from harness.bench.protocol import bounded_json
from harness.engine.container import LABEL_MEMORY, LABEL_WARNINGS, read_list_label
from harness.engine.interface import LABEL_PREFIX, JobPhase, JobState
from harness.hosts.answers import Unreadable
from harness.values.cuda import CudaBuild, read_build
from harness.values.engine_names import EngineFacts
from harness.values.text import without_codes

if TYPE_CHECKING:
    from docker.api.client import APIClient

LABEL_TENSORFLOW = f"{LABEL_PREFIX}tensorflow"
"""Label of an image: the result of ``tf.sysconfig.get_build_info()`` in it, as JSON."""
_NVIDIA = "nvidia.com/gpu"
_PHASES: dict[str, JobPhase] = {  # states of Docker, and those that only Podman has
    "created": "created",
    "configured": "created",
    "initialized": "created",
    "running": "running",
    "paused": "running",
    "restarting": "running",
    "removing": "gone",
    "stopping": "running",
    "stopped": "exited",
    "exited": "exited",
    "dead": "exited",
}
_NEVER = "0001-01-01T00:00:00Z"
DELEGATE = (
    "delegate the controllers to the user: `sudo systemctl edit user@.service`, [Service] Delegate=cpu cpuset io "
    "memory pids, then log in again"
)
"""The cure where a rootless engine has no controllers under cgroup version 2."""
_PODMAN = "Podman Engine"


_Text = Annotated[str, AfterValidator(lambda text: without_codes(text, 4096))]
_Count = Annotated[int, Field(ge=0, le=2**63)]
_Labels = Annotated[dict[str, str], Field(max_length=1000)]


class _Answer(BaseModel):
    """Base of the models of an engine's answers: unknown fields are ignored, and null counts as absent."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_pascal, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        return {key: one for key, one in value.items() if one is not None} if isinstance(value, dict) else value


class Component(_Answer):
    """A program that an engine consists of."""

    name: _Text = ""


class EngineVersion(_Answer):
    """The answer to ``GET /version``."""

    version: _Text = ""
    api_version: _Text = ""
    min_api_version: _Text = Field("", alias="MinAPIVersion")
    components: tuple[Component, ...] = ()

    @property
    def is_podman(self) -> bool:
        """Return whether the engine is Podman, which serves Docker's API, too."""
        return any(component.name == _PODMAN for component in self.components)


class Device(_Answer):
    """A device that the daemon discovered."""

    id: _Text = Field("", alias="ID")


class EngineInfo(_Answer):
    """The answer to ``GET /info``."""

    server_version: _Text = ""
    cgroup_version: Annotated[int, Field(ge=1, le=2)] = 1
    memory_limit: bool = False
    swap_limit: bool = False
    can_limit_cpus: bool = Field(False, alias="CPUSet")
    driver: _Text = ""
    driver_status: tuple[tuple[_Text, ...], ...] = ()
    docker_root_dir: _Text = ""
    runtimes: dict[str, object] = {}
    discovered_devices: tuple[Device, ...] = ()
    security_options: tuple[_Text, ...] = ()

    @property
    def is_rootless(self) -> bool:
        """Return whether Docker runs without root."""
        return any("rootless" in option for option in self.security_options)


class Settings(_Answer):
    """The settings of an image, or of a container."""

    env: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str = ""
    labels: _Labels = {}


class RootFS(_Answer):
    """The layers of an image, lowest first, as the digests of their contents."""

    layers: tuple[str, ...] = ()


class Image(_Answer):
    """The answer to ``GET /images/NAME/json``."""

    id: str = ""
    settings: Settings = Field(Settings(), alias="Config")
    root: RootFS = Field(RootFS(), alias="RootFS")
    architecture: str = ""
    repo_tags: tuple[str, ...] = ()
    repo_digests: tuple[str, ...] = ()
    size: _Count = 0


class State(_Answer):
    """The state of a container, and how it ended."""

    status: _Text = ""
    exit_code: Annotated[int, Field(ge=-(2**31), lt=2**32)] | None = None
    is_oom_killed: bool | None = Field(None, alias="OOMKilled")
    error: _Text = ""
    started_at: _Text = ""
    finished_at: _Text = ""


class HostConfig(_Answer):
    """The limits of a container."""

    memory: _Count | None = None


class Container(_Answer):
    """The answer to ``GET /containers/ID/json``."""

    id: str
    state: State = State()
    settings: Settings = Field(Settings(), alias="Config")
    limits: HostConfig = Field(HostConfig(), alias="HostConfig")


class Created(_Answer):
    """The answer to ``POST /containers/create``."""

    id: str
    warnings: tuple[_Text, ...] = ()


class Listed(_Answer):
    """An entry of ``GET /containers/json`` or of ``GET /images/json``."""

    id: str
    labels: _Labels = {}


class ListedImage(Listed):
    """An entry of ``GET /images/json`` with the names and the size of the image."""

    repo_tags: tuple[_Text, ...] = ()
    size: _Count = 0


_A = TypeVar("_A", bound=BaseModel)


def read_answer(kind: type[_A], said: object, what: str) -> _A:
    """Validate an engine's answer as a model; ``what`` names it in errors. Raises Unreadable."""
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, fault["loc"])) or "the whole answer"
        raise Unreadable(f"{what} cannot be parsed ({where}: {fault['msg']})", said) from error


def read_list(kind: type[_A], said: object, what: str) -> list[_A]:
    """Validate a list of answers as models. Raises Unreadable."""
    if not isinstance(said, list):
        raise Unreadable(f"{what} is not a list", said)
    return [read_answer(kind, one, what) for one in said]


def read_version(client: APIClient) -> EngineVersion:
    """Return an engine's version. Raises Unreadable, and what the client raises."""
    return read_answer(EngineVersion, client.version(), "its version")


def read_info(client: APIClient) -> EngineInfo:
    """Return an engine's description of itself. Raises Unreadable, and what the client raises."""
    return read_answer(EngineInfo, client.info(), "its answer to GET /info")


def inspect_image(client: APIClient, reference: str) -> Image:
    """Return an engine's description of an image. Raises Unreadable, and what the client raises."""
    said = client.inspect_image(reference)  # type: ignore[no-untyped-call]  # stub lacks types
    return read_answer(Image, said, f"the image {reference}")


def seek_image(client: APIClient, reference: str) -> Image | None:
    """Return an engine's description of an image; None where the engine does not have it."""
    from docker.errors import NotFound

    try:
        return inspect_image(client, reference)
    except NotFound:
        return None


def list_image_ids(client: APIClient) -> list[str]:
    """Return the ids of all images of an engine, each once."""
    return list(dict.fromkeys(one.id for one in read_list(Listed, client.images(all=True), "its list of images")))


def list_images(client: APIClient, *, label: str | None = None, reference: str | None = None) -> list[ListedImage]:
    """Return the images with a label or a name. Raises Unreadable, and what the client raises."""
    filters = {key: value for key, value in (("label", label), ("reference", reference)) if value is not None}
    return read_list(ListedImage, client.images(filters=filters), "its list of images")


def inspect_container(client: APIClient, name: str) -> Container:
    """Return an engine's description of a container. Raises Unreadable, and what the client raises."""
    return read_answer(Container, client.inspect_container(name), f"the container {name}")


def list_containers(client: APIClient, labels: Sequence[str]) -> list[Listed]:
    """Return the containers with these labels, running or not. Raises Unreadable, and what the client raises."""
    found = client.containers(all=True, filters={"label": list(labels)})
    return read_list(Listed, found, "its list of containers")


def create_container(client: APIClient, body: Mapping[str, object], name: str) -> Created:
    """Create a container. Raises Unreadable, and what the client raises."""
    created = client.create_container_from_config(body, name)  # type: ignore[no-untyped-call]  # stub lacks types
    return read_answer(Created, created, "its answer to the create request")


def image_digest(inspected: Image) -> str:
    """Return the identity of an image: SHA-256 in hex over layers, Env, Cmd, User and architecture.

    An image's ID is the digest of its configuration in Docker's classic image store and of its manifest in
    containerd's. Both stores report these five values alike, and they decide how a program behaves in the image.
    """
    settings = inspected.settings
    parts = {
        "layers": list(inspected.root.layers),
        "env": list(settings.env),
        "cmd": list(settings.cmd),
        "user": settings.user,
        "architecture": inspected.architecture,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def cuda_of(inspected: Image) -> CudaBuild | None:
    """Return the CUDA build of an image's TensorFlow from its label; None where the label is absent or unreadable."""
    try:
        return read_build(bounded_json.parse(inspected.settings.labels.get(LABEL_TENSORFLOW) or "{}"))
    except bounded_json.Unreadable:
        return None


def engine_facts(
    name: str,
    version: EngineVersion,
    info: EngineInfo,
    *,
    api_version: str | None,
    image: Image | None,
    controllers: Collection[str] | None = None,
) -> EngineFacts:
    """Return an engine's facts from ``GET /version`` and ``GET /info``; ``image`` None where the engine lacks it.

    ``controllers`` are those that systemd delegates to the user of a rootless Docker, which reports those of the whole
    machine; None where they are not known.
    """
    if controllers is not None:
        can_memory, can_cpus = (one in controllers for one in ("memory", "cpuset"))
        limits = {"memory_limit": can_memory, "swap_limit": can_memory and info.swap_limit, "can_limit_cpus": can_cpus}
        info = info.model_copy(update=limits)
    reasons = []
    who = "rootless Docker" if info.is_rootless else "Docker"
    if not info.memory_limit:
        reasons.append(f"{who} has no memory controller under cgroup version {info.cgroup_version}")
    if not info.can_limit_cpus:
        reasons.append(f"{who} has no cpuset controller")
    return EngineFacts(
        engine=name,
        version=version.version or info.server_version or "unknown",
        image_digest=None if image is None else image_digest(image),
        api_version=api_version,
        cgroup_version=info.cgroup_version,
        can_limit_memory=info.memory_limit,
        can_limit_swap=info.swap_limit,
        can_limit_cpus=info.can_limit_cpus,
        storage=storage_of(info),
        folder=info.docker_root_dir if info.docker_root_dir.startswith("/") else None,
        gpu_support=gpu_support(info),
        cuda=None if image is None else cuda_of(image),
        ends_with_user=info.is_rootless,
        reasons=tuple(reasons),
        limit_cure=DELEGATE if info.is_rootless else "",
    )


def storage_of(info: EngineInfo) -> str:
    """Return the storage driver and the image store: image IDs differ between the classic and containerd's store."""
    status = {row[0]: row[1] for row in info.driver_status if len(row) == 2}
    is_containerd = status.get("driver-type", "").startswith("io.containerd.snapshotter")
    return f"{info.driver or 'unknown'} ({'containerd' if is_containerd else 'classic'} image store)"


def gpu_support(info: EngineInfo) -> str | None:
    """Return ``nvidia`` (NVIDIA's runtime is registered), ``cdi`` (the daemon discovered NVIDIA devices), or None.

    CDI is enabled by default in new engines, so its folders prove nothing; only discovered devices do.
    """
    if "nvidia" in info.runtimes:
        return "nvidia"
    return "cdi" if any(device.id.startswith(_NVIDIA) for device in info.discovered_devices) else None


def job_state(inspected: Container) -> JobState:
    """Return a job's phase, exit code and evidence from ``GET /containers/ID/json``. Raises Unreadable.

    ``OOMKilled`` means that some process in the container was killed, not that the job failed: it can be true with
    exit code 0. A container that is being removed by force has the state ``removing``: the job is then gone, not ended.
    """
    state = inspected.state
    phase = _PHASES.get(state.status)
    if phase is None:
        raise Unreadable(f"the state of the container {inspected.id[:80]} is unknown", state.status)
    is_over = phase == "exited"
    return JobState(
        phase=phase,
        exit_code=state.exit_code if is_over else None,
        oom_killed=state.is_oom_killed,
        error=state.error or None,
        started_at=_time(state.started_at),
        finished_at=_time(state.finished_at) if is_over else None,
        warnings=_warnings(inspected),
    )


def _time(text: str) -> str | None:
    return None if not text or text == _NEVER else text


def _warnings(inspected: Container) -> tuple[str, ...]:
    """Return the daemon's warnings at creation, and one for a memory limit that differs from the requested one."""
    labels = inspected.settings.labels
    warnings = read_list_label(labels, LABEL_WARNINGS)
    asked = labels.get(LABEL_MEMORY)
    has = inspected.limits.memory
    if asked is not None and has is not None and str(has) != asked:
        warnings += (f"The memory limit of the container is {has} instead of {asked} bytes. Limitation discarded.",)
    return warnings

"""Parse Podman's description of itself in its own API, which unlike Docker's reports what a user may limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from harness.engine.dockerinfo import (
    DELEGATE,
    Created,
    EngineInfo,
    EngineVersion,
    Image,
    cuda_of,
    image_digest,
    read_answer,
)
from harness.values.engine_names import EngineFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker.api.client import APIClient

OLDEST = 4
"""The oldest major version with the API that is used here."""

_API = "v4.0.0/libpod"
_V1_CURE = (
    "boot with cgroup version 2 (kernel parameter `systemd.unified_cgroup_hierarchy=1`), or use the system's Podman: "
    "run as root, or let root start podman.socket for this user"
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class _Security(_Part):
    rootless: bool = False


class _Host(_Part):
    cgroup_version: str = Field("", alias="cgroupVersion")
    controllers: tuple[str, ...] = Field((), alias="cgroupControllers")
    security: _Security = _Security()


class _Store(_Part):
    driver: str = Field("", alias="graphDriverName")
    folder: str = Field("", alias="graphRoot")


class PodmanInfo(_Part):
    """The answer to ``GET /libpod/info``."""

    host: _Host = _Host()
    store: _Store = _Store()

    @property
    def is_rootless(self) -> bool:
        """Return whether Podman runs without root."""
        return self.host.security.rootless

    @property
    def can_limit_cpus(self) -> bool:
        """Return whether jobs can be limited to certain CPUs."""
        return "cpuset" in self.host.controllers


def read_podman_info(client: APIClient) -> PodmanInfo:
    """Return Podman's description of itself. Raises Unreadable, and what the client raises."""
    answer = client.get(f"{client.base_url}/{_API}/info", timeout=client.timeout)
    client._raise_for_status(answer)  # type: ignore[attr-defined]  # noqa: SLF001 - stub lacks it
    return read_answer(PodmanInfo, answer.json(), "Podman's answer to GET /libpod/info")


def create_podman_container(client: APIClient, body: Mapping[str, object]) -> Created:
    """Create a container. Raises Unreadable, and what the client raises."""
    answer = client.post(f"{client.base_url}/{_API}/containers/create", json=body, timeout=client.timeout)
    client._raise_for_status(answer)  # type: ignore[attr-defined]  # noqa: SLF001 - stub lacks it
    return read_answer(Created, answer.json(), "its answer to the create request")


def podman_facts(
    name: str,
    version: EngineVersion,
    info: EngineInfo,
    podman: PodmanInfo,
    *,
    api_version: str | None,
    image: Image | None,
    gpu_support: str | None,
) -> EngineFacts:
    """Return Podman's facts from its answers in both APIs."""
    group = 2 if podman.host.cgroup_version == "v2" else 1
    who = "rootless Podman" if podman.is_rootless else "Podman"
    can_limit = "memory" in podman.host.controllers
    reasons = []
    if not can_limit:
        reasons.append(f"{who} has no memory controller under cgroup version {group}")
    if not podman.can_limit_cpus:
        reasons.append(f"{who} has no cpuset controller")
    # Podman looks for swap's limit at the root of the hierarchy, where version 2 has none of any kind.
    can_limit_swap = can_limit and (info.swap_limit or group == 2)
    return EngineFacts(
        engine=name,
        version=version.version or "unknown",
        image_digest=None if image is None else image_digest(image),
        cuda=None if image is None else cuda_of(image),
        api_version=api_version,
        cgroup_version=group,
        can_limit_memory=can_limit,
        can_limit_swap=can_limit_swap,
        can_limit_cpus=podman.can_limit_cpus,
        storage=podman.store.driver or None,
        folder=podman.store.folder if podman.store.folder.startswith("/") else None,
        gpu_support=gpu_support,
        ends_with_user=podman.is_rootless,
        reasons=tuple(reasons),
        limit_cure=(_V1_CURE if group == 1 else DELEGATE) if podman.is_rootless else "boot with `cgroup_enable=memory`",
    )

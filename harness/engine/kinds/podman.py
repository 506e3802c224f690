"""The ``podman`` engine: it runs each job in a fresh container of Podman, with root or rootless.

Jobs are isolated as with ``docker``. Containers are created through Podman's own API; states, archives and images are
requested through its copy of Docker's API.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from harness.engine.container import Owner
from harness.engine.daemon_words import PODMAN
from harness.engine.dockerinfo import Created, read_info, read_version, seek_image
from harness.engine.interface import Engine, JobHandle, JobRequest, JobState
from harness.engine.kinds.docker import DockerEngine
from harness.engine.podman_container import build_podman_create, find_gpu_names, name_devices, parse_ulimits
from harness.engine.podman_info import OLDEST, create_podman_container, podman_facts, read_podman_info
from harness.engine.spec import EngineSpec, Means
from harness.hosts.local import LocalConnection
from harness.values.engine_names import EngineFacts, EngineWords
from harness.values.errors import EngineAbsent, EngineError, EngineUnavailable, ImageUnavailable, JobGone, JobRefused

if TYPE_CHECKING:
    from docker.api.client import APIClient

    from harness.engine.podman_dial import PodmanDialer
    from harness.hosts.ssh import SSHConnection

NAME = "podman"
_T = TypeVar("_T")
_RACES, _RACE_S = 10, 0.2
_IN_BETWEEN = ("no such container", "/ns/mnt: no such file", "came as a broken archive")
"""Parts of the errors for a container that ends or is removed during a request, and for the archive cut off by that."""
_CDI = "cat /etc/cdi/* /var/run/cdi/* 2>/dev/null; :"
_GENERATE = "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
_GENERATE_BOTH = f"{_GENERATE} --device-name-strategy=index --device-name-strategy=uuid"


class PodmanEngine(DockerEngine):
    """The Podman of one host; implements ``harness.engine.interface.ImageEngine``."""

    name = NAME
    spoken = PODMAN

    def probe(self, image: str) -> EngineFacts:
        """Return what Podman is and can do here. Raises EngineUnavailable with a cure, EngineAbsent without Podman."""
        with self._asking() as client:
            version, info, podman = read_version(client), read_info(client), read_podman_info(client)
            found = seek_image(client, image) if image else None
            api_version = client.api_version
        major = version.version.split(".")[0]
        if not version.is_podman or not major.isdigit() or int(major) < OLDEST:
            message = f"Podman {version.version or 'of unknown version'} answers, but {OLDEST}.0 or newer is needed"
            raise EngineUnavailable(message, where=self.host, hint="install a newer one, or use another engine")
        return podman_facts(
            self.name,
            version,
            info,
            podman,
            api_version=api_version,
            image=found,
            gpu_support="cdi" if self._gpu_names() else None,
        )

    def poll(self, handles: Sequence[JobHandle]) -> list[JobState]:
        """Return the states of jobs; ``oom_killed`` is True or None.

        Podman reports false also where a process was killed for memory; then the supervisor's own count decides.
        """
        states = _again(lambda: super(PodmanEngine, self).poll(handles))
        return [replace(state, oom_killed=state.oom_killed or None) for state in states]

    def fetch(self, handle: JobHandle, destination: Path) -> None:
        """Copy the results folder of a job, running or ended. Raises JobGone, ResultsRefused, EngineError."""
        _again(lambda: super(PodmanEngine, self).fetch(handle, destination))

    def list(self, session: str | None = None) -> list[JobHandle]:
        """Return all jobs of this program on the host, or those of one session."""
        return _again(lambda: super(PodmanEngine, self).list(session))

    def _job_owner(self, client: APIClient) -> Owner:
        return self._owner

    def _protects_nested(self, client: APIClient) -> bool:
        return False

    def _post_create(
        self, client: APIClient, request: JobRequest, nested: Collection[str], warnings: Sequence[str]
    ) -> Created:
        image = seek_image(client, request.image)
        if image is None:
            hint = "build it with `harness image build`, or send it with `harness ship`"
            raise ImageUnavailable(f"the image {request.image} is not on this host", where=self.host, hint=hint)
        podman = read_podman_info(client)
        body = build_podman_create(
            request,
            self._owner,
            image=image.id,
            devices=self._name_gpus(request),
            warnings=warnings,
            ulimits=parse_ulimits(self._connection.run(["cat", "/proc/self/limits"]).text),
            is_rootless=podman.is_rootless,
            can_limit_cpus=podman.can_limit_cpus,
        )
        return create_podman_container(client, body)

    def _name_gpus(self, request: JobRequest) -> Sequence[str]:
        """Return the names of a job's GPUs in the host's CDI specification. Raises JobRefused where some have none."""
        if not request.gpus:
            return ()
        devices = name_devices(request.gpus, self._gpu_names())
        if devices is None:
            message = f"the host's CDI specification does not name the GPUs {', '.join(request.gpus)}"
            raise JobRefused(message, where=self.host, hint=f"on the host: {_GENERATE_BOTH}")
        return devices

    def _gpu_names(self) -> frozenset[str]:
        return find_gpu_names(self._connection.run(["sh", "-c", _CDI]).text)


def _again(ask: Callable[[], _T]) -> _T:
    """Repeat a request that failed because a container ended or was removed while Podman inspected it."""
    for _ in range(_RACES):
        try:
            return ask()
        except EngineError as error:
            if isinstance(error, JobGone) or not any(words in error.message for words in _IN_BETWEEN):
                raise
            time.sleep(_RACE_S)
    return ask()


_local_dialers: dict[str, PodmanDialer] = {}
_making = threading.Lock()


def _local_dialer(connection: LocalConnection) -> PodmanDialer:
    """Return the one dialer for this machine, so that this program starts at most one Podman service."""
    from harness.engine.local_streams import LocalStreams
    from harness.engine.podman_dial import PodmanDialer

    with _making:
        return _local_dialers.setdefault(connection.host, PodmanDialer(LocalStreams(connection)))


def _make(means: Means) -> PodmanEngine:
    if isinstance(means.connection, LocalConnection):
        dialer = _local_dialer(means.connection)
    else:
        from harness.engine.podman_dial import PodmanDialer

        dialer = PodmanDialer(cast("SSHConnection", means.connection))
    host, make = means.connection.host, functools.partial(PodmanEngine, uid=means.uid, gid=means.gid)
    return make(host, means.connection, connect=dialer.client, address=dialer.address)


def _may_have_jobs(engine: Engine, _means: Means) -> bool:
    try:
        engine.probe("")
    except EngineAbsent:
        return False
    return True


SPEC = EngineSpec(
    name=NAME,
    rank=20,
    words=EngineWords(
        title="Podman service",
        instead="jobs run in containers of Podman instead",
        image="it is there, identity",
        limit_cure="with root, or with cgroup version 2 and delegated controllers, Podman limits memory",
        evidence="`podman info` (cgroupControllers) on the host",
        gpu_cure=f"`{_GENERATE}`",
        room=PODMAN.room,
    ),
    make=_make,
    may_have_jobs=_may_have_jobs,
    uses_images=True,
    remark=lambda: " (CONTAINER_HOST is set)" if os.environ.get("CONTAINER_HOST") else "",
)

"""The ``docker`` engine: it runs each job in a fresh container of a Docker Engine, in an image of a known identity.

It uses the low-level API, which returns the daemon's warnings.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from harness.bench.launcher.confine import mounts_below, nested_mount
from harness.bench.launcher.removal import REMOVE
from harness.engine import daemon
from harness.engine.container import (
    JOB_FOLDER,
    LABEL_EPHEMERAL,
    LABEL_NAME,
    Owner,
    build_create,
    build_job_archive,
    ephemeral_folders,
    is_ephemeral,
    read_list_label,
)
from harness.engine.daemon_words import DOCKER
from harness.engine.dockerinfo import (
    Created,
    create_container,
    engine_facts,
    gpu_support,
    inspect_container,
    job_state,
    list_containers,
    read_info,
    read_version,
    seek_image,
)
from harness.engine.interface import LABEL_PREFIX, Engine, JobHandle, JobPhase, JobRequest, JobState
from harness.engine.job_archive import extract_results
from harness.engine.refusal import refuse_job
from harness.engine.spec import EngineSpec, Means
from harness.hosts.answers import reading
from harness.hosts.connection import Connection
from harness.values.engine_names import EngineFacts, EngineWords
from harness.values.errors import EngineError, EngineUnavailable, ImageUnavailable, JobGone, JobRefused
from harness.values.text import clean_text

if TYPE_CHECKING:
    from docker.api.client import APIClient

    from harness.hosts.ssh import SSHConnection

_REFUSED = (
    "check that every path that the job mounts exists on this host, and that its CPUs, GPUs and memory match the plan"
)
_REMOVAL_S = 30.0
_RECURSIVE_API = "1.44"
_MOUNTS = 'for s; do printf "%s\\0" "$(readlink -f -- "$s")"; done; cat /proc/self/mountinfo'
_DELEGATED = 'u=$(id -u); cat "/sys/fs/cgroup/user.slice/user-$u.slice/user@$u.service/cgroup.controllers"'

NAME = "docker"


class DockerEngine:
    """The Docker Engine of one host; implements ``harness.engine.interface.ImageEngine``.

    ``connect`` makes a client with a deadline (default: of this machine's engine, at ``DOCKER_HOST`` or Docker's
    default address). ``connection`` makes and removes ephemeral folders on the host; ``uid`` and ``gid`` are those of
    its user. Only ``submit`` may be called by several threads at once.
    """

    name = NAME
    spoken = DOCKER

    def __init__(
        self,
        host: str,
        connection: Connection,
        *,
        uid: int,
        gid: int,
        connect: daemon.ClientFactory | None = None,
        address: str | None = None,
    ) -> None:
        self.host = host
        self._connection = connection
        self._owner = Owner(uid, gid)
        self._address = address or daemon.local_address()
        self._connect = connect or (lambda timeout_s: daemon.connect_local(timeout_s, address))
        self._client: APIClient | None = None
        self._is_rootless: bool | None = None
        self._submitting = threading.Lock()

    def probe(self, image: str) -> EngineFacts:
        """Return what the engine is and can do, within seconds. Raises EngineUnavailable with a cure."""
        with self._asking() as client:
            version, info = read_version(client), read_info(client)
            found = seek_image(client, image) if image else None
        if version.is_podman:
            message = f"Podman {version.version} answers at {self._address} instead of a Docker Engine"
            raise EngineUnavailable(message, where=self.host, hint="use `engine: podman`")
        controllers = self._read_delegated() if info.is_rootless and info.cgroup_version == 2 else None
        return engine_facts(
            self.name, version, info, api_version=client.api_version, image=found, controllers=controllers
        )

    def _read_delegated(self) -> Sequence[str] | None:
        """Return the controllers that systemd delegates to the connection's user; None where the host does not say."""
        done = self._connection.run(["sh", "-c", _DELEGATED])
        return done.text.split() if done.returncode == 0 else None

    @contextlib.contextmanager
    def _asking(self) -> Iterator[APIClient]:
        """Context manager: yield a client with a short deadline, and close it. Raises EngineUnavailable."""
        try:
            with contextlib.closing(self._connect(daemon.PROBE_TIMEOUT_S)) as client:
                yield client
        except Exception as error:
            if daemon.is_no_engine(error):
                raise daemon.unavailable(error, self.host, self._address, self.spoken) from error
            raise

    def submit(self, request: JobRequest) -> JobHandle:
        """Create, fill and start the job's container, or return the existing one. Never pulls an image."""
        try:
            folders = ephemeral_folders(request)
        except ValueError as error:
            raise JobRefused(str(error), where=self.host, hint="rename the folder") from error
        with self._submitting:
            return self._find(request.name) or self._launch(request, folders)

    def poll(self, handles: Sequence[JobHandle]) -> list[JobState]:
        """Return the states of jobs, by one list request and one inspect request for each existing container."""
        from docker.errors import NotFound

        if not handles:
            return []
        states: list[JobState] = []
        with self._talking("report the state of containers") as client:
            found = list_containers(client, [LABEL_NAME])
            known = {one.id for one in found} | {one.labels.get(LABEL_NAME) for one in found}
            for handle in handles:
                try:
                    is_there = handle.id in known
                    state = job_state(inspect_container(client, handle.id)) if is_there else JobState("gone")
                except NotFound:
                    state = JobState("gone")
                states.append(state)
        return states

    def fetch(self, handle: JobHandle, destination: Path) -> None:
        """Copy the results folder of a job, running or ended. Raises JobGone, ResultsRefused, EngineError."""
        from docker.errors import APIError

        try:
            with self._talking("send results") as client:
                stream, _ = client.get_archive(handle.id, f"{JOB_FOLDER}/results")
                with contextlib.closing(stream):  # an archive that is not read to its end keeps the container locked
                    extract_results(stream, destination, host=self.host, job=handle.name)
        except (APIError, EngineError) as error:
            # A container that is being removed gives various errors: not found, marked for removal, folder missing.
            if self._phase(handle.id) in (None, "gone"):
                hint = "it was removed by hand or by another session: run the same command again"
                raise JobGone(f"the container of {handle.name} is gone", where=self.host, hint=hint) from error
            if isinstance(error, EngineError):
                raise
            hint = f"inspect the container {handle.name}"
            raise EngineError(daemon.explain(error), where=self.host, hint=hint) from error

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """Kill jobs that run, then remove their ephemeral folders, then their containers.

        The containers go last because their labels name the folders. Raises EngineError where a folder stays.
        """
        for handle in handles:
            folders = filter(is_ephemeral, dict.fromkeys(self._kill(handle)))
            left = [error for folder in folders if (error := self._keeps(folder)) is not None]
            self._remove(handle.id)
            if left:  # raised after the container is removed, so that the same job is not found again
                raise left[0]

    def list(self, session: str | None = None) -> list[JobHandle]:
        """Return all jobs of this program on the host, or those of one session."""
        labels = [LABEL_NAME] + ([f"{LABEL_PREFIX}session={session}"] if session is not None else [])
        with self._talking("list containers") as client:
            return [self._handle(one.id, one.labels) for one in list_containers(client, labels)]

    @property
    def client(self) -> APIClient:
        """Return a client of this engine, for work with images. Raises EngineUnavailable with a cure."""
        if self._client is None:
            try:
                self._client = self._connect(daemon.CALL_TIMEOUT_S)
            except Exception as error:
                if daemon.is_no_engine(error):
                    raise daemon.unavailable(error, self.host, self._address, self.spoken) from error
                raise
        return self._client

    def close(self) -> None:
        """Close the client. Jobs continue."""
        self._forget()

    def _phase(self, container: str) -> JobPhase | None:
        """Return the phase of a container: ``gone`` while it is being removed, None where it does not exist."""
        from docker.errors import NotFound

        with self._talking("report the state of a container") as client:
            try:
                return job_state(inspect_container(client, container)).phase
            except NotFound:
                return None

    # -- steps of submit ---------------------------------------------------------------------------------------

    def _find(self, name: str) -> JobHandle | None:
        """Return the job of that name; None where there is none.

        A container that was created but never started belongs to an interrupted submit and is removed. If a container
        is being removed, the call waits, so that the name is free afterwards.
        """
        from docker.errors import NotFound

        with self._talking("look for a container") as client:
            try:
                inspected = inspect_container(client, name)
            except NotFound:
                return None
            labels = inspected.settings.labels
            if labels.get(LABEL_NAME) != name:
                hint = f"rename or remove it: {self.name} rm {name}"
                message = f"another program's container has the name {name}"
                raise JobRefused(message, where=self.host, hint=hint)
            if job_state(inspected).phase not in ("created", "gone"):
                return self._handle(inspected.id, labels)
        self._remove(inspected.id)
        return None

    def _launch(self, request: JobRequest, folders: Sequence[str]) -> JobHandle:
        try:
            for folder in folders:
                self._remove_folder(folder)
                self._run("make a cache folder", ["mkdir", "-p", "-m", "0700", "--", folder])
            handle = self._create(request, self._find_nested(request))
            self._start(request, handle)
        except EngineError as error:
            for folder in folders:
                self._remove_folder(folder)
            if isinstance(error, (JobRefused, ImageUnavailable)):
                raise
            raise refuse_job(error.message, self.host, _REFUSED) from error
        return handle

    def _find_nested(self, request: JobRequest) -> Collection[str]:
        """Return the read-only sources of a job that have other mounts inside.

        Raises JobRefused where these mounts would stay writable: engines before 25 (API 1.44) make only the outermost
        mount read-only.
        """
        sources = [mount.source for mount in request.mounts if mount.read_only]
        if not sources:
            return ()
        done = self._connection.run(["sh", "-c", _MOUNTS, "sh", *sources])
        with reading(self.host, "its list of mounts", done.stdout, kind=EngineError):
            *places, mountinfo = done.stdout.decode(errors="surrogateescape").split("\0")
            inside = {name: mounts_below(real, mountinfo) for name, real in zip(sources, places, strict=True) if real}
        nested = {name: found[0].path for name, found in inside.items() if found}
        if nested:
            with self._talking("report its version") as client:
                can_protect = self._protects_nested(client)
            if not can_protect:
                folder, path = next(iter(nested.items()))
                trouble = nested_mount(path, folder, "Docker Engine 25 can")
                raise JobRefused(trouble.message, where=self.host, hint=f"{trouble.hint}; or install Docker Engine 25")
        return nested

    def _protects_nested(self, client: APIClient) -> bool:
        """Return whether the engine can make mounts inside a read-only folder read-only, too."""
        from docker.utils import version_lt

        return not version_lt(client.api_version, _RECURSIVE_API)

    def _create(self, request: JobRequest, nested: Collection[str]) -> JobHandle:
        created = self._try_create(request, nested, ())
        if created.warnings:
            # Labels cannot be added later, and a restarted controller must know which settings were discarded.
            self._remove(created.id)
            created = self._try_create(request, nested, created.warnings)
        return JobHandle(self.host, request.name, created.id, dict(request.labels) | {LABEL_NAME: request.name})

    def _try_create(self, request: JobRequest, nested: Collection[str], warnings: Sequence[str]) -> Created:
        from docker.errors import APIError, NotFound

        try:
            with self._talking(f"create the container of {request.name}") as client:
                return self._post_create(client, request, nested, warnings)
        except NotFound as error:
            hint = "build it with `harness image build`, or send it with `harness ship`"
            message = f"the image {request.image} is not on this host: {daemon.explain(error)}"
            raise ImageUnavailable(message, where=self.host, hint=hint) from error
        except APIError as error:
            hint = "another controller created it at the same moment: run the same command again"
            raise JobRefused(daemon.explain(error), where=self.host, hint=hint) from error

    def _start(self, request: JobRequest, handle: JobHandle) -> None:
        from docker.errors import APIError

        try:
            with self._talking(f"start the container of {request.name}") as client:
                archive = io.BytesIO(build_job_archive(request, self._job_owner(client)))
                client.put_archive(handle.id, JOB_FOLDER, archive)
                client.start(handle.id)
        except APIError as error:
            self._remove(handle.id)
            raise JobRefused(daemon.explain(error), where=self.host, hint=_REFUSED) from error
        except EngineError:
            self._remove(handle.id)
            raise

    def _post_create(
        self, client: APIClient, request: JobRequest, nested: Collection[str], warnings: Sequence[str]
    ) -> Created:
        """Send the create request of a job's container. Raises what the client raises."""
        support = gpu_support(read_info(client)) if request.gpus else None
        owner = self._job_owner(client)
        body = build_create(request, owner, gpu_support=support, warnings=warnings, nested=nested)
        return create_container(client, body, request.name)

    def _job_owner(self, client: APIClient) -> Owner:
        """Return the user of a job inside its container: root with rootless Docker, where root is its user outside."""
        if self._is_rootless is None:
            self._is_rootless = read_info(client).is_rootless
        return Owner(0, 0) if self._is_rootless else self._owner

    # -- steps of cancel ---------------------------------------------------------------------------------------

    def _kill(self, handle: JobHandle) -> tuple[str, ...]:
        """Kill a container and return the ephemeral folders in its labels (in the handle's labels where it is gone)."""
        from docker.errors import APIError, NotFound

        labels = handle.labels
        with self._talking("kill a container") as client:
            try:
                inspected = inspect_container(client, handle.id)
                labels = inspected.settings.labels
                if job_state(inspected).phase == "running":
                    client.kill(handle.id)
                    client.wait(handle.id, timeout=30)
            except NotFound:
                pass
            except APIError as error:
                if daemon.status_of(error) != 409:  # 409: it ended by itself in the meantime
                    raise
        return read_list_label(labels, LABEL_EPHEMERAL)

    def _remove(self, container: str) -> None:
        from docker.errors import APIError, NotFound

        with self._talking("remove a container") as client:
            try:
                client.remove_container(container, v=True, force=True)
                return
            except NotFound:
                return
            except APIError as error:
                if daemon.status_of(error) != 409:  # 409: it is already being removed
                    raise
        deadline = time.monotonic() + _REMOVAL_S
        while self._phase(container) is not None and time.monotonic() < deadline:
            time.sleep(0.2)

    # -- the host and its daemon -------------------------------------------------------------------------------

    def _remove_folder(self, folder: str) -> None:
        self._run("remove a cache folder", [*REMOVE, folder])

    def _keeps(self, folder: str) -> EngineError | None:
        """Remove a folder; return the error where it cannot be removed."""
        try:
            self._remove_folder(folder)
        except EngineError as error:
            return error
        return None

    def _run(self, doing: str, argv: Sequence[str]) -> None:
        done = self._connection.run(argv, timeout_s=600.0)
        if done.returncode != 0:
            said = clean_text(done.stderr.decode(errors="replace"))
            hint = "check who owns the parent folder, and whether its disk is full"
            raise EngineError(f"could not {doing}: {said or done.returncode}", where=self.host, hint=hint)

    def _handle(self, identifier: str, labels: Mapping[str, str]) -> JobHandle:
        return JobHandle(self.host, labels.get(LABEL_NAME, ""), identifier, dict(labels))

    @contextlib.contextmanager
    def _talking(self, doing: str) -> Iterator[APIClient]:
        with daemon.talking(self.host, doing, self._forget, self.spoken):
            if self._client is None:
                self._client = self._connect(daemon.CALL_TIMEOUT_S)
            yield self._client

    def _forget(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                client.close()


def _make(means: Means) -> DockerEngine:
    """Return the Docker Engine of a host, reached over the host's SSH transport unless the host is this machine."""
    make = functools.partial(DockerEngine, means.connection.host, means.connection, uid=means.uid, gid=means.gid)
    if means.is_local:
        return make()
    from harness.engine.dial import Dialer

    dialer = Dialer(cast("SSHConnection", means.connection))
    return make(connect=dialer.client, address=dialer.address)


def _may_have_jobs(engine: Engine, _means: Means) -> bool:
    engine.probe("")
    return True


SPEC = EngineSpec(
    name=NAME,
    rank=10,
    words=EngineWords(
        title="Docker Engine",
        instead="jobs run in containers of the Docker Engine instead",
        image="it is there, identity",
        limit_cure="boot with `cgroup_enable=memory` and restart dockerd; see the warnings of `docker info`",
        evidence="the warnings of `docker info`",
        gpu_cure="`sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker`",
        room=DOCKER.room,
    ),
    make=_make,
    may_have_jobs=_may_have_jobs,
    uses_images=True,
    remark=lambda: " (DOCKER_HOST is set)" if os.environ.get("DOCKER_HOST") else "",
)

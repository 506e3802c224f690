"""The interface of an engine, which runs jobs on a host: six methods, the same for all engines.

A job is one container (or, for ``process``, one process group in its own cgroup). The controller keeps no state of a
job: the job runs detached on the host, is found again by its labels, is polled, and leaves its results as files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from harness.values.engine_names import EngineFacts, HostPython

if TYPE_CHECKING:
    from docker.api.client import APIClient

    from harness.engine.daemon_words import DaemonWords

JobPhase = Literal["created", "queued", "running", "exited", "gone"]
"""``created``: the job was never started and will not start; ``queued``: the job will start when its turn comes."""

LABEL_PREFIX = "harness."
"""Labels of a job: ``harness.session``, ``harness.invocation``, ``harness.attempt``, ``harness.case``,
``harness.round``, ``harness.host``, ``harness.task`` and, by the engine itself, ``harness.name`` and
``harness.ephemeral``."""

CACHE_PREFIX = "harness-cache-"
"""The prefix of every ephemeral folder's name; no other folder is removed."""


@dataclass(frozen=True)
class Payload:
    """The benchmark's code as a deterministic tar: its files are under ``bench/``, a user's own loaders beside it.

    ``digest`` is the SHA-256 of the code that measures, in hex. ``own`` has the digest of each file of the user, by its
    path in the archive, so that a changed loader changes only the identity of its own cases.
    """

    digest: str
    archive: bytes
    own: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return a digest of all code that measures: the benchmark's and the user's."""
        parts = [self.digest, *(f"{path} {digest}" for path, digest in sorted(self.own.items()))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest() if self.own else self.digest

    @cached_property
    def archive_digest(self) -> str:
        """Return a digest of the whole archive, including the code that prepares data and runs checks."""
        return hashlib.sha256(self.archive).hexdigest()


@dataclass(frozen=True)
class Mount:
    """A file or folder of the host that a job can see; the payload finds its path as ``paths[name]``.

    ``ephemeral``: a folder for one run, which submit makes and cancel removes; its name has ``CACHE_PREFIX``.
    """

    name: str
    source: str
    read_only: bool = True
    ephemeral: bool = False


@dataclass(frozen=True)
class JobRequest:
    """All that an engine needs to start one job.

    ``name`` is unique per identity and attempt: submitting it twice starts one job. ``request`` is what the payload
    reads (``bench/protocol/protocol.py``); the engine adds ``paths``. ``memory_bytes`` None means no limit (preparation
    jobs only). ``cpus`` are CPU numbers; ``gpus`` are device ids, empty for none.
    """

    name: str
    labels: Mapping[str, str]
    payload: Payload
    request: Mapping[str, object]
    image: str
    mounts: tuple[Mount, ...] = ()
    memory_bytes: int | None = None
    cpus: tuple[int, ...] = ()
    gpus: tuple[str, ...] = ()
    tmp_bytes: int = 256 * 2**20


@dataclass(frozen=True)
class JobHandle:
    """A reference to one job on one host; ``list`` rebuilds it from the host alone."""

    host: str
    name: str
    id: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobState:
    """The state of a job as the engine reports it; ``oom_killed`` is None where the engine does not know.

    ``waits_for`` is why a job is still queued. ``ended_as`` is how the engine ended the job, with the reason in
    ``error``; None where the job ended by itself.
    """

    phase: JobPhase
    exit_code: int | None = None
    oom_killed: bool | None = None
    error: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    warnings: tuple[str, ...] = ()
    waits_for: str | None = None
    ended_as: Literal["timeout", "lost"] | None = None


class Engine(Protocol):
    """An engine of one host."""

    name: str
    host: str

    def probe(self, image: str) -> EngineFacts:
        """Return the engine's facts, and whether it has ``image``. Raises EngineUnavailable with a cure."""
        ...

    def submit(self, request: JobRequest) -> JobHandle:
        """Start a job, detached, and return its handle; where a job of that name is there, return that one's handle.

        Raises JobRefused for a fault of the job; ImageUnavailable, NoRoomForJob and HostUnreachable for conditions of
        the host under which no job can start.
        """
        ...

    def poll(self, handles: Sequence[JobHandle]) -> list[JobState]:
        """Return the states of jobs, in the same order; ``gone`` for a job that the host does not know."""
        ...

    def fetch(self, handle: JobHandle, destination: Path) -> None:
        """Copy the results that the job has written so far into ``destination``, without links, up to a size limit.

        Raises JobGone where the job was removed, ResultsRefused where its results exceed a limit, EngineError where
        they cannot be read.
        """
        ...

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """End jobs that run, and remove all that these and finished ones left on the host. Idempotent."""
        ...

    def list(self, session: str | None = None) -> list[JobHandle]:
        """Return the jobs of a session (None: of all sessions) on this host, running or not."""
        ...


class PythonEngine(Engine, Protocol):
    """An engine whose jobs run in a Python of the host; an environment is made where packages are missing."""

    def describe_python(self) -> HostPython:
        """Return the Python in which jobs would run. Raises EngineUnavailable."""
        ...

    def make_environment(self, name: str, digest: str, wheels: Sequence[Mapping[str, str]]) -> str:
        """Make an environment from wheels on the host and return the path of its Python. Raises EngineError."""
        ...

    def use(self, python: str) -> None:
        """Run jobs in another Python of the host from now on."""
        ...

    def promise(self, tensorflow: str, to_come: str) -> EngineFacts:
        """Return the facts that the engine will have with an environment of this TensorFlow. Raises EngineUnavailable.

        ``to_come`` says what must be brought to the host before.
        """
        ...


class ImageEngine(Engine, Protocol):
    """An engine whose jobs run in images, which are built, sent and found through a client of Docker's API."""

    spoken: DaemonWords
    """The texts of its errors and hints."""

    @property
    def client(self) -> APIClient:
        """Return a client of the engine. Raises EngineUnavailable with a cure."""
        ...

    def close(self) -> None:
        """Close the client; the next call makes another one. Jobs continue."""
        ...

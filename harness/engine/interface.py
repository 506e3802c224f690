"""An engine: what runs a container on a host. Six verbs, the same for all of them.

A job is one container (or, for ``process``, one process group in its own cgroup).
The job on the host is the truth: it runs detached, is found again by its labels,
is polled, and leaves its results as files.
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

    from harness.engine.daemon import DaemonWords

JobPhase = Literal["created", "queued", "running", "exited", "gone"]
"""``created``: it never began, and never will; ``queued``: it begins when it is its turn."""

LABEL_PREFIX = "harness."
"""Labels of a job: ``harness.session``, ``harness.invocation``, ``harness.attempt``, ``harness.case``,
``harness.round``, ``harness.host``, ``harness.task`` and, by the engine itself, ``harness.name`` and
``harness.ephemeral``."""

CACHE_PREFIX = "harness-cache-"
"""Every ephemeral folder's name starts so; nothing else is ever removed."""


@dataclass(frozen=True)
class Payload:
    """The benchmark's code as a deterministic tar: its files lie under ``bench/``, a user's own loaders beside it.

    ``digest`` is the SHA-256 of the code that measures, in hex; ``own`` that of each user's file, by its path in the
    archive: a loader that is mended changes its own cases alone.
    """

    digest: str
    archive: bytes
    own: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return a digest of all that measures: the benchmark's code and users' own."""
        parts = [self.digest, *(f"{path} {digest}" for path, digest in sorted(self.own.items()))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest() if self.own else self.digest

    @cached_property
    def archive_digest(self) -> str:
        """Return a digest of all that it holds, what prepares data and proves work included."""
        return hashlib.sha256(self.archive).hexdigest()


@dataclass(frozen=True)
class Mount:
    """A file or folder of the host for a job, known to the payload as ``paths[name]``.

    ``ephemeral``: a per-invocation folder that submit makes and cancel removes,
    ``CACHE_PREFIX`` in its name.
    """

    name: str
    source: str
    read_only: bool = True
    ephemeral: bool = False


@dataclass(frozen=True)
class JobRequest:
    """Everything that an engine needs to start one job.

    ``name`` is unique per identity and attempt: submitting it twice starts one job.
    ``request`` is what the payload reads (``bench/protocol/protocol.py``), to which the engine
    adds ``paths``. ``memory_bytes`` None means no limit (preparation jobs only). ``cpus``
    are CPU numbers; ``gpus`` are device ids, empty for none.
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
    """Names one job on one host; rebuilt by ``list`` from the host alone."""

    host: str
    name: str
    id: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobState:
    """What the engine itself knows of a job; ``oom_killed`` is None where it cannot tell.

    ``waits_for``: why a job is still queued. ``ended_as``: what the engine did with it, ``error`` in words; None where
    it ended by itself.
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
    """Runs jobs on one host."""

    name: str
    host: str

    def probe(self, image: str) -> EngineFacts:
        """Ask what the engine is and whether ``image`` is there. Raises EngineUnavailable with the cure."""
        ...

    def submit(self, request: JobRequest) -> JobHandle:
        """Start a job, detached; the same name again returns the one there.

        Raises JobRefused for a fault of the job; ImageUnavailable, NoRoomForJob and HostUnreachable for conditions of
        the host, under which no job would start.
        """
        ...

    def poll(self, handles: Sequence[JobHandle]) -> list[JobState]:
        """The states of jobs, in the same order; ``gone`` for one that the host does not know."""
        ...

    def fetch(self, handle: JobHandle, destination: Path) -> None:
        """Copy the job's results, as far as they are, into ``destination``: no path outside, no links, capped size.

        Raises JobGone where somebody removed the job, ResultsRefused where it left more than is taken, EngineError
        where its results cannot be read.
        """
        ...

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """End jobs where they run and remove every trace of them (also of finished ones). Idempotent."""
        ...

    def list(self, session: str | None = None) -> list[JobHandle]:
        """All jobs of a session (or of any) on this host, running or not."""
        ...


class PythonEngine(Engine, Protocol):
    """An engine whose jobs run in a Python of the host; where that lacks packages, an environment is made there."""

    def describe_python(self) -> HostPython:
        """Say which Python jobs would run in. Raises EngineUnavailable."""
        ...

    def make_environment(self, name: str, digest: str, wheels: Sequence[Mapping[str, str]]) -> str:
        """Make an environment of wheels that lie on the host; returns its Python. Raises EngineError."""
        ...

    def use(self, python: str) -> None:
        """Run jobs in another Python of the host from now on."""
        ...

    def promise(self, tensorflow: str, to_come: str) -> EngineFacts:
        """Say what the engine will be once an environment with this TensorFlow is there. Raises EngineUnavailable."""
        ...


class ImageEngine(Engine, Protocol):
    """An engine whose jobs run in images, which are built, sent and looked for through a client of Docker's API."""

    spoken: DaemonWords
    """How it is spoken of where it refuses or is lost."""

    @property
    def client(self) -> APIClient:
        """A client of the engine. Raises EngineUnavailable with the cure."""
        ...

    def close(self) -> None:
        """Let the client go, so that the next call makes another; what runs goes on."""
        ...

"""The host that jobs run on, and the one place that makes the request of a job, whatever its task. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.bench.protocol import protocol
from harness.engine.interface import LABEL_PREFIX, Engine, JobRequest, Mount, Payload
from harness.engine.reached import Reached
from harness.hosts.connection import Connection
from harness.values.data import Coding, DataPlace
from harness.values.engine_names import EngineFacts
from harness.values.errors import HostNotReady

CUDA_FOLDER = "cuda-cache"
"""In scratch: what drivers compiled of PTX for GPUs."""
_OOM_SCORE = 1000
"""The benchmark is what the kernel ends first where memory runs out."""


@dataclass(frozen=True, kw_only=True)
class JobHost:
    """A host whose engine, image and payload are known: all that its jobs have in common.

    ``disks`` are folders by name, ``scratch`` among them. ``cpus`` and ``gpus`` are those that jobs may use.
    """

    host: str
    connection: Connection
    engine: Engine
    image: str
    image_digest: str
    payload: Payload
    disks: Mapping[str, str]
    cpus: tuple[int, ...] = ()
    gpus: tuple[str, ...] = ()

    @classmethod
    def of(cls, reached: Reached, payload: Payload, engine: Engine, facts: EngineFacts, image: str) -> JobHost:
        """Return a reached host as what jobs run on. Raises HostNotReady where its engine cannot say what would run."""
        if facts.image_digest is None:
            raise HostNotReady(
                "the engine could not say what would run", where=reached.name, hint="see `harness check`"
            )
        return cls(
            host=reached.name,
            connection=reached.connection,
            engine=engine,
            image=image,
            image_digest=facts.image_digest,
            payload=payload,
            disks=reached.disks,
            cpus=reached.cpus,
            gpus=reached.gpus,
        )

    @property
    def scratch(self) -> str:
        """The folder for what is made, sent and kept there."""
        return self.disks["scratch"]


def cuda_cache(on: JobHost, gpus: Sequence[str]) -> tuple[Mount, ...]:
    """Return the folder in which a job keeps what is compiled for its GPUs; nothing for one without."""
    return (Mount("cuda", f"{on.scratch}/{CUDA_FOLDER}", read_only=False),) if gpus else ()


@dataclass(frozen=True)
class HostData:
    """A data set on a host: what it holds, and the mounts that a job needs to read it. Sizes in bytes.

    ``place`` is where it lies there and what its files are, for the code that a report shows. ``is_labelled``: a model
    can be trained with it; ``skipped_count`` images were left out; ``coding`` is how images are coded.
    """

    name: str
    kind: str
    fingerprint: str
    images: int
    classes: int
    bytes: int
    mounts: tuple[Mount, ...]
    mean_height: float | None = None
    mean_width: float | None = None
    place: DataPlace | None = None
    is_labelled: bool = True
    skipped_count: int = 0
    coding: Coding | None = None


def build_job(
    on: JobHost,
    task: str,
    name: str,
    said: Mapping[str, object],
    *,
    session: str,
    timeout_s: float,
    seed: int = 0,
    labels: Mapping[str, str] | None = None,
    mounts: tuple[Mount, ...] = (),
    memory_bytes: int | None = None,
    cpus: tuple[int, ...] | None = None,
    gpus: tuple[str, ...] = (),
) -> JobRequest:
    """Return the request of a job: what the payload reads, and what the engine enforces.

    ``said`` is what the task alone has; ``cpus`` None for all that jobs of this host may use.
    """
    used = on.cpus if cpus is None else cpus
    request = protocol.Request(task, protocol.Limits(memory_bytes, used, gpus, _OOM_SCORE), timeout_s, seed, said=said)
    marks = {"session": session, "task": task, "host": on.host, **(labels or {})}
    return JobRequest(
        name=name,
        labels={f"{LABEL_PREFIX}{key}": value for key, value in marks.items()},
        payload=on.payload,
        request=request.as_fields(),
        image=on.image,
        mounts=mounts,
        memory_bytes=memory_bytes,
        cpus=used,
        gpus=gpus,
    )

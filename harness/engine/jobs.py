"""Build job requests of every task for a prepared host. Pure."""

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
"""Folder in scratch for the code that GPU drivers compile from PTX."""
_OOM_SCORE = 1000
"""The benchmark's ``oom_score_adj``: the kernel kills the benchmark first where memory runs out."""


@dataclass(frozen=True, kw_only=True)
class JobHost:
    """A host with its engine, image and payload: all that its jobs have in common.

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
        """Build the host of jobs from a reached host. Raises HostNotReady where the image's identity is unknown."""
        if facts.image_digest is None:
            raise HostNotReady(
                "the engine does not report the identity of its image", where=reached.name, hint="run `harness check`"
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
        """Return the folder for data that are made, sent and kept on the host."""
        return self.disks["scratch"]


def cuda_cache(on: JobHost, gpus: Sequence[str]) -> tuple[Mount, ...]:
    """Return the mount of the folder for compiled GPU code; none for a job without GPUs."""
    return (Mount("cuda", f"{on.scratch}/{CUDA_FOLDER}", read_only=False),) if gpus else ()


@dataclass(frozen=True)
class HostData:
    """A data set on a host: its contents, and the mounts that a job needs to read it. Sizes in bytes.

    ``place`` is its location and the kind of its files, for the code that a report shows. ``is_labelled``: a model can
    be trained with it. ``skipped_count`` is how many images were left out. ``coding`` is how its images are encoded.
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
    """Return the request of a job: the part that the payload reads, and the limits that the engine enforces.

    ``said`` are the fields of this task alone. ``cpus`` None means all CPUs that jobs of this host may use.
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

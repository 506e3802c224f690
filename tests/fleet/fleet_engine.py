"""An engine whose jobs are told, not run: what one leaves, and when it ends, is decided when it is submitted.

It keeps the contract of all engines (``test_fleet_engine.py`` runs the suite on it): one job a name, found again from
the host alone, results as an archive that is taken as from any untrusted container.
"""

from __future__ import annotations

import io
import json
import math
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet_clock import Clock

from harness.engine.container import ephemeral_folders
from harness.engine.interface import JobHandle, JobRequest, JobState
from harness.engine.job_archive import extract_results
from harness.hosts.connection import Connection
from harness.values.engine_names import EngineFacts
from harness.values.errors import JobGone, JobRefused

_PIECE = 2**20


@dataclass(frozen=True)
class Entry:
    """One thing in a results folder. ``content``: bytes; a number for so many zeros; text for a link to there."""

    name: str
    content: bytes | int | str

    def pieces(self) -> Iterator[bytes]:
        """Its part of a tar."""
        info = tarfile.TarInfo(f"results/{self.name}")
        if isinstance(self.content, str):
            info.type, info.linkname = tarfile.SYMTYPE, self.content
            yield info.tobuf(tarfile.GNU_FORMAT)
            return
        size = self.content if isinstance(self.content, int) else len(self.content)
        info.size = size
        yield info.tobuf(tarfile.GNU_FORMAT)
        if isinstance(self.content, bytes):
            yield self.content
        else:
            for begin in range(0, size, _PIECE):
                yield bytes(min(_PIECE, size - begin))
        yield bytes(-size % tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class Performance:
    """What a job does: how long it takes (``math.inf``: it hangs), what it leaves at once and at its end.

    ``signal``, ``exit_code``: how its benchmark ended; ``is_oom``: the kernel killed it for its memory limit.
    ``is_lost``: it ends without evidence, as when somebody removes the container.
    """

    seconds: float
    early: tuple[Entry, ...] = ()
    late: tuple[Entry, ...] = ()
    exit_code: int | None = 0
    signal: int | None = None
    is_oom: bool = False
    is_lost: bool = False


Perform = Callable[[JobRequest, Connection], Performance]


@dataclass
class Job:
    """A job on a host, running or ended."""

    labels: dict[str, str]
    request: JobRequest
    performance: Performance
    begun: float

    @property
    def lasts_s(self) -> float:
        """How long it runs: to its end, or until its supervisor ends it."""
        return min(self.performance.seconds, self.timeout_s)

    @property
    def timeout_s(self) -> float:
        return float(str(self.request.request.get("timeout_s") or 3600.0))

    @property
    def is_timed_out(self) -> bool:
        return self.performance.seconds > self.timeout_s


@dataclass
class Jobs:
    """All jobs of one host; they outlive links and controllers. ``refuse`` may raise before one starts."""

    jobs: dict[str, Job] = field(default_factory=dict)
    refuse: Callable[[JobRequest], None] = lambda _request: None
    mutex: threading.Lock = field(default_factory=threading.Lock)


class FleetEngine:
    """Implements ``harness.engine.interface.Engine``. ``travel`` is called before each verb and may raise."""

    def __init__(
        self, connection: Connection, jobs: Jobs, clock: Clock, perform: Perform, travel: Callable[[], None]
    ) -> None:
        self.name = "process"
        self.host = connection.host
        self._connection = connection
        self._jobs = jobs
        self._clock = clock
        self._perform = perform
        self._travel = travel

    def probe(self, image: str) -> EngineFacts:
        self._travel()
        return EngineFacts(
            engine=self.name, version="simulated", image_digest="f" * 64, cgroup_version=2, can_limit_memory=True,
            can_limit_swap=True, can_limit_cpus=True,
        )  # fmt: skip

    def submit(self, request: JobRequest) -> JobHandle:
        self._travel()
        try:
            folders = ephemeral_folders(request)
        except ValueError as error:
            raise JobRefused(str(error), where=self.host, hint="rename the folder") from error
        with self._jobs.mutex:
            if request.name not in self._jobs.jobs:
                self._start(request, folders)
            return self._handle(request.name)

    def _start(self, request: JobRequest, folders: Sequence[str]) -> None:
        self._jobs.refuse(request)
        for mount in request.mounts:
            if not mount.ephemeral and self._connection.run(["test", "-e", mount.source]).returncode != 0:
                hint = "check that every path that the job mounts exists on this host"
                raise JobRefused(f"{mount.source} is not there", where=self.host, hint=hint)
        for folder in folders:
            self._connection.run(["rm", "-rf", "--", folder])
            self._connection.run(["mkdir", "-p", "-m", "0700", "--", folder])
        labels = {**request.labels, "harness.name": request.name, "harness.ephemeral": json.dumps(list(folders))}
        performance = self._perform(request, self._connection)
        self._jobs.jobs[request.name] = Job(labels, request, performance, self._clock.monotonic())

    def poll(self, handles: Sequence[JobHandle]) -> list[JobState]:
        if not handles:
            return []
        self._travel()
        return [self._state(handle.name) for handle in handles]

    def fetch(self, handle: JobHandle, destination: Path) -> None:
        self._travel()
        job = self._jobs.jobs.get(handle.name)
        if job is None:
            raise JobGone(f"the job {handle.name} is gone", where=self.host, hint="run the same command again")
        extract_results(self._archive(job), destination, host=self.host, job=handle.name)

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        self._travel()
        for handle in handles:
            job = self._jobs.jobs.get(handle.name)
            if job is not None:
                for folder in json.loads(job.labels["harness.ephemeral"]):
                    self._connection.run(["rm", "-rf", "--", folder])
                self._jobs.jobs.pop(handle.name, None)

    def list(self, session: str | None = None) -> list[JobHandle]:
        self._travel()
        found = [(name, job.labels.get("harness.session")) for name, job in self._jobs.jobs.items()]
        return [self._handle(name) for name, of in found if session is None or of == session]

    def _handle(self, name: str) -> JobHandle:
        return JobHandle(self.host, name, name, dict(self._jobs.jobs[name].labels))

    def _has_ended(self, job: Job) -> bool:
        return self._clock.monotonic() >= job.begun + job.lasts_s

    def _state(self, name: str) -> JobState:
        job = self._jobs.jobs.get(name)
        if job is None or (job.performance.is_lost and self._has_ended(job)):
            return JobState("gone")
        if not self._has_ended(job):
            return JobState("running")
        return JobState("exited", exit_code=0, oom_killed=job.performance.is_oom and not job.is_timed_out)

    def _archive(self, job: Job) -> Iterator[bytes]:
        entries = list(job.performance.early)
        if self._has_ended(job):
            entries += job.performance.late if not job.is_timed_out else ()
            entries.append(Entry("outcome.json", json.dumps(outcome_of(job)).encode()))
        for entry in entries:
            yield from entry.pieces()
        yield bytes(2 * tarfile.BLOCKSIZE)


def outcome_of(job: Job) -> dict[str, Any]:
    """What the supervisor of a job that has ended writes."""
    told, limit = job.performance, job.request.memory_bytes
    is_oom = told.is_oom and not job.is_timed_out
    signal = 15 if job.is_timed_out else 9 if is_oom else told.signal
    return {
        "format": 1,
        "task": job.request.request.get("task"),
        "wall_s": round(job.lasts_s, 3),
        "timed_out": job.is_timed_out,
        "terminated": False,
        "child": {"exit_code": None if signal else told.exit_code, "signal": signal},
        "memory": {
            "limit_effective": limit,
            "swap_limit": limit,
            "enforced_by": "cgroup-v2",
            "peak_anon": None if limit is None else limit * (100 if is_oom else 60) // 100,
            "peak_total": limit,
            "oom_kills": 1 if is_oom else 0,
            "oom_at_s": round(job.lasts_s, 2) if is_oom else None,
            "swap_used": 0,
            "thrashing": None,
        },
        "page_cache": {"state": "cold-start"},
        "disk": {"free_bytes_min": 800 * 10**9},
        "host": None,
        "supervisor": {"cpu_s": 0.2, "anon_bytes": 6 * 2**20},
    }


def json_entry(name: str, value: object) -> Entry:
    """A JSON file."""
    return Entry(name, json.dumps(value).encode())


def lines_entry(name: str, values: Sequence[object]) -> Entry:
    """A file of JSON lines."""
    text = io.StringIO()
    for value in values:
        text.write(json.dumps(value) + "\n")
    return Entry(name, text.getvalue().encode())


HANGS = math.inf

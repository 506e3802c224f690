"""What a job leaves behind (``bench.protocol.protocol``), parsed once. What plays no part is kept as it came.

It comes from a host, from a benchmark that may be its user's own: parsing raises ValueError for what makes no sense.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, JsonValue

Json = dict[str, JsonValue]


class _Left(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    def plain(self) -> Json:
        """Return what was given as JSON holds it, and nothing else."""
        found: Json = self.model_dump(mode="json", exclude_unset=True)
        return found


class ChildEnd(_Left):
    """How the benchmark's process ended: by a signal, or with an exit code."""

    signal: int | None = None
    exit_code: int | None = None


class Thrashing(_Left):
    """The job was ended because it read the same pages again and again."""

    seconds: int | float | None = None
    major_faults_per_s: int | float | None = None


class JobMemory(_Left):
    """What the supervisor saw of the job's memory, in bytes."""

    limit_effective: int | None = None
    swap_limit: int | None = None
    enforced_by: str | None = None
    peak_anon: int | None = None
    peak_total: int | None = None
    oom_kills: int | None = None
    oom_at_s: int | float | None = None
    swap_used: int | None = None
    thrashing: Thrashing | None = None


class JobOutcome(_Left):
    """``outcome.json``, the supervisor's evidence."""

    child: ChildEnd | None = None
    memory: JobMemory | None = None
    timed_out: bool | None = None
    terminated: bool | None = None
    started_at: str | None = None
    finished_at: str | None = None
    supervisor: JsonValue = None
    page_cache: JsonValue = None
    disk: JsonValue = None
    wall_s: JsonValue = None
    host: JsonValue = None


class JobFailure(_Left):
    """``failure.json``, the benchmark's own word."""

    kind: str | None = None
    type: str | None = None
    message: str | None = None


class JobEvent(_Left):
    """A line of the benchmark's ``events.jsonl``: ``phase``, ``progress``, ``epoch`` or ``done``; ``t`` in seconds."""

    event: JsonValue = None
    t: int | float | None = None
    name: str | None = None
    epoch: int | None = None
    step: int | None = None
    images: int | None = None
    cache_bytes: int | None = None
    build_s: int | float | None = None


class JobDevices(_Left):
    """The devices that TensorFlow saw."""

    gpus: tuple[JsonValue, ...] | None = None


class JobEnvironment(_Left):
    """``environment.json``, of which a record's own fields are made from the devices alone."""

    devices: JobDevices | None = None

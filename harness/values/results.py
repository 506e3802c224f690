"""The results of a job (``bench.protocol.protocol``), parsed once. Unknown fields are kept.

They come from a host, and from a benchmark that may contain a user's own code: parsing raises ValueError if they are
not valid.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from harness.values.figures import Count, Message, Moment, Place, Rate, Seconds, Words

Json = dict[str, JsonValue]


class _Left(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    def plain(self) -> Json:
        """Return the fields that were set, as JSON values."""
        found: Json = self.model_dump(mode="json", exclude_unset=True)
        return found


_Code = Annotated[int, Field(ge=-(2**31), lt=2**32)]


class ChildEnd(_Left):
    """How the benchmark's process ended: by a signal, or with an exit code."""

    signal: _Code | None = None
    exit_code: _Code | None = None


class Thrashing(_Left):
    """Evidence of thrashing: the job was ended because it read the same pages again and again."""

    seconds: Seconds | None = None
    major_faults_per_s: Rate | None = None


class JobMemory(_Left):
    """The memory of a job as the supervisor saw it, in bytes."""

    limit_effective: Count | None = None
    swap_limit: Count | None = None
    enforced_by: Words | None = None
    peak_anon: Count | None = None
    peak_total: Count | None = None
    oom_kills: Count | None = None
    oom_at_s: Seconds | None = None
    swap_used: Count | None = None
    thrashing: Thrashing | None = None


class JobOutcome(_Left):
    """The content of ``outcome.json``: the supervisor's evidence."""

    child: ChildEnd | None = None
    memory: JobMemory | None = None
    timed_out: bool | None = None
    terminated: bool | None = None
    started_at: Moment | None = None
    finished_at: Moment | None = None
    supervisor: JsonValue = None
    page_cache: JsonValue = None
    disk: JsonValue = None
    wall_s: JsonValue = None
    host: JsonValue = None


class JobFailure(_Left):
    """The content of ``failure.json``: the benchmark's own report of its failure."""

    kind: Words | None = None
    type: Words | None = None
    message: Message | None = None


class JobEvent(_Left):
    """A line of the benchmark's ``events.jsonl``: ``phase``, ``progress``, ``epoch`` or ``done``; ``t`` in seconds."""

    event: JsonValue = None
    t: Seconds | None = None
    name: Words | None = None
    epoch: Place | None = None
    step: Count | None = None
    images: Count | None = None
    cache_bytes: Count | None = None
    build_s: Seconds | None = None


class JobDevices(_Left):
    """The devices that TensorFlow saw."""

    gpus: tuple[JsonValue, ...] | None = None


class JobEnvironment(_Left):
    """The content of ``environment.json``; only the devices are parsed."""

    devices: JobDevices | None = None

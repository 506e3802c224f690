"""A record: one invocation, raw. What was not measured is null, never 0.

Bytes are integers, seconds floats, time stamps UTC in ISO 8601. Statistics are
computed when a report is made; the validity kept here is the run's own judgement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from harness.values.case import Case
from harness.values.figures import LARGEST, Count, Duration, Place, Seconds, Words
from harness.values.prediction import Prediction
from harness.values.stages import StageCosts

RECORD_FORMAT = 1

Status = Literal["ok", "oom", "timeout", "disk_full", "error", "lost", "skipped"]
Validity = Literal["valid", "degraded", "invalid"]
Severity = Literal["info", "warning", "error"]

TWIN = "b"
"""The alias of the case that each round runs twice: an A/A pair, from which the noise floor is taken."""
WARM_RUN = "w"
"""The alias of an extra run of a training case with its files in memory: it tells preparation from storage."""
TRIAL = "s"
"""The alias of an invocation that ``memory_limit: search`` tried."""

MACHINE = "machine"
"""In the environment of a record whose host is another name of a machine: the name that the machine goes by."""

ABSENT = "absent"
"""The fingerprint of a data set that is not there."""

FAILED: frozenset[str] = frozenset({"error", "timeout", "disk_full", "lost"})
"""Statuses that make a run exit with 1."""


_Kind = TypeVar("_Kind", bound=BaseModel)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Finding(_Frozen):
    """Something a reader must know before believing a number; ``hint`` is what to do about it."""

    id: str
    severity: Severity
    message: str
    hint: str


class Epoch(_Frozen):
    """One pass over the data. ``index`` counts from 1.

    ``images`` were delivered in ``seconds`` of monotonic time, in so many ``steps`` (batches; the flush of a
    cache, ``flush_s``, comes after). ``first_batch_s`` is the time to the first
    batch; in training it ends with the first step. ``bytes_read`` came from storage,
    ``bytes_needed`` is what the loader must have read, from wherever; ``cpu_s`` is CPU time of
    the benchmark and its children. ``other_decoder`` counts images that another decoder than the
    loader's own read, by why; null where it has no other. ``anon_bytes`` is the anonymous memory of
    the benchmark and its children at the end of the epoch.
    """

    index: Place
    images: Count
    seconds: Duration
    steps: Count | None = None
    first_batch_s: Seconds | None = None
    bytes_read: Count | None = None
    bytes_needed: Count | None = None
    cpu_s: Seconds | None = None
    flush_s: Seconds | None = None
    other_decoder: Annotated[dict[Words, Count], Field(max_length=100)] | None = None
    anon_bytes: Count | None = None


class Memory(_Frozen):
    """The limit asked, what was enforced and by what, and peaks, in bytes.

    ``peak_total`` counts page cache; ``peak_anon`` is what the program needs. ``swap_limit`` is of
    memory and swap together.
    """

    limit_asked: Count | None = None
    limit_effective: Count | None = None
    swap_limit: Count | None = None
    enforced_by: str | None = None
    peak_anon: Count | None = None
    peak_total: Count | None = None
    oom_kills: Count | None = None
    swap_used: Count | None = None


class CacheUse(_Frozen):
    """A cache: its kind, what it held, and bytes measured beside bytes predicted."""

    kind: str
    element: str
    bytes: Count | None = None
    predicted_bytes: Count | None = None
    reused: bool = False
    build_s: Seconds | None = None


class Gpu(_Frozen):
    """A GPU that the invocation saw."""

    name: str
    memory_bytes: Count | None = None
    driver: str | None = None


class SetSize(_Frozen):
    """A whole data set: how many images it has, and the bytes of their files (None where they were not counted).

    A case with ``max_images`` uses part of it.
    """

    images: int = Field(gt=0, le=LARGEST)
    bytes: Count | None = None


class Record(_Frozen):
    """One line of ``records.jsonl``. ``set_size`` is None in records of sessions that did not keep it.

    ``stages`` is what an image costs in each stage of the case's loader on this host, found in a run of its own before
    the session's rounds: the same in all records of a loader setting. None where it was not looked for.
    """

    format: Literal[1] = 1
    session: str
    experiment: str
    invocation: str
    attempt: Count
    host: str
    hardware: str
    engine: str
    image_digest: str
    payload_digest: str
    data_fingerprint: str
    set_size: SetSize | None = None
    case: Case
    case_id: str
    alias: str | None = None
    round: Count
    order: Count
    status: Status
    cause: str | None = None
    evidence: dict[str, object] = Field(default_factory=dict)
    validity: Validity = "valid"
    findings: tuple[Finding, ...] = ()
    epochs: tuple[Epoch, ...] = ()
    memory: Memory = Memory()
    cache: CacheUse | None = None
    io: dict[str, object] = Field(default_factory=dict)
    gpu: tuple[Gpu, ...] = ()
    predictions: Prediction | None = None
    stages: StageCosts | None = None
    environment: dict[str, object] = Field(default_factory=dict)
    log: str | None = None
    log_tail: str | None = None
    started_at: str | None = None
    finished_at: str | None = None

    @field_validator("case", mode="before")
    @classmethod
    def _refuse_figures(cls, value: object) -> object:
        """Refuse a case whose figures nobody can have asked for."""
        if isinstance(value, Mapping) and not is_bounded(value):
            raise ValueError("holds a number that nobody can have asked for")
        return value

    @field_validator("predictions", mode="before")
    @classmethod
    def _forget_other_predictions(cls, value: object) -> Prediction | None:
        """Read what an earlier version predicted, in another form, as nothing: it costs no record."""
        return _read_or_forget(Prediction, value)

    @field_validator("stages", mode="before")
    @classmethod
    def _forget_other_stages(cls, value: object) -> StageCosts | None:
        """Read costs of stages in another form than this version's as nothing, likewise."""
        return _read_or_forget(StageCosts, value)


def _read_or_forget(kind: type[_Kind], value: object) -> _Kind | None:
    if isinstance(value, Mapping) and not is_bounded(value):
        return None
    try:
        return None if value is None else kind.model_validate(value)
    except ValidationError:
        return None


def is_bounded(value: object) -> bool:
    """Whether all numbers within nested objects are such as can be added, divided and written into a table."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
        elif isinstance(one, int | float) and not -LARGEST <= one <= LARGEST:
            return False
    return True


def number(values: Mapping[str, object], *path: str) -> float | None:
    """Return the number at a place of nested objects; None where there is none that can be one."""
    value = value_at(values, *path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -LARGEST <= value <= LARGEST else None


def count(values: Mapping[str, object], *path: str) -> int | None:
    """Return the whole number, none below 0, at a place of nested objects; None where there is none."""
    value = value_at(values, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST else None


def value_at(values: Mapping[str, object], *path: str) -> object:
    """Return what stands at a place of nested objects; None where nothing does."""
    value: object = values
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def record_schema() -> dict[str, object]:
    """Return the JSON Schema of a line of ``records.jsonl``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Record.model_json_schema(mode="serialization")}

"""A record: the raw results of one invocation. What was not measured is null, never 0.

Bytes are integers, seconds floats, time stamps UTC in ISO 8601. Statistics are computed when a report is made; the
stored validity is the judgement at the time of the run.
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
"""The alias of the second run of a case in a round: the repeat check (A/A), from which noise is estimated."""
WARM_RUN = "w"
"""The alias of an extra run of a training case with its files in memory, to separate preparation from storage."""
TRIAL = "s"
"""The alias of a trial of ``memory_limit: search``."""

MACHINE = "machine"
"""Environment key in records of hosts that are a further name of a machine: the name under which it is measured."""

ABSENT = "absent"
"""The fingerprint of an absent data set."""

FAILED: frozenset[str] = frozenset({"error", "timeout", "disk_full", "lost"})
"""Statuses that make `harness run` exit with 1."""


_Kind = TypeVar("_Kind", bound=BaseModel)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Finding(_Frozen):
    """Something that a reader must know to judge a result. ``hint`` is what to do about it."""

    id: str
    severity: Severity
    message: str
    hint: str


class Epoch(_Frozen):
    """One pass over the data. ``index`` counts from 1.

    ``images`` were delivered in ``seconds`` of monotonic time, in ``steps`` batches; flushing a cache (``flush_s``)
    comes after that. ``first_batch_s`` is the time to the first batch, in training to the end of the first step.
    ``bytes_read`` came from storage; ``bytes_needed`` must have been read, from storage or memory. ``cpu_s`` is the CPU
    time of the benchmark and its children. ``other_decoder`` counts images read by another decoder than the loader's
    own, by reason; null if the loader has only one. ``anon_bytes`` is the anonymous memory of the benchmark and its
    children at the end of the epoch.
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
    """The memory limit asked for, what was enforced and by what, and peaks. Sizes are in bytes.

    ``peak_total`` includes page cache; ``peak_anon`` is what the program needs. ``swap_limit`` is for memory and swap
    together.
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
    """The cache of an invocation: its kind, what it held, and its measured and predicted size."""

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
    """The size of a whole data set: its number of images, and the bytes of their files (None if not counted).

    A case with ``max_images`` uses a part of it.
    """

    images: int = Field(gt=0, le=LARGEST)
    bytes: Count | None = None


class Record(_Frozen):
    """One line of ``records.jsonl``. ``set_size`` is None in records of sessions that did not store it.

    ``stages`` is the cost of an image in each stage of the case's loader on this host, measured by an extra run before
    the rounds. It is the same in all records of a loader setting; None if it was not measured.
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
        """Refuse a case with a number out of bounds."""
        if isinstance(value, Mapping) and not is_bounded(value):
            raise ValueError("contains a number out of bounds")
        return value

    @field_validator("predictions", mode="before")
    @classmethod
    def _forget_other_predictions(cls, value: object) -> Prediction | None:
        """Read a prediction of another version's format as None, so that the record can still be read."""
        return _read_or_forget(Prediction, value)

    @field_validator("stages", mode="before")
    @classmethod
    def _forget_other_stages(cls, value: object) -> StageCosts | None:
        """Read stage costs of another version's format as None, so that the record can still be read."""
        return _read_or_forget(StageCosts, value)


def _read_or_forget(kind: type[_Kind], value: object) -> _Kind | None:
    if isinstance(value, Mapping) and not is_bounded(value):
        return None
    try:
        return None if value is None else kind.model_validate(value)
    except ValidationError:
        return None


def is_bounded(value: object) -> bool:
    """Whether all numbers in nested objects are within bounds, so that they can be added, divided and tabulated."""
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
    """Return the number at a path in nested objects; None if there is no number within bounds."""
    value = value_at(values, *path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -LARGEST <= value <= LARGEST else None


def count(values: Mapping[str, object], *path: str) -> int | None:
    """Return the non-negative whole number at a path in nested objects; None if there is none."""
    value = value_at(values, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST else None


def value_at(values: Mapping[str, object], *path: str) -> object:
    """Return the value at a path in nested objects; None if there is none."""
    value: object = values
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def record_schema() -> dict[str, object]:
    """Return the JSON Schema of a line of ``records.jsonl``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Record.model_json_schema(mode="serialization")}

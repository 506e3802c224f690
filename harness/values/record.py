"""A record: one invocation, raw. What was not measured is null, never 0.

Bytes are integers, seconds floats, time stamps UTC in ISO 8601. Statistics are
computed when a report is made; the validity kept here is the run's own judgement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from harness.values.case import Case
from harness.values.prediction import Prediction

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

FAILED: frozenset[str] = frozenset({"error", "timeout", "disk_full", "lost"})
"""Statuses that make a run exit with 1."""


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
    loader's own read, by why; null where it has no other.
    """

    index: int
    images: int
    seconds: float
    steps: int | None = None
    first_batch_s: float | None = None
    bytes_read: int | None = None
    bytes_needed: int | None = None
    cpu_s: float | None = None
    flush_s: float | None = None
    other_decoder: dict[str, int] | None = None


class Memory(_Frozen):
    """The limit asked, what was enforced and by what, and peaks, in bytes.

    ``peak_total`` counts page cache; ``peak_anon`` is what the program needs. ``swap_limit`` is of
    memory and swap together.
    """

    limit_asked: int | None = None
    limit_effective: int | None = None
    swap_limit: int | None = None
    enforced_by: str | None = None
    peak_anon: int | None = None
    peak_total: int | None = None
    oom_kills: int | None = None
    swap_used: int | None = None


class CacheUse(_Frozen):
    """A cache: its kind, what it held, and bytes measured beside bytes predicted."""

    kind: str
    element: str
    bytes: int | None = None
    predicted_bytes: int | None = None
    reused: bool = False
    build_s: float | None = None


class Gpu(_Frozen):
    """A GPU that the invocation saw."""

    name: str
    memory_bytes: int | None = None
    driver: str | None = None


class SetSize(_Frozen):
    """A whole data set: how many images it has, and the bytes of their files (None where they were not counted).

    A case with ``max_images`` uses part of it.
    """

    images: int = Field(gt=0)
    bytes: int | None = None


class Record(_Frozen):
    """One line of ``records.jsonl``. ``set_size`` is None in records of sessions that did not keep it."""

    format: Literal[1] = 1
    session: str
    experiment: str
    invocation: str
    attempt: int
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
    round: int
    order: int
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
    environment: dict[str, object] = Field(default_factory=dict)
    log: str | None = None
    log_tail: str | None = None
    started_at: str | None = None
    finished_at: str | None = None

    @field_validator("predictions", mode="before")
    @classmethod
    def _forget_other_predictions(cls, value: object) -> Prediction | None:
        """Read what an earlier version predicted, in another form, as nothing: it costs no record."""
        try:
            return None if value is None else Prediction.model_validate(value)
        except ValidationError:
            return None


def number(values: Mapping[str, object], *path: str) -> float | None:
    """Return the number at a place of nested objects; None where there is none."""
    value = value_at(values, *path)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def value_at(values: Mapping[str, object], *path: str) -> object:
    """Return what stands at a place of nested objects; None where nothing does."""
    value: object = values
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def record_schema() -> dict[str, object]:
    """Return the JSON Schema of a line of ``records.jsonl``."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Record.model_json_schema(mode="serialization")}

"""The types of checks and of their inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from harness.values.errors import HarnessError
from harness.values.results import ChildEnd, JobFailure, JobMemory, JobOutcome

Outcome = Literal["ok", "warning", "failure", "unproven"]


@dataclass(frozen=True)
class Check:
    """The check of one property of a host, with the cure where it does not work.

    A host with a ``failure`` cannot measure; with a ``warning`` it measures less, or less well; ``unproven`` was not
    tried yet. ``subject`` names one of several (a disk, a data set).
    """

    id: str
    subject: str
    outcome: Outcome
    message: str
    cure: str | None = None


Refused = tuple[str, HarnessError]
"""An engine that was tried first and cannot be used: its name and the error."""


class LockView(Protocol):
    """What the checks need to know about the owner of a lock."""

    @property
    def session(self) -> str:
        """Return the session that holds the lock."""

    def describe(self) -> str:
        """Return who holds the lock, for what, and since when."""


@dataclass(frozen=True)
class LimitProbe:
    """The result of a job that exceeds its limit on purpose, in bytes. None is what could not be read."""

    asked_bytes: int
    effective_bytes: int | None
    swap_limit_bytes: int | None
    was_killed: bool
    oom_kills: int | None = None
    enforced_by: str | None = None
    failure: str | None = None


@dataclass(frozen=True)
class GpuProbe:
    """The result of a job that requested ``asked`` GPUs: how many it found, or the problem. None: not known."""

    asked: int
    found: int | None
    problem: str | None = None


def limit_probe_of(asked_bytes: int, left: object, failure: object) -> LimitProbe:
    """Build a probe's result from its job's ``outcome.json`` and ``failure.json`` (bench/protocol/protocol.py)."""
    try:
        outcome = JobOutcome.model_validate(left or {})
        message = JobFailure.model_validate(failure or {}).message or None
    except ValueError as error:
        outcome, message = JobOutcome(), f"the probe's result cannot be parsed: {' '.join(str(error).split())[:300]}"
    if left is None and message is None:
        message = "the probe left no outcome"
    memory, child = outcome.memory or JobMemory(), outcome.child or ChildEnd()
    return LimitProbe(
        asked_bytes=asked_bytes,
        effective_bytes=memory.limit_effective,
        swap_limit_bytes=memory.swap_limit,
        was_killed=child.signal == 9 and memory.oom_kills != 0,
        oom_kills=memory.oom_kills,
        enforced_by=memory.enforced_by,
        failure=message,
    )

"""What a check is, and what checks are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from harness.values.errors import HarnessError
from harness.values.results import ChildEnd, JobFailure, JobMemory, JobOutcome

Outcome = Literal["ok", "warning", "failure", "unproven"]


@dataclass(frozen=True)
class Check:
    """One thing about a host: whether it works, in words, and the cure where it does not.

    ``failure`` keeps the host from measuring; ``warning`` lets it measure less, or worse; ``unproven`` could not be
    tried yet. ``subject`` names one of several (a disk, a data set).
    """

    id: str
    subject: str
    outcome: Outcome
    message: str
    cure: str | None = None


Refused = tuple[str, HarnessError]
"""An engine that was tried first and cannot be used: its name, and why."""


class LockView(Protocol):
    """What the checks read of a lock's owner."""

    @property
    def session(self) -> str:
        """The session that holds it."""

    def describe(self) -> str:
        """Who, for what, since when."""


@dataclass(frozen=True)
class LimitProbe:
    """What came of a job that was made to outgrow its limit; bytes. None is what could not be read."""

    asked_bytes: int
    effective_bytes: int | None
    swap_limit_bytes: int | None
    was_killed: bool
    oom_kills: int | None = None
    enforced_by: str | None = None
    failure: str | None = None


@dataclass(frozen=True)
class GpuProbe:
    """What came of a job that asked for ``asked`` GPUs: how many it found, or the problem. None: it could not tell."""

    asked: int
    found: int | None
    problem: str | None = None


def limit_probe_of(asked_bytes: int, left: object, failure: object) -> LimitProbe:
    """From a probe job's ``outcome.json`` and, where it survived, ``failure.json`` (bench/protocol/protocol.py)."""
    try:
        outcome = JobOutcome.model_validate(left or {})
        message = JobFailure.model_validate(failure or {}).message or None
    except ValueError as error:
        outcome, message = JobOutcome(), f"what the probe left makes no sense: {' '.join(str(error).split())[:300]}"
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

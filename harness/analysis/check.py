"""What a check is, and what checks are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from harness.values.engines import EngineWords
from harness.values.errors import HarnessError

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


class EngineView(Protocol):
    """What the checks read of an engine's own facts."""

    @property
    def engine(self) -> str:
        """Its name."""

    @property
    def version(self) -> str:
        """As the engine says it."""

    @property
    def image_digest(self) -> str | None:
        """None where the image is not there."""

    @property
    def cgroup_version(self) -> int | None:
        """1 or 2."""

    @property
    def can_limit_memory(self) -> bool:
        """Whether it says that it can."""

    @property
    def can_limit_swap(self) -> bool:
        """Whether swap is counted within a limit."""

    @property
    def can_limit_cpus(self) -> bool:
        """Whether a job can be held to CPUs."""

    @property
    def storage(self) -> str | None:
        """How it stores images."""

    @property
    def gpu_support(self) -> str | None:
        """How its jobs get GPUs."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """One sentence for each limit that this engine cannot enforce."""

    @property
    def uses_images(self) -> bool:
        """Whether its jobs run in an image."""

    @property
    def words(self) -> EngineWords:
        """How it is spoken of."""


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


def limit_probe_of(
    asked_bytes: int, outcome: Mapping[str, Any] | None, failure: Mapping[str, Any] | None
) -> LimitProbe:
    """From a probe job's ``outcome.json`` and, where it survived, ``failure.json`` (bench/protocol/protocol.py)."""
    memory = (outcome or {}).get("memory") or {}
    child = (outcome or {}).get("child") or {}
    kills = memory.get("oom_kills")
    message = str(failure["message"]) if failure and failure.get("message") else None
    if outcome is None and message is None:
        message = "the probe left no outcome"
    return LimitProbe(
        asked_bytes=asked_bytes,
        effective_bytes=memory.get("limit_effective"),
        swap_limit_bytes=memory.get("swap_limit"),
        was_killed=bool(child.get("signal") == 9 and kills != 0),
        oom_kills=kills,
        enforced_by=memory.get("enforced_by"),
        failure=message,
    )

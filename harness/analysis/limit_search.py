"""``memory_limit: search``: the smallest limit in which a case lives, and the one from which it is at full speed. Pure.

Bisection on the logarithm of the limit, twice: on living, then on speed. Each trial is an ordinary invocation under an
ordinary limit, so that what is known already is never measured again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.analysis.noise import rate_of
from harness.values.case import Case
from harness.values.record import Record

RESOLUTION = 1.05
"""Two limits closer than this are one."""
FULL_SPEED = 0.95
"""Of the rate under the largest limit."""
LEAST_BYTES = 128 * 2**20
"""Below it not even TensorFlow's import ends."""
_STEP = 2**20


@dataclass(frozen=True)
class Trial:
    """One limit that was tried; ``rate`` in images/s, None where the case did not live."""

    limit: int
    rate: float | None


@dataclass(frozen=True)
class Found:
    """Limits in bytes; None where the case lives at none that the host can give."""

    lives_from: int | None
    full_speed_from: int | None


def trials_of(records: Iterable[Record], case: Case, host: str) -> list[Trial]:
    """What is known of a case under any limit on a host, smallest limit first; the best rate of each limit counts."""
    known: dict[int, float | None] = {}
    for record in records:
        limit = record.memory.limit_asked
        same = record.case.model_copy(update={"memory_limit": case.memory_limit}) == case
        if same and record.host == host and limit is not None and record.status in ("ok", "oom", "timeout"):
            rate = rate_of(record)
            held = known.get(limit)
            known[limit] = max(rate, held) if rate is not None and held is not None else rate or held
    return [Trial(limit, rate) for limit, rate in sorted(known.items())]


def next_limit(trials: Sequence[Trial], *, most: int, least: int = LEAST_BYTES) -> int | None:
    """The limit to try next, in bytes; None where both answers are known. The largest comes first."""
    if not any(trial.limit >= most for trial in trials):
        return most
    edges = _edges(trials, least)
    for low, high in edges:
        if high / low > RESOLUTION:
            middle = round(math.sqrt(low * high) / _STEP) * _STEP
            if low < middle < high:
                return middle
    return None


def conclude(trials: Sequence[Trial]) -> Found:
    """The two limits, as far as the trials tell."""
    alive = [trial for trial in trials if trial.rate is not None]
    if not alive:
        return Found(None, None)
    fast = _fast_from(alive)
    return Found(_lives_from(trials), fast)


def _edges(trials: Sequence[Trial], least: int) -> list[tuple[int, int]]:
    """Pairs of limits between which an answer lies: of living, and of full speed."""
    alive = [trial for trial in trials if trial.rate is not None]
    if not alive:
        return []
    lives = _lives_from(trials)
    assert lives is not None
    dead = max((trial.limit for trial in trials if trial.rate is None and trial.limit < lives), default=least)
    fast = _fast_from(alive)
    slow = [trial.limit for trial in alive if trial.limit < fast]
    return [(dead, lives), *([(max(slow), fast)] if slow else [])]


def _lives_from(trials: Sequence[Trial]) -> int | None:
    """The smallest limit above every one at which it died."""
    died = max((trial.limit for trial in trials if trial.rate is None), default=0)
    return min((trial.limit for trial in trials if trial.rate is not None and trial.limit > died), default=None)


def _fast_from(alive: Sequence[Trial]) -> int:
    """The smallest limit from which on every trial is at full speed."""
    top = alive[-1].rate or 0.0
    fast = alive[-1].limit
    for trial in reversed(alive):
        if (trial.rate or 0.0) < FULL_SPEED * top:
            break
        fast = trial.limit
    return fast

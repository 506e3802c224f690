"""``memory_limit: search``: the smallest limit in which a case lives, and the one from which it is at full speed. Pure.

Bisection on the logarithm of the limit, twice: on living, then on speed. Each trial is an ordinary invocation under an
ordinary limit, so that what is known already is never measured again. Deaths repeat themselves, speeds do not: the
largest limit is tried twice, and a limit is called slow only when a second run there was slow, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.analysis.matrix import Setting
from harness.analysis.noise import rate_of
from harness.analysis.short_epochs import LEAST_EPOCH_S
from harness.values.case import Case
from harness.values.record import Record

RESOLUTION = 1.05
"""Two limits closer than this are one."""
FULL_SPEED = 0.95
"""Of the best rate seen."""
LEAST_BYTES = 128 * 2**20
"""Below it not even TensorFlow's import ends."""
_STEP = 10**6


@dataclass(frozen=True)
class Trial:
    """What is known of one limit. ``rates`` in images/s of its invocations, empty where one of them did not live:
    it died of memory (``has_died``), or was not done in time. ``is_short`` says that an epoch was too short for them
    to mean anything."""

    limit: int
    rates: tuple[float, ...]
    is_short: bool = False
    has_died: bool = False

    @property
    def best(self) -> float:
        """The best rate: what disturbs a run makes it slower, hardly ever faster."""
        return max(self.rates, default=0.0)


@dataclass(frozen=True)
class Step:
    """What to run next: a limit in bytes, and which of its invocations this is, from 1."""

    limit: int
    number: int = 1


@dataclass(frozen=True)
class Found:
    """Limits in bytes; None where the case lives at none that the host can give, or its speed cannot be judged, for
    the reason that ``doubt`` gives."""

    lives_from: int | None
    full_speed_from: int | None
    doubt: str | None = None


def trials_of(records: Iterable[Record], case: Case, host: str) -> list[Trial]:
    """What is known of a case under any limit on a host, smallest limit first; one death under a limit counts."""
    known: dict[int, list[Record]] = {}
    for record in records:
        limit = record.memory.limit_asked
        same = record.case.model_copy(update={"memory_limit": case.memory_limit}) == case
        counts = record.status in ("ok", "oom", "timeout") and record.validity != "invalid"
        if same and record.host == host and limit is not None and counts:
            known.setdefault(limit, []).append(record)
    return [_make_trial(limit, found) for limit, found in sorted(known.items())]


def _make_trial(limit: int, records: Sequence[Record]) -> Trial:
    rates = [rate_of(record) for record in records]
    alive = tuple(rate for rate in rates if rate is not None)
    shortest = min((epoch.seconds for record in records for epoch in record.epochs), default=math.inf)
    has_died = any(record.status == "oom" for record in records)
    return Trial(limit, alive if len(alive) == len(rates) else (), shortest < LEAST_EPOCH_S, has_died)


def next_step(trials: Sequence[Trial], *, most: int, least: int = LEAST_BYTES) -> Step | None:
    """What to try next; None where all is known that can be. The largest limit, ``most``, comes first."""
    if not any(trial.limit >= most for trial in trials):
        return Step(most)
    for low, high in _living_edge(trials, least):
        middle = _between(low, high)
        if middle is not None:
            return Step(middle)
    if len(trials[-1].rates) == 1 and not trials[-1].is_short:
        return Step(trials[-1].limit, 2)
    for slow, fast in _speed_edge(trials):
        if len(slow.rates) == 1:
            return Step(slow.limit, 2)
        middle = _between(slow.limit, fast.limit)
        if middle is not None:
            return Step(middle)
    return None


def steps_left(trials: Sequence[Trial], *, most: int) -> int:
    """About how many trials are still to come: each bisection halves the logarithm of what is open."""
    if not any(trial.limit >= most for trial in trials):
        return 1 + _halvings(LEAST_BYTES, most)
    edges = [*_living_edge(trials, LEAST_BYTES), *((slow.limit, fast.limit) for slow, fast in _speed_edge(trials))]
    open_steps = sum(_halvings(low, high) for low, high in edges)
    return max(open_steps, 0 if next_step(trials, most=most) is None else 1)


def conclude(trials: Sequence[Trial]) -> Found:
    """The two limits, as far as the trials tell."""
    lives = _lives_from(trials)
    if lives is None:
        return Found(None, None)
    doubt = _doubt_speed(trials)
    return Found(lives, None, doubt) if doubt else Found(lives, _fast_from(trials).limit)


def _between(low: int, high: int) -> int | None:
    """The limit in the middle, on logarithms; None where the two are one."""
    if high / low <= RESOLUTION:
        return None
    middle = round(math.sqrt(low * high) / _STEP) * _STEP
    return middle if low < middle < high else None


def _halvings(low: int, high: int) -> int:
    return max(0, math.ceil(math.log2(max(1.0, math.log(high / low) / math.log(RESOLUTION)))))


def _living_edge(trials: Sequence[Trial], least: int) -> Iterator[tuple[int, int]]:
    """The largest limit below which it died, and the smallest from which it lives; nothing where it never does."""
    lives = _lives_from(trials)
    if lives is not None:
        yield max((trial.limit for trial in trials if not trial.rates and trial.limit < lives), default=least), lives


def _speed_edge(trials: Sequence[Trial]) -> Iterator[tuple[Trial, Trial]]:
    """The largest slow limit and the smallest fast one; nothing where speed cannot be judged, or nothing is slow."""
    if _lives_from(trials) is None or _doubt_speed(trials):
        return
    fast = _fast_from(trials)
    slow = [trial for trial in trials if trial.rates and trial.limit < fast.limit]
    if slow:
        yield slow[-1], fast


def _lives_from(trials: Sequence[Trial]) -> int | None:
    """The smallest limit above every one at which it died."""
    died = max((trial.limit for trial in trials if not trial.rates), default=0)
    return min((trial.limit for trial in trials if trial.rates and trial.limit > died), default=None)


def _doubt_speed(trials: Sequence[Trial]) -> str | None:
    """Why speeds say nothing here, or None."""
    alive = [trial for trial in trials if trial.rates]
    top = alive[-1]
    if any(trial.is_short for trial in alive):
        return f"an epoch takes less than {LEAST_EPOCH_S} s: use more images"
    if len(top.rates) < 2:
        return "the largest limit ran only once"
    if min(top.rates) < FULL_SPEED * top.best:
        return f"two runs under the largest limit differ by {100 * (top.best / min(top.rates) - 1):.0f} %"
    if top.best < FULL_SPEED * max(trial.best for trial in alive):
        return "a run under a smaller limit was faster than under the largest"
    return None


def _fast_from(trials: Sequence[Trial]) -> Trial:
    """The smallest limit from which on every trial is at full speed."""
    alive = [trial for trial in trials if trial.rates]
    full = max(trial.best for trial in alive)
    fast = alive[-1]
    for trial in reversed(alive):
        if trial.best < FULL_SPEED * full:
            break
        fast = trial
    return fast


@dataclass(frozen=True)
class Answer:
    """One searched case on one host; ``trials`` are the limits that were tried, smallest first."""

    case: Case
    host: str
    trials: tuple[Trial, ...]
    found: Found

    @property
    def is_open(self) -> bool:
        """Whether trials are still to come: the search was stopped, or its time was up."""
        return next_step(self.trials, most=self.trials[-1].limit) is not None


def find_limits(setting: Setting) -> list[Answer]:
    """The answers of a setting, in the order of its trials; empty where nothing was searched."""
    cases = {row.case.model_copy(update={"memory_limit": "search"}): None for row in setting.trials}
    records = [record for row in (*setting.trials, *setting.rows) for record in row.summary.records]
    hosts = sorted({record.host for row in setting.trials for record in row.summary.records})
    answers = []
    for case in cases:
        for host in hosts:
            trials = tuple(trials_of(records, case, host))
            if trials:
                answers.append(Answer(case, host, trials, conclude(trials)))
    return answers

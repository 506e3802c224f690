"""``memory_limit: search``: the smallest limit in which a case runs, and the smallest one with full speed. Pure.

Two bisections on the logarithm of the limit: for whether the case runs, then for its speed. Each trial is an ordinary
run under an ordinary limit, so that known results are never measured again. Running out of memory repeats itself,
speeds vary: the largest limit is tried twice, and a limit counts as slow only when a second run there was slow, too.
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
from harness.values.units import format_bytes

RESOLUTION = 1.05
"""Two limits within this factor count as one."""
FULL_SPEED = 0.95
"""Share of the best rate that counts as full speed."""
LEAST_BYTES = 128 * 2**20
"""With less memory not even the import of TensorFlow succeeds."""
_STEP = 10**6


@dataclass(frozen=True)
class Trial:
    """What is known about one limit: ``rates`` are the images/s of its runs, empty where one of them did not finish.

    Such a run was out of memory (``has_died``), or not done in time. ``is_short``: an epoch was too short for the rates
    to mean anything.
    """

    limit: int
    rates: tuple[float, ...]
    is_short: bool = False
    has_died: bool = False

    @property
    def best(self) -> float:
        """Return the best rate: a disturbance makes a run slower, and hardly ever faster."""
        return max(self.rates, default=0.0)


@dataclass(frozen=True)
class Step:
    """The next trial: a limit in bytes, and the number of the run under this limit, from 1."""

    limit: int
    number: int = 1


@dataclass(frozen=True)
class Found:
    """The limits that were found, in bytes.

    They are None where the case runs under no limit of the host, or where its speed cannot be judged, because of
    ``doubt``.
    """

    lives_from: int | None
    full_speed_from: int | None
    doubt: str | None = None


def trials_of(records: Iterable[Record], case: Case, host: str) -> list[Trial]:
    """Return what is known of a case under all limits on a host, smallest first; a single OOM under a limit counts."""
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
    """Return the next trial, beginning with the largest limit ``most``; None where the search is finished."""
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
    """Estimate how many trials are left: each one halves the logarithm of the open interval."""
    if not any(trial.limit >= most for trial in trials):
        return 1 + _halvings(LEAST_BYTES, most)
    edges = [*_living_edge(trials, LEAST_BYTES), *((slow.limit, fast.limit) for slow, fast in _speed_edge(trials))]
    open_steps = sum(_halvings(low, high) for low, high in edges)
    return max(open_steps, 0 if next_step(trials, most=most) is None else 1)


def conclude(trials: Sequence[Trial]) -> Found:
    """Return the two limits, as far as the trials show them."""
    lives = _lives_from(trials)
    if lives is None:
        return Found(None, None)
    doubt = _doubt_speed(trials)
    return Found(lives, None, doubt) if doubt else Found(lives, _fast_from(trials).limit)


def say_limits(name: str, found: Found, *, where: str = "", is_open: bool = False) -> str:
    """Return ``tfdata runs from a memory limit of 900 MB on, and at full speed from 4 GB on (both within 5 %)``.

    ``found`` has a limit in which the case runs. ``where`` follows that limit; ``is_open``: the search is not finished.
    """
    fits = f"{name} runs from a memory limit of {format_bytes(found.lives_from)} on{where}"
    if is_open:
        return f"{fits}; the search is not finished"
    if found.full_speed_from is None:
        return f"{fits}; its speed cannot be judged: {found.doubt or 'no reason is known'}"
    return f"{fits}, and at full speed from {format_bytes(found.full_speed_from)} on (both within 5 %)"


def _between(low: int, high: int) -> int | None:
    """Return the limit in the middle, on logarithms; None where the two count as one."""
    if high / low <= RESOLUTION:
        return None
    middle = round(math.sqrt(low * high) / _STEP) * _STEP
    return middle if low < middle < high else None


def _halvings(low: int, high: int) -> int:
    return max(0, math.ceil(math.log2(max(1.0, math.log(high / low) / math.log(RESOLUTION)))))


def _living_edge(trials: Sequence[Trial], least: int) -> Iterator[tuple[int, int]]:
    """Yield the largest limit with an OOM and the smallest one in which the case runs; nothing where it never runs."""
    lives = _lives_from(trials)
    if lives is not None:
        yield max((trial.limit for trial in trials if not trial.rates and trial.limit < lives), default=least), lives


def _speed_edge(trials: Sequence[Trial]) -> Iterator[tuple[Trial, Trial]]:
    """Yield the largest slow limit and the smallest fast one; nothing where speed cannot be judged, or none is slow."""
    if _lives_from(trials) is None or _doubt_speed(trials):
        return
    fast = _fast_from(trials)
    slow = [trial for trial in trials if trial.rates and trial.limit < fast.limit]
    if slow:
        yield slow[-1], fast


def _lives_from(trials: Sequence[Trial]) -> int | None:
    """Return the smallest limit above all limits with an OOM."""
    died = max((trial.limit for trial in trials if not trial.rates), default=0)
    return min((trial.limit for trial in trials if trial.rates and trial.limit > died), default=None)


def _doubt_speed(trials: Sequence[Trial]) -> str | None:
    """Return why speeds cannot be judged; None where they can."""
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
    """Return the smallest limit from which on every trial has full speed."""
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
    """The result for a searched case on one host; ``trials`` are the limits that were tried, smallest first."""

    case: Case
    host: str
    trials: tuple[Trial, ...]
    found: Found

    @property
    def is_open(self) -> bool:
        """Return whether the search is not finished: it was stopped, or its budget was used up."""
        return next_step(self.trials, most=self.trials[-1].limit) is not None


def find_limits(setting: Setting) -> list[Answer]:
    """Return the answers of a setting, in the order of its trials; empty where nothing was searched."""
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

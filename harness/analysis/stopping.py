"""When a session with ``rounds: auto`` may end, and who takes part in its next round. Pure.

Of each setting and memory limit two things are asked: how the best case stands against the baseline, and against each
rival that could still be chosen. A comparison is closed when its interval has said it; when the rival can gain at most
5 %; or when the interval, as wide as it will be after the last round that can be afforded, would not say it either.
Cases that no open comparison needs stop taking part, except the baseline and the repeat check. One may decide so after
each round because the intervals hold at all rounds at once (``statistics``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from harness.analysis.comparison import Comparison, Measurement, compare
from harness.analysis.matrix import HardwareGroup, Setting
from harness.analysis.statistics import LEAST_PAIRS, THRESHOLD, Estimate, critical_t
from harness.values.record import Record

LEAST_ROUNDS = 3
MOST_ROUNDS = 20
EQUAL_DEATHS = 2
"""So many equal ends without a result under one limit settle a case."""

_DEATHS = ("oom", "timeout", "disk_full", "error")
_LIMIT = math.log(THRESHOLD)

K = TypeVar("K", bound=Hashable)

State = Literal["settled", "open", "hopeless"]


@dataclass(frozen=True)
class Question(Generic[K]):
    """One comparison that an answer needs: ``case`` ÷ ``other``, the best ÷ the baseline or a rival ÷ the best."""

    case: K
    other: K
    comparison: Comparison
    state: State


@dataclass(frozen=True)
class Contest(Generic[K]):
    """The cases of one setting and limit: which is ``best`` by now, and what is asked about it."""

    best: K
    baseline: K | None
    questions: tuple[Question[K], ...]

    @property
    def open(self) -> tuple[Question[K], ...]:
        """The questions that further rounds may answer."""
        return tuple(question for question in self.questions if question.state == "open")

    @property
    def needed(self) -> frozenset[K]:
        """The cases that an open question needs, with the baseline; none where none is open."""
        cases = {case for question in self.open for case in (question.case, question.other)}
        return frozenset(cases | {self.baseline} if cases and self.baseline is not None else cases)


def hold_contest(
    measured: Mapping[K, Sequence[Measurement]],
    baseline: K | None,
    *,
    evidence: float,
    rounds_left: int,
    bound: Collection[K] = (),
) -> Contest[K] | None:
    """Say which case is best by now and which questions about it are open; None without two cases to compare.

    ``measured`` holds the cases that could be chosen and the baseline, ``bound`` those that are as fast as their model
    allows, of which none can gain on another. ``rounds_left`` is how many more rounds can be afforded.
    """
    if len(measured) < 2:
        return None
    against = {
        key: compare(found, measured[baseline], evidence)
        for key, found in measured.items()
        if baseline is not None and key != baseline
    }
    best = max(measured, key=lambda key: _standing(key, measured, baseline, against))
    questions: list[Question[K]] = []
    for key in measured:
        if key == best:
            continue
        is_baseline = key == baseline
        case, other = (best, key) if is_baseline else (key, best)
        found = against[best] if is_baseline else compare(measured[key], measured[best], evidence)
        state = _judge(found.ratio, evidence, rounds_left, is_against_baseline=is_baseline)
        questions.append(Question(case, other, found, "settled" if key in bound and best in bound else state))
    return Contest(best, baseline, tuple(questions))


def _standing(
    key: K, measured: Mapping[K, Sequence[Measurement]], baseline: K | None, against: Mapping[K, Comparison]
) -> float:
    """How fast a case is, as the logarithm of its ratio to the baseline; without one of its mean."""
    if baseline is None:
        return math.fsum(math.log(each.value) for each in measured[key]) / max(1, len(measured[key]))
    if key == baseline:
        return 0.0
    ratio = against[key].ratio
    return -math.inf if ratio is None else math.log(ratio.value)


def _judge(ratio: Estimate | None, evidence: float, rounds_left: int, *, is_against_baseline: bool) -> State:
    """Return the state of a question: whether it is closed now, or can be after the rounds that are left."""
    pairs = 0 if ratio is None else ratio.n
    if ratio is not None and ratio.low is not None and ratio.high is not None:
        centre, half = math.log(ratio.value), (math.log(ratio.high) - math.log(ratio.low)) / 2
        if _is_closed(centre, half, is_against_baseline=is_against_baseline):
            return "settled"
    if rounds_left <= 0:
        return "hopeless"
    if ratio is None or ratio.log_deviation is None or pairs < LEAST_PAIRS:
        return "open" if pairs + rounds_left >= LEAST_PAIRS else "hopeless"
    last = pairs + rounds_left
    half = critical_t(last, evidence) * ratio.log_deviation / math.sqrt(last)
    can_close = _is_closed(math.log(ratio.value), half, is_against_baseline=is_against_baseline)
    return "open" if can_close else "hopeless"


def _is_closed(centre: float, half: float, *, is_against_baseline: bool) -> bool:
    """Whether an interval of a log ratio says what is asked: the first can gain at most 5 %, or is surely faster."""
    return centre + half <= _LIMIT or (is_against_baseline and centre - half > _LIMIT)


@dataclass(frozen=True)
class Standing:
    """What the records of a host answer by now: one contest, of cases by case_id, a setting and limit."""

    contests: tuple[Contest[str], ...]

    def among(self, cases: Collection[str]) -> Standing:
        """Return what is asked of these cases alone."""
        contests = (
            replace(
                contest, questions=tuple(one for one in contest.questions if one.case in cases and one.other in cases)
            )
            for contest in self.contests
        )
        return Standing(tuple(contest for contest in contests if contest.questions))

    @property
    def open(self) -> tuple[Question[str], ...]:
        """All questions that further rounds may answer."""
        return tuple(question for contest in self.contests for question in contest.open)

    @property
    def hopeless(self) -> tuple[Question[str], ...]:
        """All questions that no round that can be afforded answers."""
        return tuple(each for contest in self.contests for each in contest.questions if each.state == "hopeless")

    @property
    def needed(self) -> frozenset[str]:
        """The cases that an open question needs, with their baselines."""
        return frozenset[str]().union(*(contest.needed for contest in self.contests))


def judge_standing(groups: Iterable[HardwareGroup], rounds_left: int) -> Standing:
    """Say of each setting and limit what is asked and whether it is answered."""
    found = [
        contest
        for group in groups
        for setting in group.settings
        for limit in setting.limits
        if (contest := _hold(setting, limit, rounds_left)) is not None
    ]
    return Standing(tuple(found))


def _hold(setting: Setting, limit: int | str, rounds_left: int) -> Contest[str] | None:
    rows = [row for row in setting.pipelines_at(limit) if row.summary.used and not is_settled(row.summary.records)]
    rows = [row for row in rows if row.outlook is None or row.outlook.holds]
    if any(row.summary.short_epochs(setting.metric) is not None for row in rows):
        return None  # no number of rounds makes epochs longer
    baseline = next((row for row in rows if row.is_baseline), None)
    return hold_contest(
        {row.summary.case_id: row.summary.measurements(setting.metric) for row in rows},
        None if baseline is None else baseline.summary.case_id,
        evidence=setting.evidence,
        rounds_left=rounds_left,
        bound={row.summary.case_id for row in rows if row.model_bound},
    )


def is_settled(records: Iterable[Record]) -> bool:
    """Whether the records of one case, one an invocation, hold so many equal deaths that more would say the same."""
    ends: Counter[str] = Counter(record.status for record in records)
    return any(ends[status] >= EQUAL_DEATHS for status in _DEATHS)

"""When a session with ``rounds: auto`` may end, and which cases are in its next round. Pure.

Each setting and memory limit has two questions: how the best case compares with the baseline, and with each rival that
could still be chosen. A comparison is closed when its interval answers the question; when the rival can be at most 5 %
faster; or when even the interval after the last round within the budget would not answer it. Cases that no open
comparison needs are left out, except the baseline and the repeat check. This may be decided after each round because
the intervals hold in all rounds at once (``statistics``).
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
"""A case is settled after so many equal ends without a result under one limit."""

_DEATHS = ("oom", "timeout", "disk_full", "error")
_LIMIT = math.log(THRESHOLD)

K = TypeVar("K", bound=Hashable)

State = Literal["settled", "open", "hopeless"]


@dataclass(frozen=True)
class Question(Generic[K]):
    """A comparison that an answer needs: the best case ÷ the baseline, or a rival ÷ the best case."""

    case: K
    other: K
    comparison: Comparison
    state: State


@dataclass(frozen=True)
class Contest(Generic[K]):
    """The cases of one setting and limit: which is the ``best`` so far, and the questions about it."""

    best: K
    baseline: K | None
    questions: tuple[Question[K], ...]

    @property
    def open(self) -> tuple[Question[K], ...]:
        """Return the questions that further rounds may answer."""
        return tuple(question for question in self.questions if question.state == "open")

    @property
    def needed(self) -> frozenset[K]:
        """Return the cases that open questions need, with the baseline; none where no question is open."""
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
    """Return which case is the best so far and which questions about it are open; None without two cases to compare.

    ``measured`` holds the cases that could be chosen and the baseline, ``bound`` those that reach the model limit,
    which are equally fast. ``rounds_left`` is how many more rounds the budget allows.
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
    """Return the logarithm of a case's ratio to the baseline; without a baseline that of its mean."""
    if baseline is None:
        return math.fsum(math.log(each.value) for each in measured[key]) / max(1, len(measured[key]))
    if key == baseline:
        return 0.0
    ratio = against[key].ratio
    return -math.inf if ratio is None else math.log(ratio.value)


def _judge(ratio: Estimate | None, evidence: float, rounds_left: int, *, is_against_baseline: bool) -> State:
    """Return the state of a question: whether it is closed now, or can be closed by the remaining rounds."""
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
    """Return whether an interval of a log ratio closes a question: the first is at most 5 % or certainly faster."""
    return centre + half <= _LIMIT or (is_against_baseline and centre - half > _LIMIT)


@dataclass(frozen=True)
class Standing:
    """The state of all questions of a host: a contest of cases, by case_id, for each setting and limit."""

    contests: tuple[Contest[str], ...]

    def among(self, cases: Collection[str]) -> Standing:
        """Return only the questions about these cases."""
        contests = (
            replace(
                contest, questions=tuple(one for one in contest.questions if one.case in cases and one.other in cases)
            )
            for contest in self.contests
        )
        return Standing(tuple(contest for contest in contests if contest.questions))

    @property
    def open(self) -> tuple[Question[str], ...]:
        """Return all questions that further rounds may answer."""
        return tuple(question for contest in self.contests for question in contest.open)

    @property
    def hopeless(self) -> tuple[Question[str], ...]:
        """Return all questions that no round within the budget can answer."""
        return tuple(each for contest in self.contests for each in contest.questions if each.state == "hopeless")

    @property
    def needed(self) -> frozenset[str]:
        """Return the cases that open questions need, with their baselines."""
        return frozenset[str]().union(*(contest.needed for contest in self.contests))


def judge_standing(groups: Iterable[HardwareGroup], rounds_left: int) -> Standing:
    """Return the questions of each setting and limit, and whether they are answered."""
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
    """Return whether the records of a case, one for each run, end without a result often enough in the same way."""
    ends: Counter[str] = Counter(record.status for record in records)
    return any(ends[status] >= EQUAL_DEATHS for status in _DEATHS)

"""The rounds of one host: how many there are so far, and which cases take part in each. Pure.

With ``rounds: N`` each case takes part in N rounds. With ``rounds: auto`` a round is added while a comparison is open
(``analysis.stopping``), and only the cases that such a comparison needs take part in it. Decisions depend only on the
records of earlier rounds: a command that continues after a killed one decides the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.analysis.matrix import build_matrix
from harness.analysis.selection import current_records
from harness.analysis.stopping import LEAST_ROUNDS, MOST_ROUNDS, Standing, is_settled, judge_standing
from harness.analysis.validity import judge_all
from harness.experiment import Experiment
from harness.experiment.experiment import Rounds
from harness.values.case import Case
from harness.values.names import case_label
from harness.values.record import TRIAL, Record

_MOST_NAMED = 2


@dataclass(frozen=True)
class PlannedRounds:
    """The number of rounds of a host so far. ``parts`` has the case_ids of each round without some of the cases."""

    count: int
    parts: Mapping[int, frozenset[str]] = field(default_factory=dict)

    def takes_part(self, case: Case, round_number: int) -> bool:
        """Whether a case is measured in a round."""
        return round_number not in self.parts or case.case_id in self.parts[round_number]


def say_count(rounds: Rounds) -> str:
    """Return the number of rounds as ``5`` or ``3–20``."""
    return f"{LEAST_ROUNDS}–{MOST_ROUNDS}" if rounds == "auto" else str(rounds)


def say_rounds(rounds: Rounds) -> str:
    """Return the number of rounds as ``5 rounds`` or ``3–20 rounds``."""
    return f"{say_count(rounds)} round{'' if rounds == 1 else 's'}"


def merge_rounds(asked: int | None, written: Rounds, stored: object) -> Rounds:
    """Return the number of rounds of a session: that of ``--rounds``, else the larger of ``written`` and ``stored``.

    ``written`` is the experiment's number, ``stored`` that of the session's file (None for a new session).
    """
    if asked is not None:
        return asked
    if written == "auto" or not isinstance(stored, int) or isinstance(stored, bool):
        return written
    return max(written, stored)


def count_begun(records: Iterable[Record], host: str) -> int:
    """Return the last round that a host has begun; trials of a limit search belong to none."""
    return max((record.round for record in records if record.host == host and record.alias != TRIAL), default=0)


def plan_rounds(
    experiment: Experiment,
    cases: Sequence[Case],
    records: Iterable[Record],
    host: str,
    *,
    repeat_check: Case | None,
    added: frozenset[str] | None = None,
) -> PlannedRounds:
    """Plan the rounds of a host: with ``auto``, the rounds that it has begun, and at least three.

    ``repeat_check`` is the case that each round runs twice. ``added`` are the cases of one further round.
    """
    if experiment.rounds != "auto":
        return PlannedRounds(experiment.rounds)
    own = [record for record in records if record.host == host and record.alias != TRIAL]
    begun = count_begun(own, host)
    parts: dict[int, frozenset[str]] = {}
    for number in range(1, max(LEAST_ROUNDS, begun) + 1):
        before = [record for record in own if record.round < number]
        settled = find_settled(before)
        if number <= LEAST_ROUNDS:
            if settled:
                parts[number] = frozenset(case.case_id for case in cases) - settled
            continue
        known = frozenset(record.case_id for record in own if record.round == number)
        if number == begun:
            known |= find_needed(judge_host(experiment, before, MOST_ROUNDS - number + 1), repeat_check, before)
        parts[number] = known
    count = max(LEAST_ROUNDS, begun)
    if added is not None:
        count += 1
        parts[count] = added
    return PlannedRounds(count, parts)


def judge_host(experiment: Experiment, records: Iterable[Record], rounds_left: int) -> Standing:
    """Judge which comparisons the records of one host settle, if ``rounds_left`` more rounds are possible."""
    baseline = experiment.model_dump(mode="json")["baseline"]
    return judge_standing(build_matrix(judge_all(list(records)), baseline), rounds_left)


def find_needed(standing: Standing, repeat_check: Case | None, records: Iterable[Record]) -> frozenset[str]:
    """Return the case_ids of one further round: what open comparisons need, and the repeat check unless it failed."""
    if not standing.open:
        return frozenset()
    always = {repeat_check.case_id} if repeat_check is not None else set()
    return standing.needed | (always - find_settled(records))


def say_open(standing: Standing, cases: Sequence[Case]) -> str:
    """Return the unsettled comparisons as ``tfdata, cache file against tfdata and 2 more``."""
    labels = {case.case_id: case_label(case, cases) for case in cases}
    asked = standing.open or standing.hopeless
    said = [f"{labels.get(each.case, each.case)} against {labels.get(each.other, each.other)}" for each in asked]
    more = f" and {len(said) - _MOST_NAMED} more" if len(said) > _MOST_NAMED else ""
    return "; ".join(said[:_MOST_NAMED]) + more


def find_settled(records: Iterable[Record]) -> frozenset[str]:
    """Return the case_ids that need no further rounds because two runs ended in the same failure."""
    by_case: dict[str, list[Record]] = {}
    for record in current_records(records).values():
        if record.alias is None:
            by_case.setdefault(record.case_id, []).append(record)
    return frozenset(case_id for case_id, found in by_case.items() if is_settled(found))

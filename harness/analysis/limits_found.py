"""What searches for limits found, by setting: for each pipeline and host the smallest limit, and the one of full speed.

Pure; made of the trials in the records, so that it can be said again of an old session.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.limit_search import Found, Trial, conclude, next_step, trials_of
from harness.analysis.matrix import Setting
from harness.values.case import Case


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

"""Sessions of which the truth is known, run by the rules that real ones are run by.

Ten cases run in complete random rounds on a host that slows by 6 % over twenty rounds. Each invocation has noise of
its own, and one in ten is an outlier, slowed by a quarter; of those a share is seen to be disturbed, and repeated at
the end of its round with the baseline beside it. After each round the code that decides in a real session decides here:
which evidence is asked for, which comparisons are open, who takes part in the next round, and when to stop.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from harness.analysis.comparison import Comparison, Measurement, compare
from harness.analysis.noise import NoiseFloor, evidence_for, measure_floor
from harness.analysis.stopping import LEAST_ROUNDS, MOST_ROUNDS, Contest, hold_contest

CASES = 10
BASELINE, FASTEST = 0, CASES - 1
TWIN = -1
DRIFT, OUTLIERS, SLOWED = 0.06, 0.10, 1.25
BUSY = ("host-busy",)


@dataclass(frozen=True)
class Truth:
    """What is true in a session: one case is ``ratio`` times as fast as the others, or with ``are_all`` all but one."""

    ratio: float
    noise: float
    outliers: float = OUTLIERS
    seen: float = 0.5
    are_all: bool = False

    def speed(self, case: int) -> float:
        """Return how fast a case is, where the baseline is 1; the twin is the baseline once more."""
        return self.ratio if case == FASTEST or (self.are_all and case > BASELINE) else 1.0


@dataclass
class Session:
    """One host's part of a session: what was measured, and what came of it."""

    host: str
    truth: Truth
    numbers: random.Random
    rounds: int = 0
    done: int = 0
    evidence: float = 0.0
    measured: dict[int, list[Measurement]] = field(default_factory=lambda: {case: [] for case in range(TWIN, CASES)})
    contest: Contest[int] | None = None
    found_at: int | None = None
    missed: set[int] = field(default_factory=set)

    def run(self) -> Session:
        """Run until nothing is open, or the last round is done."""
        part = frozenset(range(CASES))
        while part and self.rounds < MOST_ROUNDS:
            self.rounds += 1
            self._run_round([TWIN, *part])
            if self.rounds >= LEAST_ROUNDS:
                part = self._decide()
        return self

    def against_baseline(self, case: int) -> Comparison:
        """Return how a case compares with the baseline, as a report would say it."""
        return compare(self.measured[case], self.measured[BASELINE], self.evidence)

    def _run_round(self, cases: list[int]) -> None:
        disturbed = {case for case in self.numbers.sample(cases, len(cases)) if self._measure(case, 1)}
        if disturbed:
            for case in self.numbers.sample(sorted(disturbed | {BASELINE}), len(disturbed | {BASELINE})):
                self._measure(case, 2)

    def _measure(self, case: int, attempt: int) -> bool:
        """Measure a case; returns whether it was seen to be disturbed."""
        slowing = 1 - DRIFT * self.done / (MOST_ROUNDS * (CASES + 1))
        rate = 100 * self.truth.speed(case) * slowing * self.numbers.lognormvariate(0, self.truth.noise)
        is_seen = False
        if self.numbers.random() < self.truth.outliers:
            rate /= SLOWED
            is_seen = self.numbers.random() < self.truth.seen
        self.done += 1
        self.measured[case].append(Measurement("s", self.host, self.rounds, rate, BUSY if is_seen else (), attempt))
        return is_seen

    def _floors(self) -> list[NoiseFloor]:
        floor = measure_floor(self.host, "0", self.measured[TWIN], self.measured[BASELINE])
        return [] if floor is None else [floor]

    def _decide(self) -> frozenset[int]:
        self.evidence = evidence_for(self._floors(), CASES - 1)
        cases = {case: self.measured[case] for case in range(CASES)}
        self.contest = hold_contest(cases, BASELINE, evidence=self.evidence, rounds_left=MOST_ROUNDS - self.rounds)
        assert self.contest is not None
        for question in self.contest.questions:
            ratio = question.comparison.ratio
            if question.other == BASELINE and question.comparison.verdict.kind == "faster" and self.found_at is None:
                self.found_at = self.rounds
            true = self.truth.speed(question.case) / self.truth.speed(question.other)
            if ratio is not None and ratio.low is not None and not ratio.low <= true <= (ratio.high or 0):
                self.missed.add(question.case)
        return self.contest.needed


def is_false(comparison: Comparison, ratio: float) -> bool:
    """Whether a verdict is not true of this ratio."""
    return {
        "faster": ratio <= 1.05,
        "slower": ratio >= 1 / 1.05,
        "same": not 1 / 1.05 <= ratio <= 1.05,
        "unknown": False,
    }[comparison.verdict.kind]


@dataclass
class Tally:
    """What many sessions came to, as shares: of the comparisons those ``covered``, whose interval held the truth after
    all rounds; of the sessions those with any false verdict (``wrong``), in which the best is called faster than the
    baseline (``found``, and ``early`` within ten rounds). ``found_after`` and ``rounds`` are means; ``saved`` is of all
    that twenty whole rounds would have measured.
    """

    covered: float
    wrong: float
    found: float
    early: float
    found_after: float
    rounds: float
    saved: float


def simulate(truth: Truth, sessions: int, seed: int = 7) -> Tally:
    """Run many sessions; the same seed gives the same figures."""
    numbers = random.Random(f"{seed} {truth}")
    done = [Session("ws01", truth, numbers).run() for _ in range(sessions)]
    wrong = sum(_is_wrong(one) for one in done)
    found = [one.found_at for one in done if one.found_at is not None and _names_it(one)]
    missed = sum(len(one.missed) for one in done)
    return Tally(
        covered=1 - missed / (sessions * (CASES - 1)),
        wrong=wrong / sessions,
        found=len(found) / sessions,
        early=sum(at <= 10 for at in found) / sessions,
        found_after=sum(found) / len(found) if found else float("nan"),
        rounds=sum(one.rounds for one in done) / sessions,
        saved=1 - sum(one.done for one in done) / (sessions * MOST_ROUNDS * (CASES + 1)),
    )


def _names_it(session: Session) -> bool:
    """Whether the best case at the end is truly the fastest, and called faster than the baseline."""
    best = session.contest.best if session.contest else BASELINE
    is_best = session.truth.speed(best) == session.truth.speed(FASTEST)
    return is_best and best != BASELINE and session.against_baseline(best).verdict.kind == "faster"


def _is_wrong(session: Session) -> bool:
    truth, contest = session.truth, session.contest
    questions = contest.questions if contest else ()
    said = [(one.comparison, truth.speed(one.case) / truth.speed(one.other)) for one in questions]
    said += [(session.against_baseline(case), truth.speed(case)) for case in range(1, CASES)]
    return any(is_false(comparison, ratio) for comparison, ratio in said)

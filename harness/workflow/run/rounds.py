"""The rounds of one host: what is left of those that are planned, and with ``rounds: auto`` more until it is enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.analysis.findings import find
from harness.records.folder import SessionFolder
from harness.records.journal import Journal
from harness.session.invocations import HostDigests, remaining
from harness.session.runner import HostRunner
from harness.session.setup import HostSetup
from harness.values.event import Event, HostPlanned, RoundAdded, SessionFinding, SessionStarted
from harness.values.record import Record
from harness.values.units import format_duration
from harness.workflow.planning import HostPlan, PlannedHost, open_interval, plan_session, rounds_at_start, widths_of
from harness.workflow.resolve import Resolved


@dataclass(frozen=True)
class HostRounds:
    """One host that rounds are run on."""

    resolved: Resolved
    setup: HostSetup
    digests: HostDigests
    folder: SessionFolder
    journal: Journal
    runner: HostRunner
    emit: Callable[[Event], None]
    rerun_failed: bool = False
    argv: tuple[str, ...] = ()

    @property
    def host(self) -> PlannedHost:
        """The host as planning sees it."""
        return PlannedHost.of(self.setup)

    def read(self) -> list[Record]:
        """Return its records in this session, oldest first."""
        return self.journal.records_of(self.setup.host)

    def plan(self, records: Sequence[Record], rounds: int | None = None) -> HostPlan:
        """Plan what the host has to do, and what is left of it."""
        again = self.rerun_failed
        found = plan_session(self.resolved, self.host, self.digests, records, rounds=rounds, rerun_failed=again)
        self.emit(HostPlanned(self.setup.host, found.in_session))
        return found


@dataclass(frozen=True)
class _Done:
    """What became of a plan: the identities in it, how many are left, and whether nothing more is to begin."""

    identities: set[str]
    left: int
    is_over: bool


def run_rounds(on: HostRounds) -> set[str]:
    """Run all rounds; returns the identities of their invocations. Raises HostUnreachable, SessionError."""
    experiment, host = on.resolved.experiment, on.setup.host
    rounds = first = rounds_at_start(experiment, on.read(), host)
    while True:
        done = _run(on, rounds, is_first=rounds == first)
        if experiment.rounds != "auto":
            if done.left and done.is_over and not on.runner.is_stopped:
                _tell_budget(on, done.left)
            return done.identities
        widths = widths_of(on.resolved, on.read(), host)
        reason = open_interval(widths, experiment.interval, on.resolved.matrix.cases)
        if done.is_over or reason is None or rounds >= experiment.most_rounds:
            _tell_rounds(on, rounds, reason, is_over=done.is_over)
            return done.identities
        rounds += 1
        on.emit(RoundAdded(host, rounds, reason))


def _run(on: HostRounds, rounds: int, *, is_first: bool) -> _Done:
    """Do what is left of so many rounds."""
    records = on.read()
    plan = on.plan(records, rounds)
    if is_first:
        name, place, left_s = on.folder.name, str(on.folder.path), plan.seconds_left(records)
        numbers = plan.done, plan.planned
        counts = {str(kind): number for kind, number in plan.count_outcomes(records).items()}
        on.emit(SessionStarted(name, place, bool(records), *numbers, on.argv, counts, on.setup.host, left_s))
    if plan.todo or not plan.searches:
        on.runner.run(plan.todo, done=plan.done, planned=plan.planned, known=records, later=plan.coming_trials)
    # else what may still run on the host is a search's trial: the search takes it over
    left = remaining(plan.invocations, on.read(), rerun_failed=False)
    return _Done({invocation.identity for invocation in plan.invocations}, len(left), on.runner.is_over)


def _tell_budget(on: HostRounds, left: int) -> None:
    budget = format_duration(on.resolved.experiment.budget_s)
    message = f"the budget of {budget} is used up: {left} invocations were not begun"
    on.emit(SessionFinding.of(find("budget-over", message, "the same command goes on with them"), on.setup.host))


def _tell_rounds(on: HostRounds, rounds: int, reason: str | None, *, is_over: bool) -> None:
    """Tell why ``rounds: auto`` ended; nothing where the user ended it."""
    if on.runner.is_stopped:
        return
    if reason is None:
        width = 100 * on.resolved.experiment.interval
        message = f"after {rounds} rounds every interval that matters is at most {width:.3g} % wide, as declared"
        on.emit(SessionFinding.of(find("rounds-settled", message, "nothing has to be done"), on.setup.host))
        return
    why = f"the budget is used up in round {rounds}" if is_over else f"{rounds} rounds are the most that are run"
    hint = "the same command goes on, with a budget of its own" if is_over else "see why the host is so noisy"
    on.emit(SessionFinding.of(find("rounds-open", f"{why}, and {reason}", hint), on.setup.host))

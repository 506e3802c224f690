"""Running the rounds of one host: the planned ones, and with ``rounds: auto`` more until all is settled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.analysis.findings import find
from harness.analysis.stopping import LEAST_ROUNDS, MOST_ROUNDS, Standing
from harness.analysis.time_left import seconds_left
from harness.records.folder import SessionFolder
from harness.records.journal import Journal
from harness.session.invocations import HostDigests, Invocation, coming_of
from harness.session.run_options import RunOptions
from harness.session.runner import HostRunner
from harness.session.setup import HostSetup
from harness.values.event import Event, HostFinished, HostPlanned, RoundAdded, SessionFinding, SessionStarted
from harness.values.record import Record, Severity
from harness.values.text import plural
from harness.values.units import format_duration
from harness.workflow.planning import HostPlan, PlannedHost, plan_session
from harness.workflow.resolve import Resolved
from harness.workflow.round_planning import count_begun, find_needed, find_settled, judge_host, say_open

_LITTLE = 0.1
"""The share of a budget that a round needs at least if its time is not known."""


@dataclass(frozen=True)
class HostRounds:
    """One host, and all that running its rounds needs."""

    resolved: Resolved
    setup: HostSetup
    digests: HostDigests
    folder: SessionFolder
    journal: Journal
    runner: HostRunner
    emit: Callable[[Event], None]
    options: RunOptions

    @property
    def host(self) -> PlannedHost:
        """The host as the planner sees it."""
        return PlannedHost.of(self.setup)

    def read(self) -> list[Record]:
        """Return the host's records in this session, oldest first."""
        return self.journal.records_of(self.setup.host)

    def is_wanted(self, invocation: Invocation, records: Sequence[Record]) -> bool:
        """Whether a run is still needed after the rounds before it: with ``auto``, equal failures settle a case."""
        before = [record for record in records if record.round < invocation.round]
        is_auto = self.resolved.experiment.rounds == "auto"
        return not is_auto or invocation.case.case_id not in find_settled(before)

    def plan(self, records: Sequence[Record], added: frozenset[str] | None = None) -> HostPlan:
        """Plan all runs of the host and what is left, and emit the plan."""
        again = self.options.rerun_failed
        found = plan_session(self.resolved, self.host, self.digests, records, added=added, rerun_failed=again)
        self.emit(HostPlanned(self.setup.host, found.in_session, found.rounds.count, found.in_round))
        return found

    def finish(self) -> None:
        """Emit how many of the requested runs are done at the end."""
        found = plan_session(self.resolved, self.host, self.digests, self.read())
        self.emit(HostFinished(self.setup.host, found.done, found.planned))


def run_rounds(on: HostRounds) -> set[str]:
    """Run all rounds and return the identities of their runs. Raises HostUnreachable, SessionError."""
    experiment, host = on.resolved.experiment, on.setup.host
    plan = on.plan(on.read())
    _tell_start(on, plan)
    _tell_short_budget(on, plan)
    while True:
        left = _run(on, plan)
        if experiment.rounds != "auto":
            if left and not on.runner.is_stopped:
                _tell_budget(on, left)
            break
        if on.runner.is_stopped:
            break
        records = on.read()
        rounds_left = MOST_ROUNDS - plan.rounds.count
        standing = _judge(on, records, rounds_left)
        more, is_late = _plan_more(on, plan, standing, records), False
        if more is not None and (affordable := _count_affordable(on, more, records)) < rounds_left:
            standing = _judge(on, records, affordable)
            more = _plan_more(on, plan, standing, records)
            is_late = more is None
        if left or more is None:
            _tell_end(on, count_begun(records, host), standing, is_late=is_late, left=left)
            break
        plan = more
        reason = say_open(standing, on.resolved.matrix.cases)
        on.emit(RoundAdded(host, plan.rounds.count, reason, len(standing.open), MOST_ROUNDS))
    return {invocation.identity for invocation in plan.invocations}


def _judge(on: HostRounds, records: Sequence[Record], rounds_left: int) -> Standing:
    """Judge which of the requested comparisons the records settle."""
    standing, only = judge_host(on.resolved.experiment, records, rounds_left), on.resolved.only
    return standing if only is None else standing.among(only)


def _plan_more(on: HostRounds, plan: HostPlan, standing: Standing, records: Sequence[Record]) -> HostPlan | None:
    """Plan a further round with the cases that open comparisons need; None if there is nothing to run."""
    if not standing.open:
        return None
    more = on.plan(records, find_needed(standing, plan.repeat_check, records))
    return more if more.todo else None


def _count_affordable(on: HostRounds, more: HostPlan, records: Sequence[Record]) -> int:
    """Return for how many rounds like ``more`` there is time."""
    needed_s, left_s = seconds_left(coming_of(more.todo), records), on.runner.seconds_left
    return MOST_ROUNDS if not needed_s or left_s is None else int(left_s // needed_s)


def _tell_start(on: HostRounds, plan: HostPlan) -> None:
    records = on.read()
    name, place, left_s = on.folder.name, str(on.folder.path), plan.seconds_left(records)
    counts = {str(kind): number for kind, number in plan.count_outcomes(records).items()}
    started = SessionStarted(
        name, place, bool(records), plan.done, plan.planned, on.options.argv_to_continue, counts, on.setup.host, left_s
    )
    on.emit(started)


def _tell_short_budget(on: HostRounds, plan: HostPlan) -> None:
    """Report if preparation has left too little of the budget for the first round, with the command for more time."""
    budget_s, left_s = on.resolved.experiment.budget_s, on.runner.seconds_left
    if budget_s is None or left_s is None or not plan.todo or on.read():
        return
    needed_s = seconds_left(coming_of([each for each in plan.todo if each.round == plan.todo[0].round]), [])
    if left_s >= (_LITTLE * budget_s if needed_s is None else needed_s):
        return
    used, left = format_duration(max(0.0, budget_s - left_s)), format_duration(left_s) if left_s >= 1 else "nothing"
    about = "" if needed_s is None else f", and the first round takes about {format_duration(needed_s)}"
    budget = format_duration(budget_s)
    message = f"{used} of the budget of {budget} were used before the first round: {left} is left{about}"
    wanted_s = LEAST_ROUNDS * (needed_s or 0.0)
    command = on.options.say_how_to_continue(wanted_s if wanted_s > budget_s else None)
    hint = f"the preparation is kept; continue with a new budget:  {command}"
    found = SessionFinding.of(find("budget-short", message, hint), on.setup.host)
    on.emit(replace(found, needed_s=wanted_s or None))


def _run(on: HostRounds, plan: HostPlan) -> int:
    """Run what is left of the planned rounds. Returns how many runs could not be started in time."""
    records = on.read()
    left_s = on.runner.seconds_left
    is_late = left_s is not None and (plan.seconds_left(records) or 0.0) > left_s
    todo = plan.todo if is_late else plan.in_order
    if todo or not plan.searches:
        on.runner.run(
            todo,
            done=plan.done,
            planned=plan.planned,
            known=records,
            later=plan.coming_trials,
            repeats_of=plan.repeats_of,
            is_wanted=on.is_wanted,
        )
    # Otherwise a job that still runs on the host is a trial of a limit search, which adopts it.
    return len(on.plan(on.read()).todo) if on.runner.is_over else 0


def _tell_budget(on: HostRounds, left: int) -> None:
    budget = format_duration(on.resolved.experiment.budget_s)
    message = f"the budget of {budget} is used up: {plural(left, 'run')} not started"
    on.emit(SessionFinding.of(find("budget-over", message, "the same command continues with them"), on.setup.host))


def _tell_end(on: HostRounds, rounds: int, standing: Standing, *, is_late: bool, left: int) -> None:
    """Report why ``rounds: auto`` ended: all comparisons are settled, or which are not, and why.

    ``is_late``: a further round would probably take longer than the budget allows. ``left`` counts the runs that were
    not started because the budget was used up.
    """
    unanswered = (*standing.open, *standing.hopeless)
    if on.resolved.only is not None and not standing.contests:
        return
    if left:
        _tell_budget(on, left)
    if left and not unanswered:
        return  # the comparisons of these runs are not settled
    if not unanswered:
        message = f"after {plural(rounds, 'round')} every comparison behind the advice is settled"
        on.emit(SessionFinding.of(find("rounds-settled", message, "nothing to do"), on.setup.host))
        return
    count = plural(len(unanswered), "comparison")
    severity: Severity = "warning" if is_late or left else "info"  # "A or B" is an answer
    why = f"even {MOST_ROUNDS} rounds would not settle them"
    hint = "the answer states how much they can differ; a quieter host would narrow it"
    if left:
        why, hint = "the budget is used up", "the same command continues, with a new budget"
    elif is_late:
        why = f"the rest of the budget of {format_duration(on.resolved.experiment.budget_s)} would not settle them"
        hint = "the same command continues, with a new budget"
    named = say_open(standing, on.resolved.matrix.cases)
    message = f"after {plural(rounds, 'round')}, {count} not settled ({named}): {why}"
    on.emit(SessionFinding.of(find("rounds-open", message, hint, severity=severity), on.setup.host))

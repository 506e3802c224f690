"""``memory_limit: search`` on one host: a sequence of trials, each an ordinary run under an ordinary limit."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.findings import find
from harness.analysis.limit_search import Step, conclude, next_step, say_limits, trials_of
from harness.analysis.outcomes import explain_outcome, outcome_of
from harness.analysis.selection import current_records
from harness.session.invocations import Invocation, plan_one, remaining
from harness.values.case import Case
from harness.values.event import SessionFinding
from harness.values.names import case_label
from harness.values.record import TRIAL, TWIN, Record
from harness.values.units import format_bytes
from harness.workflow.planning import predict_all, refusals_of
from harness.workflow.run.rounds import HostRounds

_MOST_TRIALS = 40
"""Trials of one case at most; bisection needs up to about 24."""


def search_limits(cases: Sequence[Case], on: HostRounds) -> set[str]:
    """Search the smallest limit, and the one for full speed, of each case that asks for it.

    Returns the identities of all trials.
    """
    identities: set[str] = set()
    for case in cases:
        if case.memory_limit == "search" and not on.runner.is_stopped:
            name = case_label(_without_limit(case), map(_without_limit, cases))
            identities |= _search(case, name, on)
    return identities


def _search(case: Case, name: str, on: HostRounds) -> set[str]:
    """Search the limits of one case and return the identities of its trials."""
    identities: set[str] = set()
    reason: str | None = f"{_MOST_TRIALS} trials were not enough"
    while len(identities) < _MOST_TRIALS:
        records = on.read()
        step = next_step(trials_of(records, case, on.setup.host), most=on.setup.memory_available)
        if step is None:
            reason = None
            break
        trial = _plan_trial(case, step, on)
        if trial.identity in identities:
            reason = f"the trial under {format_bytes(step.limit)} {_say_end(trial, records)}"
            break
        identities.add(trial.identity)
        todo = remaining([trial], records, rerun_failed=on.options.rerun_failed)
        if on.runner.is_over:
            reason = "the budget is used up"
            break
        plan = on.plan(records)
        later = plan.coming_trials[len(todo) :]
        planned = max(plan.planned, plan.done + len(todo))
        on.runner.run(todo, done=plan.done, planned=planned, known=records, later=later)
        if trial.is_refuted:  # the loader failed the same-work check: one record is enough
            return identities
    _tell(case, name, on, reason)
    return identities


def _plan_trial(case: Case, step: Step, on: HostRounds) -> Invocation:
    """Plan a trial. The second run at the largest limit is the repeat check (A/A); at others it is a second round."""
    tried = case.model_copy(update={"memory_limit": step.limit})
    predictions = predict_all([tried], on.host)
    refused = refusals_of([tried], on.host, predictions)
    is_twin = step.number == 2 and step.limit >= on.setup.memory_available
    return plan_one(
        on.digests,
        tried,
        alias=TWIN if is_twin else TRIAL,
        round_number=1 if is_twin else step.number,
        order=1,
        memory_bytes=step.limit,
        predictions=predictions.get(tried.case_id),
        refusal=refused[0] if refused else None,
    )


def _say_end(trial: Invocation, records: Sequence[Record]) -> str:
    record = current_records(records).get(trial.identity)
    if record is None:
        return "left no record"
    why = explain_outcome(record)
    again = "" if record.status == "skipped" else " (again with --rerun-failed)"
    return f"ended as {outcome_of(record).text}{': ' + why if why else ''}{again}"


def _without_limit(case: Case) -> Case:
    return case.model_copy(update={"memory_limit": "none"})


def _tell(case: Case, name: str, on: HostRounds, reason: str | None) -> None:
    trials = trials_of(on.read(), case, on.setup.host)
    found = conclude(trials)
    if reason is not None and on.runner.is_stopped:
        return
    if reason is not None:
        lives = format_bytes(found.lives_from)
        alive = f"it runs under {lives}" if found.lives_from else "it has not run under any limit yet"
        message = f"the limit search of {name} is not finished after {len(trials)} limits: {reason}; {alive}"
        hint = "the same command continues it"
        on.emit(SessionFinding.of(find("search-open", message, hint), on.setup.host))
        return
    hint = f"{len(trials)} limits were tried by bisection"
    if found.lives_from is None:
        most = format_bytes(on.setup.memory_available)
        message = f"{name} runs under no memory limit that this host can give (at most {most})"
    else:
        message = say_limits(name, found)
    on.emit(SessionFinding.of(find("limit-found", message, hint), on.setup.host))

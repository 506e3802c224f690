"""``memory_limit: search`` on one host: trial by trial, each an ordinary invocation under an ordinary limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.analysis.limit_search import conclude, next_limit, trials_of
from harness.session.plan import HostDigests, Invocation, plan_host, remaining
from harness.session.runner import HostRunner
from harness.session.setup import HostSetup
from harness.values.case import Case
from harness.values.event import Event, SessionFinding
from harness.values.record import Record
from harness.values.units import format_bytes
from harness.workflow.planning import predictions_of

_MOST_TRIALS = 24


def search_limits(
    cases: Sequence[Case],
    setup: HostSetup,
    digests: HostDigests,
    *,
    read: Callable[[], list[Record]],
    make_runner: Callable[[], HostRunner],
    emit: Callable[[Event], None],
) -> set[str]:
    """Try limits until both answers are known for each case that asks; the identities of all trials."""
    identities: set[str] = set()
    for case in cases:
        if case.memory_limit != "search" or case.data not in setup.data:
            continue
        for _ in range(_MOST_TRIALS):
            records = read()
            limit = next_limit(trials_of(records, case, setup.host), most=setup.memory_available)
            if limit is None:
                _tell(case, setup, records, emit)
                break
            trial = _plan_trial(case, limit, setup, digests)
            identities.add(trial.identity)
            todo = remaining([trial], records, rerun_failed=False)
            runner = make_runner()
            if not todo or runner.is_over:
                break  # it failed for another reason than memory, or time is up
            recorded = frozenset((record.invocation, record.attempt) for record in records)
            runner.run(todo, done=0, planned=1, recorded=recorded, known=records)
            if next_limit(trials_of(read(), case, setup.host), most=setup.memory_available) == limit:
                break  # it could not be tried: skipped, or failed for another reason than memory
    return identities


def _plan_trial(case: Case, limit: int, setup: HostSetup, digests: HostDigests) -> Invocation:
    tried = case.model_copy(update={"memory_limit": limit})
    (planned,) = plan_host(
        digests,
        [tried],
        rounds=1,
        order=lambda given, _round: given,
        limits={tried.case_id: limit},
        predictions={tried.case_id: predictions_of(tried, setup)},
    )
    return planned


def _tell(case: Case, setup: HostSetup, records: list[Record], emit: Callable[[Event], None]) -> None:
    found = conclude(trials_of(records, case, setup.host))
    name = f"{case.loader}, cache {case.cache}, {case.mode}"
    if found.lives_from is None:
        message = f"{name} lives under no limit that this host can give ({format_bytes(setup.memory_available)})"
    else:
        lives, fast = format_bytes(found.lives_from), format_bytes(found.full_speed_from)
        message = f"{name} lives from a limit of {lives} on, and is at full speed from {fast} on (within 5 %)"
    emit(SessionFinding("limit-found", "info", message, "limits between were tried by bisection", setup.host))

"""Finding hosts with nothing left to do, from the session's folder, before anything is sent to them."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.outcomes import is_done_again
from harness.analysis.selection import gather_attempts
from harness.records.journal import Journal
from harness.records.progress import find_round
from harness.records.reading import read_events
from harness.values.event import (
    Event,
    HostBegun,
    HostFinished,
    HostPlanned,
    HostStateChanged,
    LoggedEvent,
    RoundAdded,
    SessionFinding,
)
from harness.values.record import Record
from harness.workflow.found_session import FoundSession
from harness.workflow.round_planning import count_begun

_KINDS: frozenset[type[Event]] = frozenset(
    {HostBegun, HostFinished, HostPlanned, HostStateChanged, RoundAdded, SessionFinding}
)


def find_finished(found: FoundSession, journal: Journal) -> dict[str, list[Record]]:
    """Return the current records of each host on which the session is complete, by host.

    A host counts as complete if the last command finished all of its plan, and neither the experiment nor a loader file
    has changed since. A host that skipped something is contacted again: the reason may be gone.
    """
    content = found.content
    is_same = (
        content is not None
        and content.experiment_digest == found.resolved.digest
        and content.own_loaders == found.payload.own
    )
    if not is_same:
        return {}
    events: dict[str, list[LoggedEvent]] = {}
    for logged in read_events(found.folder, lambda _fault: None, _KINDS):
        events.setdefault(str(getattr(logged.event, "host", None)), []).append(logged)
    finished = {}
    for host in found.resolved.hosts:
        records = journal.records_of(host.name)
        current = [attempts.current for attempts in gather_attempts(records)]
        is_whole = _has_all(found, events.get(host.name, []), len(current))
        if is_whole and not _may_go_on(found, host.name, records):
            finished[host.name] = current
    return finished


def _has_all(found: FoundSession, own: Sequence[LoggedEvent], count: int) -> bool:
    """Whether, according to a host's last events, all runs that the session has for it by now are done.

    ``count`` is the number of runs with a readable record: one that can no longer be read is measured again.
    """
    told = [logged.event for logged in own if not isinstance(logged.event, SessionFinding)]
    plans = [event for event in told if isinstance(event, HostPlanned)]
    if not plans or not isinstance(told[-1], HostFinished):
        return False
    rounds = found.resolved.experiment.rounds
    is_last_round = find_round(own)[1] == 0 if rounds == "auto" else plans[-1].rounds == rounds
    return is_last_round and min(count, told[-1].done, told[-1].planned) >= plans[-1].planned


def _may_go_on(found: FoundSession, host: str, records: Sequence[Record]) -> bool:
    """Whether a record of a host may be replaced or repeated, or a data set has no record yet."""
    last = count_begun(records, host)
    attempts = gather_attempts(records)
    current = [each.current for each in attempts]
    return (
        bool({case.data for case in found.resolved.matrix.cases} - {record.case.data for record in current})
        or any(record.status == "skipped" or is_done_again(record) for record in current)
        or any(each.wants_repeat and each.current.round == last for each in attempts)
    )

"""The recap: the state of a session, host by host, and what failed in it.

The end of ``harness run``, ``harness status`` and the page show the same values. Pure.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from harness.analysis.outcomes import (
    NO_RESULT,
    WORST_FIRST,
    Outcome,
    count_outcomes,
    explain_outcome,
    is_done_again,
    outcome_of,
    say_counts,
    say_places,
)
from harness.analysis.signs import Kind
from harness.records.progress import STEPS, HostProgress, find_round, read_progress, say_place, say_rounds
from harness.records.reading import UnderWay
from harness.records.session_data import SessionData
from harness.values.event import (
    CommandStarted,
    Event,
    HostFinished,
    HostPlanned,
    HostStateChanged,
    HostWaiting,
    LinkBack,
    LinkLost,
    LoggedEvent,
    SessionFinding,
    SessionFinished,
    SessionStarted,
)
from harness.values.figures import parse_moment
from harness.values.names import case_labels, name_alias
from harness.values.record import Record
from harness.values.text import NOTHING, clean_text, merge_texts, plural

SessionState = Literal["running", "ended", "interrupted", "cut off", "not ended", "not running"]
"""``cut off``: its controller ended unexpectedly. ``not ended``: it is not known whether a controller works on it.

``not running``: no controller works on it, and the session does not tell when one did.
"""

_NUMBERS = re.compile(r"\d[\d.,:]*")
_MOST_CASES = 3
_RERUN = "--rerun-failed"
_ONCE = ("--fresh", _RERUN)
"""Options that the command to continue a session leaves out."""


@dataclass(frozen=True)
class HostRecap:
    """One host: its state and since when, how many of its runs are done, what failed, why, and what to do.

    ``planned`` is None before the host is planned. ``next`` is a remedy, a command, both, or empty. ``place`` is the
    current round and the number of open comparisons, in words.
    """

    host: str
    state: str
    since: str | None
    done: int
    planned: int | None
    failed: Mapping[Kind, int]
    why: str
    next: str
    place: str
    progress: HostProgress

    @property
    def share(self) -> str:
        """The share of finished runs as ``12 of 36``; a dash if nothing is planned or done."""
        if self.planned is None:
            return str(self.done) if self.done else NOTHING
        return f"{self.done} of {self.planned}"

    @property
    def failed_text(self) -> str:
        """The failures as ``2 lost, 1 error``; a dash if nothing failed."""
        return say_counts(self.failed) or NOTHING


@dataclass(frozen=True)
class Alike:
    """Runs that ended in the same way for the same reason. ``is_earlier``: before the newest command began.

    ``cases`` maps their names to hosts and rounds in words; ``places`` are the hosts and rounds of all of them.
    """

    outcome: Outcome
    why: str
    count: int
    cases: Mapping[str, str]
    places: str
    log: str | None
    is_earlier: bool = False

    @property
    def cases_text(self) -> str:
        """The first cases as ``tfdata (a, round 1); keras-idg (b, round 2)``, and how many more there are."""
        shown = dict(list(self.cases.items())[:_MOST_CASES])
        more = f"; and {len(self.cases) - len(shown)} more cases" if len(self.cases) > len(shown) else ""
        if set(shown.values()) == {self.places}:
            return f"{'; '.join(shown)}{more}  ({self.places})"
        return "; ".join(f"{case} ({places})" for case, places in shown.items()) + more


@dataclass(frozen=True)
class Recap:
    """The state of a session. ``counts`` are the outcomes of all its runs; ``command`` continues it."""

    session: str
    experiment: str
    state: SessionState
    since: str | None
    counts: Mapping[Kind, int]
    hosts: tuple[HostRecap, ...]
    failures: tuple[Alike, ...]
    skips: tuple[Alike, ...]
    command: str

    @property
    def counts_text(self) -> str:
        """The outcomes of all runs as ``92 ok, 2 lost``."""
        return say_counts(self.counts) or "no record yet"


@dataclass(frozen=True)
class _Command:
    """The newest command: its words, when it began (None in sessions that do not tell), and how it ended.

    ``heard_at`` is the last sign of life of its controller. ``events`` are those since it began. ``rounds`` is the
    session's number of rounds; None with ``rounds: auto``.
    """

    words: tuple[str, ...]
    hosts: tuple[str, ...]
    began_at: str | None
    heard_at: str | None
    state: SessionState
    events: Sequence[LoggedEvent]
    rounds: int | None

    @property
    def text(self) -> str:
        return shlex.join(self.words)


def recap_session(
    session: SessionData,
    *,
    is_live: bool | None = None,
    now: datetime | None = None,
    heard_at: str | None = None,
    under_way: Mapping[str, UnderWay] | None = None,
) -> Recap:
    """Return the recap of a session.

    ``is_live``: whether a controller works on it now; None if not known. ``heard_at`` is the last sign of life of its
    controller, if later than its last event. ``under_way``: what it prepares on each host.
    """
    command = _find_command(session, is_live=is_live, heard_at=heard_at)
    names = case_labels(record.case for record in session.records)
    labels = {id(record): name_alias(names[record.case], record.alias) for record in session.records}
    failed = [record for record in session.records if outcome_of(record).kind in NO_RESULT]
    skipped = [record for record in session.records if outcome_of(record).kind == "skipped"]
    return Recap(
        session=session.name,
        experiment=session.experiment_name,
        state=command.state,
        since=command.began_at if command.state == "running" else command.heard_at,
        counts=count_outcomes(session.records),
        hosts=tuple(_recap_hosts(session, command, now or datetime.now(UTC), under_way or {})),
        failures=tuple(_gather(failed, labels, command.began_at)),
        skips=tuple(_gather(skipped, labels, None)),
        command=command.text,
    )


def say_time(at: str | None) -> str:
    """Return a time stamp in readable form; a dash for None."""
    if at is None:
        return NOTHING
    moment = parse_moment(at)
    return clean_text(at, 40) if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _find_command(session: SessionData, *, is_live: bool | None, heard_at: str | None) -> _Command:
    begin = max((i for i, each in enumerate(session.events) if isinstance(each.event, CommandStarted)), default=0)
    events = session.events[begin:]
    begun, started, finished = (_last(events, kind) for kind in (CommandStarted, SessionStarted, SessionFinished))
    if finished is not None and started is not None and started.at > finished.at:
        finished = None  # of an earlier command, in a session without the event that starts a command
    state: SessionState = "cut off" if begun is not None or started is not None else "not running"
    state = "running" if is_live else "not ended" if is_live is None else state
    if finished is not None and isinstance(finished.event, SessionFinished) and not is_live:
        state = "interrupted" if finished.event.interrupted else "ended"
    said = [each.event.argv for each in (started, begun) if each is not None and hasattr(each.event, "argv")]
    words = tuple(word for word in next((argv for argv in reversed(said) if argv), ()) if word not in _ONCE)
    rounds = session.content.experiment.rounds
    return _Command(
        words=words or ("harness", "run", session.content.inventory.path or "INVENTORY"),
        hosts=begun.event.hosts if begun is not None and isinstance(begun.event, CommandStarted) else (),
        began_at=None if begun is None else begun.at,
        heard_at=max(filter(None, (heard_at, events[-1].at if events else None)), default=None),
        state=state,
        events=events,
        rounds=None if rounds == "auto" else rounds,
    )


def _last(events: Sequence[LoggedEvent], *kinds: type[Event]) -> LoggedEvent | None:
    return next((logged for logged in reversed(events) if isinstance(logged.event, kinds)), None)


def _recap_hosts(
    session: SessionData, command: _Command, now: datetime, under_way: Mapping[str, UnderWay]
) -> Iterator[HostRecap]:
    every: dict[str, list[LoggedEvent]] = {}
    newest: dict[str, list[LoggedEvent]] = {}
    for found, events in ((every, session.events), (newest, command.events)):
        for logged in events:
            if (host := getattr(logged.event, "host", None)) is not None:
                found.setdefault(host, []).append(logged)
    records: dict[str, list[Record]] = {}
    for record in session.records:
        records.setdefault(record.host, []).append(record)
    for host in sorted({*command.hosts, *session.content.hosts, *newest, *records}):
        own = records.get(host, [])
        begun, is_open = find_round(every.get(host, []))
        place = say_place(begun, say_rounds(session.content), is_open)
        text = _say_under_way(under_way.get(host), command)
        yield _recap_host(host, own, every.get(host, []), newest.get(host, []), command, now, place, text)


def _recap_host(
    host: str,
    records: Sequence[Record],
    every: Sequence[LoggedEvent],
    newest: Sequence[LoggedEvent],
    command: _Command,
    now: datetime,
    place: str,
    under_way: str,
) -> HostRecap:
    outcomes = count_outcomes(records)
    done = sum(not is_done_again(record) for record in records)
    planned = _find_planned(every, done, command.rounds)
    progress = read_progress(host, newest, records, now)
    is_done = done == planned
    standing = _stand(host, newest, command, progress, left=None if planned is None else planned - done)
    failed = {kind: number for kind, number in outcomes.items() if kind in NO_RESULT}
    why = standing.why or _say_commonest([record for record in records if outcome_of(record).kind in failed])
    why = under_way if standing.state == "preparing" and under_way else why
    return HostRecap(
        host=host,
        state=standing.state,
        since=standing.since,
        done=done,
        planned=planned,
        failed=failed,
        why=why,
        next=_say_next(standing, records, command, is_done=is_done or standing.state == "done"),
        place=place,
        progress=progress if command.state == "running" else HostProgress(host),
    )


def _say_under_way(found: UnderWay | None, command: _Command) -> str:
    """Return what is prepared on a host; empty where that is of an earlier command."""
    written, begun = parse_moment(None if found is None else found.at), parse_moment(command.began_at)
    is_old = written is None or (begun is not None and written < begun)
    return "" if found is None or is_old else found.text


def _find_planned(every: Sequence[LoggedEvent], done: int, rounds: int | None) -> int | None:
    """Return the number of runs that the session has for a host; None if it was never planned.

    If the number of ``rounds`` has changed since the host was planned, the runs of the new rounds are added.
    """
    plans = [each.event for each in every if isinstance(each.event, HostPlanned)]
    if plans:
        last = plans[-1]
        added = 0 if rounds is None or last.rounds is None else rounds - last.rounds
        return max(last.planned + added * (last.in_round or 0), done)
    steps = [each.event for each in every if isinstance(each.event, STEPS)]
    return max(steps[-1].planned, done) if steps else None


@dataclass(frozen=True)
class _Standing:
    """The state of a host. ``cure`` must be done before the command; ``is_open``: the command continues there."""

    state: str
    since: str | None = None
    why: str = ""
    cure: str = ""
    is_open: bool = True


def _stand(
    host: str, newest: Sequence[LoggedEvent], command: _Command, progress: HostProgress, *, left: int | None
) -> _Standing:
    """Return the state of a host. ``left`` is the number of runs that are left; None before the host is planned."""
    is_done = left == 0
    changed, link = _last(newest, HostStateChanged), _last(newest, LinkLost, LinkBack)
    if changed is not None and isinstance(changed.event, HostStateChanged) and changed.event.state != "ready":
        event = changed.event
        return _Standing(event.state, changed.at, event.message, event.hint or "", is_open=event.can_continue)
    if command.hosts and host not in command.hosts:
        why = "" if is_done else "the last command left this host out"
        return _Standing("done" if is_done else "left out", why=why, is_open=False)
    finished = _last(newest, HostFinished)
    if finished is not None and isinstance(finished.event, HostFinished):
        return _stand_at_end(finished.event, newest, command, left or 0)
    if link is not None and isinstance(link.event, LinkLost) and command.state in ("running", "cut off", "not ended"):
        why = f"no answer: {link.event.reason}; a job that runs there continues"
        return _Standing("silent", link.event.since, why)
    if is_done and progress.running is None:
        return _Standing("done")
    if command.state == "running":
        return _stand_now(newest, changed, progress)
    if command.state == "cut off":
        why = "its controller ended unexpectedly"
        if progress.running is not None:
            why += f"; {progress.running}, started {say_time(progress.since)}, may still be running there"
        return _Standing("unknown" if progress.running else "cut off", command.heard_at, why)
    if command.state in ("not ended", "not running"):
        return _Standing("under way" if command.state == "not ended" and newest else "incomplete")
    if not newest:
        return _Standing("not begun", why="the session was stopped before its turn")
    return _stand_incomplete(newest, command)


def _stand_at_end(finished: HostFinished, newest: Sequence[LoggedEvent], command: _Command, left: int) -> _Standing:
    """Return the state of a host that has finished its part of the newest command."""
    if finished.done < finished.planned:
        return _stand_incomplete(newest, command)
    is_narrowed = left > 0 and "--only" in command.words
    return _Standing("done", why=f"{plural(left, 'run')} left out by --only" if is_narrowed else "")


def _stand_incomplete(newest: Sequence[LoggedEvent], command: _Command) -> _Standing:
    over = [each.event for each in newest if isinstance(each.event, SessionFinding) and each.event.id == "budget-over"]
    why = over[-1].message if over else "it was stopped" if command.state == "interrupted" else ""
    return _Standing("incomplete", why=why)


def _stand_now(newest: Sequence[LoggedEvent], changed: LoggedEvent | None, progress: HostProgress) -> _Standing:
    """Return the state of a host in a session that is running."""
    if not newest:
        return _Standing("waiting", why="for its turn (--forks)")
    if isinstance(newest[-1].event, HostWaiting):
        return _Standing("waiting", newest[-1].at, newest[-1].event.reason)
    if progress.running is not None or changed is not None:
        return _Standing("measuring", progress.since or newest[-1].at)
    return _Standing("preparing", newest[0].at)


def _say_next(standing: _Standing, records: Sequence[Record], command: _Command, *, is_done: bool) -> str:
    """Return what to do about a host: a remedy, then the command that continues; empty if there is nothing to do."""
    if command.state == "running" and not standing.cure:
        return ""
    words = command.words
    failed = [each for each in records if outcome_of(each).kind in NO_RESULT and each.status != "skipped"]
    if any(not is_done_again(each) for each in failed):
        words = (*words, _RERUN)
    elif is_done and not standing.cure and not any(each.status == "skipped" for each in records if _is_refuted(each)):
        return ""
    parts = [standing.cure.rstrip(".")] if standing.cure else []
    if standing.is_open:
        parts.append(shlex.join(words))
    return "; then: ".join(parts)


def _is_refuted(record: Record) -> bool:
    """Whether a loader was not measured because it failed the same-work check; each command tries it again."""
    return outcome_of(record).kind == "invalid"


def _say_commonest(records: Sequence[Record]) -> str:
    """Return the most frequent reason why these runs have no result."""
    found = Counter(_fold(record) for record in records)
    if not found:
        return ""
    commonest = found.most_common(1)[0][0]
    return merge_texts(explain_outcome(record) for record in records if _fold(record) == commonest)


def _fold(record: Record) -> tuple[str, str, str]:
    """Return the key by which runs with the same ending and reason are grouped; numbers in the reason may differ."""
    outcome = outcome_of(record)
    return outcome.kind, _NUMBERS.sub("#", outcome.reason), _NUMBERS.sub("#", explain_outcome(record))


def _gather(records: Sequence[Record], labels: Mapping[int, str], began_at: str | None) -> Iterator[Alike]:
    """Yield groups of runs that ended alike: those of the newest command first, then by severity."""
    alike: dict[tuple[bool, tuple[str, str, str]], list[Record]] = {}
    begun = parse_moment(began_at)
    for record in records:
        ended = parse_moment(record.finished_at or record.started_at)
        is_earlier = begun is not None and ended is not None and ended < begun
        alike.setdefault((is_earlier, _fold(record)), []).append(record)
    for is_earlier, key in sorted(alike, key=lambda each: (each[0], WORST_FIRST.index(_kind_of(alike[each])))):
        found = alike[is_earlier, key]
        by_case: dict[str, list[Record]] = {}
        for record in found:
            by_case.setdefault(labels[id(record)], []).append(record)
        yield Alike(
            outcome=outcome_of(found[0]),
            why=merge_texts(explain_outcome(record) for record in found),
            count=len(found),
            cases={case: say_places(records) for case, records in by_case.items()},
            places=say_places(found),
            log=next((record.log for record in found if record.log), None),
            is_earlier=is_earlier,
        )


def _kind_of(records: Sequence[Record]) -> Kind:
    return outcome_of(records[0]).kind

"""How far a session is, from its folder alone (pure): host by host for ``harness status``, in rounds for a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from harness.analysis.outcomes import count_outcomes
from harness.analysis.selection import current_records
from harness.analysis.signs import Kind
from harness.analysis.stopping import LEAST_ROUNDS, MOST_ROUNDS
from harness.analysis.validity import judge_all
from harness.records.content import SessionContent
from harness.records.session_data import SessionData
from harness.values.event import (
    Event,
    HostStateChanged,
    InvocationFinished,
    InvocationStarted,
    LoggedEvent,
    RoundAdded,
    RoundStarted,
    SessionFinding,
    SessionStarted,
)
from harness.values.figures import parse_moment
from harness.values.record import Record
from harness.values.text import NOTHING, plural


@dataclass(frozen=True)
class HostProgress:
    """One host of a session: ``running`` is the label of what runs now, since ``since``; ``left_s`` an estimate.

    ``round`` is the last one that was begun, 0 before the first; with ``rounds: auto`` so many comparisons were
    ``open`` when they were last judged, None before that.
    """

    host: str
    state: str
    done: int
    planned: int | None
    running: str | None = None
    since: str | None = None
    left_s: float | None = None
    round: int = 0
    open: int | None = None


@dataclass(frozen=True)
class SessionProgress:
    """A session at one moment; ``counts`` are of outcomes, ``is_live`` says whether a controller works on it now.

    ``rounds`` is how many there are to be: ``5``, or ``3–20``; empty where the session does not say.
    """

    session: str
    experiment: str
    is_live: bool
    counts: Mapping[Kind, int]
    hosts: tuple[HostProgress, ...]
    rounds: str = ""


def read_progress(
    content: SessionContent,
    records: Sequence[Record],
    events: Sequence[LoggedEvent],
    *,
    is_live: bool,
    now: datetime,
) -> SessionProgress:
    """Return what a session's file, records and events say about where it stands."""
    newest = judge_all(current_records(records).values())
    by_host: dict[str, list[LoggedEvent]] = {host: [] for host in content.hosts}
    for logged in events:
        if (host := getattr(logged.event, "host", None)) is not None:
            by_host.setdefault(host, []).append(logged)
    return SessionProgress(
        session=content.name,
        experiment=content.experiment_name,
        is_live=is_live,
        counts=count_outcomes(newest),
        rounds=_say_rounds(content),
        hosts=tuple(
            _host_progress(host, newest, own, is_live=is_live, now=now) for host, own in sorted(by_host.items())
        ),
    )


def _say_rounds(content: SessionContent) -> str:
    rounds, rules = content.experiment.rounds, content.rules
    if rounds == "auto":
        return f"{rules.least_rounds or LEAST_ROUNDS}–{rules.most_rounds or MOST_ROUNDS}"
    return "" if rounds is None else str(rounds)


_STEPS = (SessionStarted, InvocationStarted, InvocationFinished)
"""Events that say how many of a host's invocations are done: in the numbers of the command that wrote them."""


def _host_progress(
    host: str, records: Sequence[Record], own: Sequence[LoggedEvent], *, is_live: bool, now: datetime
) -> HostProgress:
    states = [logged.event.state for logged in own if isinstance(logged.event, HostStateChanged)]
    steps = [(logged.at, logged.event) for logged in own if isinstance(logged.event, _STEPS)]
    state = states[-1] if states else "unknown"
    if not steps:
        return HostProgress(host, state, done=0, planned=None)
    at, last = steps[-1]
    running = last if isinstance(last, InvocationStarted) else None
    is_recorded = running is not None and any(
        (record.invocation, record.attempt) == (running.invocation, running.attempt) for record in records
    )  # a controller that was killed between the two
    since = None if running is None else parse_moment(at)
    had_s = 0.0 if since is None else max(0.0, (now - since).total_seconds())
    return HostProgress(
        host=host,
        state=state,
        done=last.done + is_recorded,
        planned=last.planned,
        running=running.label if running is not None and is_live else None,
        since=at if running is not None and is_live else None,
        left_s=max(0.0, last.left_s - had_s) if is_live and last.left_s is not None else None,
        round=max((logged.event.round for logged in own if isinstance(logged.event, RoundStarted)), default=0),
        open=_find_open([logged.event for logged in own]),
    )


def _find_open(events: Sequence[Event]) -> int | None:
    """Return how many comparisons of a host were open when they were last judged."""
    for event in reversed(events):
        if isinstance(event, SessionFinding) and event.id == "rounds-settled":
            return 0
        if isinstance(event, RoundAdded):
            return event.open
    return None


def say_place(round_number: int, rounds: str, open_comparisons: int | None) -> str:
    """Say where a host is: ``4 of 3–20, open: 2 comparisons``; a dash before its first round."""
    if not round_number:
        return NOTHING
    said = f"{round_number} of {rounds}" if rounds else str(round_number)
    return said if open_comparisons is None else f"{said}, open: {plural(open_comparisons, 'comparison')}"


def planned_rounds(session: SessionData) -> int | None:
    """Return the rounds that the experiment asks for, None where it does not say.

    With ``auto`` it asks for three, and once they are there for no number.
    """
    rounds = session.content.experiment.rounds
    if rounds == "auto":
        least = session.content.rules.least_rounds or LEAST_ROUNDS
        return least if complete_rounds(session) < least else None
    return rounds if isinstance(rounds, int) and rounds > 0 else None


def complete_rounds(session: SessionData) -> int:
    """Rounds that every host has measured whole (skipped cases count: they were decided).

    A round is as long as the longest order announced for it on that host, else as
    the host's longest round.
    """
    measured = Counter((record.host, record.round) for record in session.records)
    announced: dict[tuple[str, int], int] = {}
    for event in session.events_of(RoundStarted):
        key = event.host, event.round
        announced[key] = max(announced.get(key, 0), len(event.order))
    longest = {
        host: max(count for (other, _), count in measured.items() if other == host)
        for host in {host for host, _ in measured}
    }
    complete = []
    for host, most in longest.items():
        numbers = [
            n for (other, n), count in measured.items() if other == host and count >= announced.get((host, n), most)
        ]
        complete.append(len(numbers))
    return min(complete, default=0)

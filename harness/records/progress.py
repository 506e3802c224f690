"""The progress of a session, from its folder's content: what is running, and which rounds are complete. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from harness.analysis.stopping import LEAST_ROUNDS, MOST_ROUNDS
from harness.records.content import SessionContent
from harness.records.session_data import SessionData
from harness.values.event import (
    HostFinished,
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

Step: TypeAlias = SessionStarted | InvocationStarted | InvocationFinished
"""An event that tells what a host is doing, and how much time is left."""

STEPS = (SessionStarted, InvocationStarted, InvocationFinished)


@dataclass(frozen=True)
class HostProgress:
    """What is running on one host: its label, since when, and the estimated seconds left; None if not known."""

    host: str
    running: str | None = None
    since: str | None = None
    left_s: float | None = None


def read_progress(host: str, own: Sequence[LoggedEvent], records: Sequence[Record], now: datetime) -> HostProgress:
    """Return what is running on a host, from its events since the newest command and its records."""
    steps = [(logged.at, logged.event) for logged in own if isinstance(logged.event, STEPS)]
    if not steps or any(isinstance(logged.event, HostFinished) for logged in own):
        return HostProgress(host)
    at, last = steps[-1]
    running = last if isinstance(last, InvocationStarted) and not _is_recorded(last, records) else None
    begun = parse_moment(at) if isinstance(last, InvocationStarted) else None
    had_s = 0.0 if begun is None else max(0.0, (now - begun).total_seconds())
    return HostProgress(
        host=host,
        running=None if running is None else running.label,
        since=None if running is None else at,
        left_s=None if last.left_s is None else max(0.0, last.left_s - had_s),
    )


def _is_recorded(running: InvocationStarted, records: Sequence[Record]) -> bool:
    """Whether a started run has its record: a controller may be killed between the record and the event."""
    wanted = (running.invocation, running.attempt)
    return any((record.invocation, record.attempt) == wanted for record in records)


def say_rounds(content: SessionContent) -> str:
    """Return the number of rounds as ``5`` or ``3–20``; empty if the session does not state it."""
    rounds, rules = content.experiment.rounds, content.rules
    if rounds == "auto":
        return f"{rules.least_rounds or LEAST_ROUNDS}–{rules.most_rounds or MOST_ROUNDS}"
    return "" if rounds is None else str(rounds)


def find_round(own: Sequence[LoggedEvent]) -> tuple[int, int | None]:
    """Return the last round that a host has begun (0 before the first), and the number of open comparisons.

    That number is None without ``rounds: auto``, and before comparisons were first judged.
    """
    begun = max((logged.event.round for logged in own if isinstance(logged.event, RoundStarted)), default=0)
    for logged in reversed(own):
        if isinstance(logged.event, SessionFinding) and logged.event.id == "rounds-settled":
            return begun, 0
        if isinstance(logged.event, RoundAdded):
            return begun, logged.event.open
    return begun, None


def say_place(round_number: int, rounds: str, open_comparisons: int | None) -> str:
    """Return the round of a host as ``4 of 3–20, open: 2 comparisons``; a dash before its first round."""
    if not round_number:
        return NOTHING
    said = f"{round_number} of {rounds}" if rounds else str(round_number)
    return said if open_comparisons is None else f"{said}, open: {plural(open_comparisons, 'comparison')}"


def planned_rounds(session: SessionData) -> int | None:
    """Return the number of rounds that the experiment asks for; None if it states none.

    With ``auto`` this is three until there are three complete rounds, and then None.
    """
    rounds = session.content.experiment.rounds
    if rounds == "auto":
        least = session.content.rules.least_rounds or LEAST_ROUNDS
        return least if complete_rounds(session) < least else None
    return rounds if isinstance(rounds, int) and rounds > 0 else None


def complete_rounds(session: SessionData) -> int:
    """Return the number of rounds that every host has completed. Skipped cases count as done.

    A round is complete with as many records as the longest order announced for it on the host, else as in the host's
    longest round.
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

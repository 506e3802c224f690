"""Progress: how much of a session has been measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.records.session_data import SessionData
from harness.report.words import clean_text, plural
from harness.values.event import RoundStarted


def planned_rounds(session: SessionData) -> int | None:
    """The rounds that the experiment asks for, None where it does not say."""
    rounds = session.content.experiment.rounds
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


def describe_progress(sessions: Sequence[SessionData]) -> str:
    """``3 of 5 rounds``; for several sessions, one after the other."""
    said = []
    for session in sessions:
        done, planned = complete_rounds(session), planned_rounds(session)
        is_more = planned is None or done > planned  # it was asked for fewer rounds after it had run more
        text = plural(done, "round") if is_more else f"{done} of {plural(planned or 0, 'round')}"
        if planned is not None and done < planned:
            text += " so far"
        said.append(text if len(sessions) == 1 else f"{clean_text(session.name, 80)}: {text}")
    return "; ".join(said)

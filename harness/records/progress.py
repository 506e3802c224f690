"""How far a session is, from its folder alone (pure): what ``harness status`` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harness.analysis.outcomes import Kind, count_outcomes
from harness.analysis.validity import judge_all
from harness.records.reading import newest_records
from harness.values.record import Record


@dataclass(frozen=True)
class HostProgress:
    """One host of a session: ``running`` is the label of what runs now, since ``since``; ``left_s`` an estimate."""

    host: str
    state: str
    done: int
    planned: int | None
    running: str | None = None
    since: str | None = None
    left_s: float | None = None


@dataclass(frozen=True)
class SessionProgress:
    """A session at one moment; ``counts`` are of outcomes, ``is_live`` says whether a controller works on it now."""

    session: str
    experiment: str
    is_live: bool
    counts: Mapping[Kind, int]
    hosts: tuple[HostProgress, ...]


def read_progress(
    content: Mapping[str, Any],
    records: Sequence[Record],
    events: Sequence[Mapping[str, Any]],
    *,
    is_live: bool,
    now: datetime,
) -> SessionProgress:
    """What a session's file, records and events say about where it stands."""
    newest = judge_all(newest_records(records).values())
    hosts = sorted({*(content.get("hosts") or {}), *(event["host"] for event in events if event.get("host"))})
    return SessionProgress(
        session=str(content.get("name", "")),
        experiment=str(content.get("experiment_name", "")),
        is_live=is_live,
        counts=count_outcomes(newest),
        hosts=tuple(_host_progress(host, newest, events, is_live=is_live, now=now) for host in hosts),
    )


_STEPS = ("SessionStarted", "InvocationStarted", "InvocationFinished")
"""Events that say how many of a host's invocations are done: in the numbers of the command that wrote them."""


def _host_progress(
    host: str, records: Sequence[Record], events: Sequence[Mapping[str, Any]], *, is_live: bool, now: datetime
) -> HostProgress:
    own = [event for event in events if event.get("host") == host]
    states = [event for event in own if event.get("event") == "HostStateChanged"]
    steps = [event for event in own if event.get("event") in _STEPS]
    last: Mapping[str, Any] = steps[-1] if steps else {}
    has_begun = last.get("event") == "InvocationStarted"
    is_recorded = has_begun and any(
        (record.invocation, record.attempt) == (last.get("invocation"), last.get("attempt")) for record in records
    )  # a controller that was killed between the two
    is_running = is_live and has_begun
    return HostProgress(
        host=host,
        state=str(states[-1].get("state")) if states else "unknown",
        done=int(last.get("done") or 0) + is_recorded,
        planned=last.get("planned"),
        running=str(last.get("label")) if is_running else None,
        since=str(last.get("at")) if is_running else None,
        left_s=_left_s(last, now) if is_live else None,
    )


def _left_s(last: Mapping[str, Any], now: datetime) -> float | None:
    """Return what was left when the last step was told, less what the running invocation has had since."""
    left = last.get("left_s")
    if left is None:
        return None
    had = 0.0
    if last.get("event") == "InvocationStarted":
        had = (now - datetime.fromisoformat(str(last["at"]))).total_seconds()
    return max(0.0, float(left) - max(0.0, had))

"""How far a session is, from its folder alone (pure): what ``harness status`` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harness.analysis.outcomes import Kind, count_outcomes
from harness.analysis.validity import judge_all
from harness.session.plan import newest_records
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


def _host_progress(
    host: str, records: Sequence[Record], events: Sequence[Mapping[str, Any]], *, is_live: bool, now: datetime
) -> HostProgress:
    own = [event for event in events if event.get("host") == host]
    done = sum(1 for record in records if record.host == host)
    states = [event for event in own if event.get("event") == "HostStateChanged"]
    steps = [event for event in own if event.get("event") in ("InvocationStarted", "InvocationFinished")]
    last: Mapping[str, Any] = steps[-1] if steps else {}
    planned = last.get("planned")
    is_running = is_live and last.get("event") == "InvocationStarted"
    return HostProgress(
        host=host,
        state=str(states[-1].get("state")) if states else "unknown",
        done=done,
        planned=planned,
        running=str(last.get("label")) if is_running else None,
        since=str(last.get("at")) if is_running else None,
        left_s=_left_s(steps, now) if is_live else None,
    )


def _left_s(steps: Sequence[Mapping[str, Any]], now: datetime) -> float | None:
    """The mean time of what was finished so far, times what is left, less what the running one has had."""
    finished = [
        event for event in steps if event.get("event") == "InvocationFinished" and event.get("seconds") is not None
    ]
    if not finished:
        return None
    mean = sum(float(event["seconds"]) for event in finished) / len(finished)
    last = steps[-1]
    left = int(last.get("planned") or 0) - int(last.get("done") or 0)
    had = 0.0
    if last.get("event") == "InvocationStarted":
        had = max(0.0, (now - datetime.fromisoformat(str(last["at"]))).total_seconds())
    return max(0.0, left * mean - min(had, mean))

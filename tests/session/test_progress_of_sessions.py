"""What `harness status` says of a host is what the command that runs there has said last."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from factory import plain_record

from harness.records.content import SessionContent, SessionHost
from harness.records.progress import HostProgress, read_progress
from harness.records.reading import parse_event, refuse
from harness.values.event import LoggedEvent
from harness.values.record import Record

NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
BEGUN: dict[str, Any] = {
    "event": "InvocationStarted", "host": "h", "at": "2026-01-01T12:00:00Z", "invocation": "x", "attempt": 1,
    "round": 1, "case_id": "c", "label": "tfdata", "done": 3, "planned": 9, "left_s": 100.0,
}  # fmt: skip
ENDED = {**BEGUN, "event": "InvocationFinished", "status": "ok", "done": 4, "left_s": 80.0}
AGAIN = {
    "event": "SessionStarted", "host": "h", "at": "2026-01-01T12:00:10Z", "done": 6, "planned": 6, "left_s": 0.0,
    "session": "s", "folder": "f", "resumed": True,
}  # fmt: skip
WITH_HOST = SessionContent(hosts={"h": SessionHost()})


def record(**fields: Any) -> Record:
    return plain_record(**{"invocation": "x", **fields})


def host_of(events: list[dict[str, Any]], records: list[Record], *, is_live: bool = True) -> HostProgress:
    (host,) = read_progress(WITH_HOST, records, parse(events), is_live=is_live, now=NOW).hosts
    return host


def parse(events: list[dict[str, Any]]) -> list[LoggedEvent]:
    found = [parse_event(event, refuse, "events.jsonl") for event in events]
    return [event for event in found if event is not None]


@pytest.mark.parametrize(
    ("events", "records", "done", "planned", "left_s"),
    [
        ([], [], 0, None, None),
        ([BEGUN], [], 3, 9, 70.0),
        ([BEGUN, ENDED], [record()], 4, 9, 80.0),
        # A controller that was killed between its record and its event.
        ([BEGUN], [record()], 4, 9, 70.0),
        ([BEGUN], [record(attempt=2)], 3, 9, 70.0),
        # More records than the last command had planned: its own numbers count.
        ([BEGUN, ENDED, AGAIN], [record(invocation=str(number)) for number in range(15)], 6, 6, 0.0),
        # Events of an earlier version, and of other hosts.
        ([{**BEGUN, "left_s": None}], [], 3, 9, None),
        ([BEGUN, {**ENDED, "host": "other", "done": 9}], [], 3, 9, 70.0),
    ],
)
def test_progress(
    events: list[dict[str, Any]], records: list[Record], done: int, planned: int | None, left_s: float | None
) -> None:
    found = read_progress(WITH_HOST, records, parse(events), is_live=True, now=NOW).hosts
    (host,) = [each for each in found if each.host == "h"]
    assert (host.done, host.planned, host.left_s) == (done, planned, left_s)


def test_a_session_that_nobody_runs_says_no_time() -> None:
    host = host_of([BEGUN], [], is_live=False)
    assert (host.running, host.left_s, host.done) == (None, None, 3)
    assert host_of([BEGUN], []).running == "tfdata"

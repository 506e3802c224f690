"""The recap of a session: what its last screen, `harness status` and the page say of each host and of what failed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from factory import plain_record

from harness.records.content import SessionContent, SessionHost
from harness.records.reading import parse_event, refuse
from harness.records.recap import HostRecap, Recap, recap_session
from harness.records.session_data import SessionData
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
PLANNED = {"event": "HostPlanned", "host": "h", "at": "2026-01-01T11:00:00Z", "planned": 20}
CONTENT = SessionContent(session="s", hosts={"h": SessionHost()})


def record(**fields: Any) -> Record:
    return plain_record(**{"invocation": "x", **fields})


def recap_of(
    events: list[dict[str, Any]], records: list[Record], *, is_live: bool | None = True, heard_at: str | None = None
) -> Recap:
    session = SessionData("s", CONTENT, {}, tuple(records), (), tuple(parse(events)))
    return recap_session(session, is_live=is_live, now=NOW, heard_at=heard_at)


def host_of(events: list[dict[str, Any]], records: list[Record], *, is_live: bool | None = True) -> HostRecap:
    return next(host for host in recap_of(events, records, is_live=is_live).hosts if host.host == "h")


def parse(events: list[dict[str, Any]]) -> list[LoggedEvent]:
    found = [parse_event(event, refuse, "events.jsonl") for event in events]
    return [event for event in found if event is not None]


@pytest.mark.parametrize(
    ("events", "records", "done", "planned", "left_s"),
    [
        ([], [], 0, None, None),
        ([BEGUN], [], 0, 9, 70.0),
        ([BEGUN, ENDED], [record()], 1, 9, 80.0),
        # A controller that was killed between its record and its event.
        ([BEGUN], [record()], 1, 9, 70.0),
        # What was lost is not done.
        ([BEGUN, ENDED], [record(), record(invocation="y", status="lost")], 1, 9, 80.0),
        # The last command was narrowed to a part; the session's own number counts, wherever it was said.
        ([PLANNED, BEGUN, AGAIN], [record(invocation=str(number)) for number in range(15)], 15, 20, 0.0),
        # Events of an earlier version, and of other hosts.
        ([{**BEGUN, "left_s": None}], [], 0, 9, None),
        ([BEGUN, {**ENDED, "host": "other", "done": 9}], [], 0, 9, 70.0),
    ],
)
def test_progress(
    events: list[dict[str, Any]], records: list[Record], done: int, planned: int | None, left_s: float | None
) -> None:
    host = host_of(events, records)
    assert (host.done, host.planned, host.progress.left_s) == (done, planned, left_s)


def test_a_session_that_nobody_runs_says_no_time() -> None:
    host = host_of([BEGUN], [], is_live=False)
    assert (host.progress.running, host.progress.left_s, host.done) == (None, None, 0)
    assert host_of([BEGUN], []).progress.running == "tfdata"
    assert host_of([BEGUN], [record()]).progress.running is None, "it has its record"


READY: dict[str, Any] = {"event": "HostStateChanged", "host": "h", "at": "2026-01-01T11:59:00Z", "state": "ready"}
LOST = {"event": "LinkLost", "host": "h", "at": "2026-01-01T12:00:20Z", "since": "2026-01-01T12:00:05Z", "reason": "no"}
BACK = {"event": "LinkBack", "host": "h", "at": "2026-01-01T12:00:25Z", "since": "2026-01-01T12:00:05Z", "seconds": 20}
FINISHED = {"event": "SessionFinished", "at": "2026-01-01T12:00:29Z", "session": "s"}
INTERRUPTED = {**FINISHED, "interrupted": True}
REFUSED = {
    "event": "HostStateChanged", "host": "h", "at": "2026-01-01T12:00:00Z", "state": "not_ready",
    "message": "no Docker", "hint": "start it",
}  # fmt: skip
BEGINS = {"event": "HostBegun", "host": "h", "at": "2026-01-01T11:58:30Z"}
OVER: dict[str, Any] = {
    "event": "HostFinished", "host": "h", "at": "2026-01-01T12:00:26Z", "done": 2, "planned": 2,
}  # fmt: skip
SHORT = {**OVER, "planned": 4}
OTHER_FILES = {**REFUSED, "message": "other files", "hint": "start a new one with --fresh", "can_continue": False}
COMMAND: dict[str, Any] = {
    "event": "CommandStarted", "at": "2026-01-01T11:58:00Z", "session": "s", "folder": "f", "resumed": False,
    "hosts": ["h"], "argv": ["harness", "run", "lab.yaml"],
}  # fmt: skip
ALL = [record(invocation=name) for name in "x12345678"]
BROKEN = record(invocation="e", status="error", cause="it broke")
GONE = record(invocation="g", status="lost", cause="the host went down")
RUN, RERUN = "harness run lab.yaml", "harness run lab.yaml --rerun-failed"


@pytest.mark.parametrize(
    ("events", "records", "is_live", "state", "why", "next_"),
    [
        ([], [], True, "waiting", "for its turn (--forks)", ""),
        (
            [{**READY, "event": "EngineChosen", "engine": "e", "version": "1", "reason": "r"}],
            [],
            True,
            "preparing",
            "",
            "",
        ),
        ([BEGINS], [], True, "preparing", "", ""),
        ([BEGINS, INTERRUPTED], [], False, "incomplete", "it was stopped", RUN),
        ([READY], [], True, "measuring", "", ""),
        ([READY, BEGUN], [], True, "measuring", "", ""),
        ([READY, BEGUN, LOST], [], True, "silent", "no answer: no; a job that runs there continues", ""),
        ([READY, BEGUN, LOST, BACK], [], True, "measuring", "", ""),
        ([READY, BEGUN], ALL, True, "done", "", ""),
        ([REFUSED], [], True, "not_ready", "no Docker", f"start it; then: {RUN}"),
        ([REFUSED, FINISHED], [], False, "not_ready", "no Docker", f"start it; then: {RUN}"),
        ([REFUSED, FINISHED], [GONE], False, "not_ready", "no Docker", f"start it; then: {RUN}"),
        ([OTHER_FILES, FINISHED], [GONE], False, "not_ready", "other files", "start a new one with --fresh"),
        ([READY, BEGUN, FINISHED], ALL, False, "done", "", ""),
        ([READY, BEGUN, FINISHED], [*ALL[:8], BROKEN], False, "done", "it broke", RERUN),
        ([READY, BEGUN, FINISHED], [*ALL[:8], GONE], False, "incomplete", "the host went down", RUN),
        ([READY, BEGUN, INTERRUPTED], ALL[:8], False, "incomplete", "it was stopped", RUN),
        ([INTERRUPTED], [], False, "not begun", "the session was stopped before its turn", RUN),
        ([READY, BEGUN], [], None, "under way", "", RUN),
        # Its part of the command is over, while other hosts go on.
        ([READY, BEGUN, SHORT], ALL[:8], True, "incomplete", "", ""),
        ([READY, BEGUN, SHORT], [*ALL[:8], GONE], False, "incomplete", "the host went down", RUN),
        ([READY, BEGUN, SHORT], ALL[:8], False, "incomplete", "", RUN),
        ([READY, BEGUN, OVER], ALL, True, "done", "", ""),
    ],
)
def test_each_host_says_its_state_why_and_what_to_do(
    events: list[dict[str, Any]], records: list[Record], is_live: bool | None, state: str, why: str, next_: str
) -> None:
    host = host_of([COMMAND, *events], records, is_live=is_live)
    assert (host.state, host.why, host.next) == (state, why, next_)


@pytest.mark.parametrize("is_live", [True, False, None])
def test_what_a_command_was_narrowed_to_is_done_though_the_session_has_more(*, is_live: bool | None) -> None:
    narrow = {**COMMAND, "argv": [*COMMAND["argv"], "--only", "loader=tfdata"]}
    events = [narrow, READY, {**PLANNED, "planned": 4}, {**BEGUN, "planned": 2}, OVER]
    host = host_of(events, ALL[:2], is_live=is_live)
    assert (host.state, host.share, host.why) == ("done", "2 of 4", "2 runs left out by --only")
    assert (host.next, host.progress.running) == ("", None)
    host = host_of(events, [ALL[0], BROKEN], is_live=False)
    assert (host.state, host.next) == ("done", f"{RUN} --only loader=tfdata --rerun-failed")


def test_after_a_kill_the_jobs_that_may_still_run_are_named_and_since_when_nothing_was_heard() -> None:
    recap = recap_of([COMMAND, READY, BEGUN], [], is_live=False, heard_at="2026-01-01T12:00:28Z")
    (host,) = recap.hosts
    assert (recap.state, recap.since) == ("cut off", "2026-01-01T12:00:28Z")
    assert (host.state, host.since) == ("unknown", "2026-01-01T12:00:28Z")
    assert host.why.endswith("; tfdata, started 2026-01-01 12:00:00 UTC, may still be running there")
    assert host.next == RUN


def test_a_session_that_says_little_is_not_said_to_be_done() -> None:
    old = {**AGAIN, "host": None, "argv": ["harness", "run", "lab.yaml", "--fresh"]}
    host = host_of([old], [record(), BROKEN], is_live=None)
    assert (host.share, host.planned, host.next) == ("2", None, RERUN)
    assert host_of([old], [], is_live=None).share == "–"


def test_a_host_that_the_last_command_left_out_keeps_what_it_has() -> None:
    events = [COMMAND, READY, BEGUN, FINISHED, {**COMMAND, "at": "2026-01-01T12:00:29Z", "hosts": ["other"]}, FINISHED]
    host = host_of(events, ALL[:3], is_live=False)
    assert (host.state, host.done, host.planned, host.next) == ("left out", 3, 9, "")
    assert "left this host out" in host.why


def test_what_ended_alike_is_told_once_and_what_is_older_than_the_command_apart() -> None:
    def broken(name: str, cause: str, at: str) -> Record:
        return record(invocation=name, status="error", cause=cause, finished_at=at)

    before, after = "2026-01-01T11:00:00Z", "2026-01-01T12:00:00Z"
    old = [broken(f"o{number}", f"image {number} is broken", before) for number in range(16)]
    new = [broken(f"n{number}", f"image {number} is broken", after) for number in range(3)]
    skipped = [record(invocation=f"s{n}", status="skipped", cause="needs 40 GB") for n in range(72)]
    recap = recap_of([{**PLANNED, "planned": 91}, COMMAND, READY], [*old, *new, GONE, *skipped], is_live=False)
    told = [(one.outcome.kind, one.count, one.is_earlier) for one in recap.failures]
    assert told == [("error", 3, False), ("lost", 1, False), ("error", 16, True)]
    assert [(one.count, one.why) for one in recap.skips] == [(72, "needs 40 GB")]
    assert recap.counts == {"skipped": 72, "lost": 1, "error": 19}
    (host,) = recap.hosts
    assert host.failed == {"lost": 1, "error": 19} and host.why == "image 0 to 15 is broken"


def test_hosts_and_rounds_stand_with_their_case_and_numbers_of_many_are_a_range() -> None:
    paused = {"status": "error", "finished_at": "2026-01-01T12:00:00Z"}
    first = record(invocation="a", host="gamma", cause="nothing ran for 2.6 s", **paused)
    case = first.case.model_copy(update={"cache": "memory"})
    second = first.model_copy(update={"invocation": "b", "host": "omega", "case": case, "round": 2})
    second = second.model_copy(update={"cause": "nothing ran for 11 s"})
    (alike,) = recap_of([PLANNED, COMMAND, READY], [first, second], is_live=False).failures
    assert alike.why == "nothing ran for 2.6 to 11 s"
    assert list(alike.cases.values()) == ["gamma, round 1", "omega, round 2"]
    one, other = alike.cases
    assert "memory" in other and alike.cases_text == f"{one} (gamma, round 1); {other} (omega, round 2)"
    third = second.model_copy(update={"invocation": "c", "host": "gamma", "round": 1, "cause": first.cause})
    (alike,) = recap_of([PLANNED, COMMAND, READY], [first, third], is_live=False).failures
    assert alike.why == first.cause and alike.cases_text == f"{one}; {other}  (gamma, round 1)"

"""The last screen of a run, `harness status` and the page say the same of a fleet in trouble, and each thing once."""

from __future__ import annotations

import io
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fleet_session
import pytest
from fleet_clock import SimulatedClock, SimulatedEvent
from fleet_session import EXPERIMENT, INVOCATIONS, Outcome, make_fleet, plan_fleet, run_fleet

from harness.console import Console
from harness.records.folder import SessionFolder
from harness.records.reading import read_events
from harness.records.recap import Recap, recap_session
from harness.records.session_data import read_session
from harness.session.run_options import RunOptions
from harness.values.event import Event, HostBegun, HostFinished, SessionStarted
from harness.workflow.local.show_status import show_status
from harness.workflow.many_hosts import NONE_READY
from harness.workflow.run import run, shared
from harness.workflow.run.run import run_session
from harness.workflow.stops import INTERRUPTED, Stops

HOSTS = 20


@dataclass
class Told:
    """A session that ended, and what its command told on the way."""

    outcome: Outcome
    stderr: str

    @property
    def recap(self) -> Recap:
        return recap_session(read_session(self.outcome.folder.path), is_live=False)

    @property
    def last_screen(self) -> list[str]:
        return self.stderr[self.stderr.rindex(f"{self.outcome.folder.name} (fleet): ") :].splitlines()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    clock, stream = SimulatedClock(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        patch.setattr("fleet_session.Console", lambda quiet: Console())
        fleet = make_fleet(HOSTS, clock, troubled=0.6, kinds=2)
        outcome = run_fleet(tmp_path_factory.mktemp("fleet"), fleet, clock)
    return Told(outcome, stream.getvalue())


def test_there_is_a_line_for_each_host_also_where_it_never_began(told: Told) -> None:
    lines = {line.split()[0]: line for line in told.last_screen}
    for one in told.outcome.fleet:
        line, state = lines[one.name], {"dead": "unreachable", "gone": "unreachable", "garbled": "not ready"}
        assert re.search(rf"{one.name} +{state.get(one.trouble, 'locked' if one.trouble == 'locked' else '')}", line)
        if one.trouble in ("dead", "locked", "garbled"):
            assert " –  " in line and "→ " in line and "; then: harness run " in line
        elif one.is_ready and one.trouble != "lost":
            assert f"done {INVOCATIONS} of {INVOCATIONS}" in " ".join(line.split())


def test_lost_ones_are_done_again_by_the_same_command_only_where_that_is_true(told: Told) -> None:
    by_name = {host.host: host for host in told.recap.hosts}
    for one in told.outcome.fleet:
        host = by_name[one.name]
        if one.trouble == "lost":
            assert host.next == told.recap.command and host.state == "incomplete"
        elif one.trouble in ("error", "hang", "disk_full", "refuse"):
            assert host.next == f"{told.recap.command} --rerun-failed"
        elif not one.is_ready:
            assert host.next.endswith(f"; then: {told.recap.command}") and host.why
        else:
            assert host.next == ""


def test_status_and_the_page_say_what_the_last_screen_says(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    show_status(Console(), told.outcome.folder.path, Path(), as_json=False)
    *status, page = capsys.readouterr().out.splitlines()
    assert status == told.last_screen
    text = Path(page.removeprefix("file://")).read_text()
    words = " ".join(re.sub(r"<[^>]+>", " ", text[text.index("<body>") :]).split())
    assert f"ended; {told.recap.counts_text}" in words
    for host in told.recap.hosts:
        assert f"{host.host} {host.state.replace('_', ' ')}" in words and f"{host.share} {host.failed_text}" in words


def test_counts_are_of_all_that_the_session_has(told: Told) -> None:
    counts = Counter(record.invocation for record in told.outcome.records)
    assert sum(told.recap.counts.values()) == len(counts)
    (finished,) = (event for event in told.outcome.events if event["event"] == "SessionFinished")
    assert finished["counts"] == told.recap.counts
    assert sum(host.done for host in told.recap.hosts) == len(counts) - told.recap.counts["lost"]


def test_each_reason_stands_once_and_so_does_the_beginning(told: Told) -> None:
    assert told.stderr.count(" begins (") == 1
    assert sum(line.startswith("◷ timeout") for line in told.last_screen) == 1
    assert sum(line.startswith("▣ disk full") for line in told.last_screen) == 1


def test_what_an_earlier_command_failed_at_is_a_count(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, work = told.outcome.fleet[0].machine.clock, told.outcome.folder.path.parent.parent
    assert isinstance(clock, SimulatedClock)
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("fleet_session.Console", lambda quiet: Console())
    again = Told(run_fleet(work, told.outcome.fleet, clock), stream.getvalue())
    assert again.stderr.count(" continues (") == 1
    (line,) = (line for line in again.last_screen if line.startswith("from earlier commands: "))
    assert "error" in line and "timeout" in line and "disk full" in line
    assert not any(line.startswith(("! error", "◷ timeout", "▣ disk full")) for line in again.last_screen)
    assert any(" unreachable since " in line for line in again.last_screen[: HOSTS + 2])


def test_who_lost_a_lock_to_somebody_stops_there_and_says_so(tmp_path: Path) -> None:
    clock = SimulatedClock()
    fleet = make_fleet(2, clock, troubled=0.0)
    fleet[1].machine.taken_at = 2000.0
    outcome = run_fleet(tmp_path, fleet, clock)
    assert outcome.code == 1 and not any(one.jobs.jobs for one in fleet)
    well, robbed = recap_session(read_session(outcome.folder.path), is_live=False).hosts
    assert (well.state, well.share) == ("done", f"{INVOCATIONS} of {INVOCATIONS}")
    assert robbed.state == "locked" and robbed.why.startswith("the lock of this session was taken away by ann@desk")
    assert robbed.done < INVOCATIONS and robbed.next.startswith("ask ann@desk when the machine is free again; then: ")


def test_skips_are_told_once_and_the_time_left_is_without_them_and_everywhere_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fleet_session, "EXPERIMENT", EXPERIMENT.replace("1GiB", "[1GiB, 900TB]"))
    monkeypatch.setattr("fleet_session.Console", lambda quiet: Console())
    clock = SimulatedClock()
    fleet = make_fleet(1, clock)
    outcome = run_fleet(tmp_path, fleet, clock, rounds=1)
    skips = sum(record.status == "skipped" for record in outcome.records)
    said = capsys.readouterr().err
    assert skips == 3 and said.count("900 TB is more than this host can give") == 2, "when it begins, and at the end"
    assert f"∅ skipped: {skips} runs of 3 cases: " in said and f"∅ skipped ×{skips}  (ws0000, round 1): " in said

    assert plan_fleet(tmp_path, fleet, clock, rounds=3) == 0
    (planned,) = json.loads(capsys.readouterr().out)["hosts"]
    run_fleet(tmp_path, fleet, clock, rounds=3)
    session = read_session(outcome.folder.path, kinds=None)
    index = max(i for i, logged in enumerate(session.events) if isinstance(logged.event, SessionStarted))
    told = session.events_of(SessionStarted)[-1].left_s
    (host,) = recap_session(replace(session, events=session.events[: index + 1]), is_live=True).hosts
    assert planned["seconds"] == told == host.progress.left_s
    assert told == pytest.approx(2 * outcome.seconds, rel=0.2), "two rounds more, each as long as the first was"


def test_what_is_asked_for_with_only_is_done_and_no_hint_leads_to_the_same_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, stream = SimulatedClock(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("fleet_session.Console", lambda quiet: Console())
    outcome = run_fleet(tmp_path, make_fleet(1, clock), clock, only=["loader=keras-idg"])
    told = Told(outcome, stream.getvalue())
    (host,) = told.recap.hosts
    assert outcome.code == 0 and host.planned == INVOCATIONS and host.done < INVOCATIONS
    assert (host.state, host.next) == ("done", "")
    assert host.why == f"{INVOCATIONS - host.done} runs left out by --only"
    assert any(f"{host.share} " in line and host.why in line for line in told.last_screen)


def test_a_host_that_was_left_out_has_the_rounds_that_the_session_has_by_now(tmp_path: Path) -> None:
    clock = SimulatedClock()
    fleet = make_fleet(2, clock, troubled=0.0)
    run_fleet(tmp_path, fleet, clock, rounds=2)
    outcome = run_fleet(tmp_path, fleet, clock, rounds=3, limit="ws0000")
    on, out = recap_session(read_session(outcome.folder.path), is_live=False).hosts
    assert (on.state, on.share) == ("done", f"{3 * INVOCATIONS} of {3 * INVOCATIONS}")
    assert (out.state, out.share, out.next) == ("left out", f"{2 * INVOCATIONS} of {3 * INVOCATIONS}", "")
    assert out.why == "the last command left this host out" and out.place.startswith("2 of 3")


def test_a_host_is_preparing_from_its_first_moment_and_at_its_end_while_others_measure(tmp_path: Path) -> None:
    clock = SimulatedClock()
    fleet = make_fleet(2, clock, troubled=0.0)
    fleet[1].program.temper = replace(fleet[1].program.temper, pace=3.0)
    session = read_session(run_fleet(tmp_path, fleet, clock).folder.path, kinds=None)

    def states(after: type[Event]) -> dict[str, tuple[str, str | None, str | None]]:
        index = next(i for i, logged in enumerate(session.events) if isinstance(logged.event, after))
        events = session.events[: index + 1]
        records = tuple(one for one in session.records if (one.finished_at or "") < events[-1].at)
        found = recap_session(replace(session, events=events, records=records), is_live=True)
        return {host.host: (host.state, host.since, host.progress.running) for host in found.hosts}

    begun = next(logged.at for logged in session.events if isinstance(logged.event, HostBegun))
    assert ("preparing", begun, None) in states(HostBegun).values()
    fast, slow = states(HostFinished).values()
    assert fast == ("done", None, None) and slow[0] == "measuring" and slow[2] is not None


def test_what_is_counted_as_done_while_it_runs_is_what_the_recap_counts(told: Told) -> None:
    written = [logged.to_json() for logged in read_events(told.outcome.folder)]  # also of a command that came later
    events = [event for event in written if event["event"] == "InvocationFinished"]
    last = {event["host"]: event["done"] for event in events}
    assert last == {host.host: host.done for host in told.recap.hosts if host.host in last}
    assert any(event["status"] == "lost" for event in events), "which is measured again, and is not done"


def test_that_no_host_is_ready_is_the_exit_code_only_where_nothing_was_recorded(tmp_path: Path) -> None:
    clock = SimulatedClock()
    fleet = make_fleet(1, clock)
    fleet[0].machine.taken_at = 4000.0
    outcome = run_fleet(tmp_path, fleet, clock)
    (host,) = recap_session(read_session(outcome.folder.path), is_live=False).hosts
    assert host.state == "locked" and 0 < host.done < INVOCATIONS
    assert outcome.code == 1, "it has brought records"
    fleet[0].machine.away = ((0.0, float("inf")),)
    assert run_fleet(tmp_path, fleet, clock).code == NONE_READY, "of records of an earlier command that says nothing"


def test_a_session_that_no_host_was_ready_for_is_not_said_to_have_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = SimulatedClock()
    fleet = make_fleet(1, clock)
    fleet[0].machine.away = ((0.0, float("inf")),)
    with fleet_session.fleet_world(tmp_path, fleet, clock) as files:
        assert run_session(Console(), RunOptions(**files, name="other")) == NONE_READY
    said = capsys.readouterr().err
    folder = tmp_path / "reports" / "other"
    assert not folder.exists() and "ended" not in said and said.count(" unreachable") == 2
    assert f"\nnothing was measured; the session's folder {folder} was removed\n" in said
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize("is_ready", [False, True])
def test_ctrl_c_before_the_first_record_keeps_a_session_only_once_a_host_is_ready(
    tmp_path: Path, *, is_ready: bool
) -> None:
    clock = SimulatedClock()
    stops = Stops(SimulatedEvent(clock), SimulatedEvent(clock))  # type: ignore[arg-type]
    note_host = shared.Shared.note_host

    def note(self: shared.Shared, *prepared: Any) -> None:
        note_host(self, *prepared)
        stops.ask("stop")

    fleet = make_fleet(1, clock, troubled=0.0)
    with fleet_session.fleet_world(tmp_path, fleet, clock) as files, pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "Stops", lambda: stops)
        patch.setattr(shared.Shared, "note_host", note)
        if not is_ready:
            stops.ask("stop")
        assert run_session(Console(), RunOptions(**files, name="other")) == INTERRUPTED
    folder = SessionFolder(tmp_path / "reports" / "other")
    assert folder.exists() == (tmp_path / "reports").exists() == is_ready
    assert not is_ready or not read_session(folder.path).records


def test_nothing_is_sent_to_a_host_that_has_nothing_left_to_do(tmp_path: Path) -> None:
    clock = SimulatedClock()
    fleet = make_fleet(2, clock, troubled=0.0)
    fleet[1].machine.away = ((0.0, float("inf")),)
    assert run_fleet(tmp_path, fleet, clock).code == 1
    fleet[1].machine.away = ()
    worked_s, reached = fleet[0].program.work_s, len(fleet[0].links)
    outcome = run_fleet(tmp_path, fleet, clock)
    assert outcome.code == 0 and fleet[1].program.measured == INVOCATIONS
    assert fleet[0].program.work_s == worked_s and len(fleet[0].links) == reached + 1, "it is compared with the others"
    assert all(host.state == "done" for host in recap_session(read_session(outcome.folder.path), is_live=False).hosts)
    told = [each["event"] for each in outcome.events if each.get("host") == fleet[0].name]
    assert told[-2:] == ["SessionStarted", "HostFinished"] and told.count("HostBegun") == 1
    more = run_fleet(tmp_path, fleet, clock, rounds=2)
    assert more.code == 0 and {one.program.measured for one in fleet} == {2 * INVOCATIONS}
    lines = more.folder.records_file.read_text().splitlines(keepends=True)
    more.folder.records_file.write_text("".join(lines[1:]))
    again = run_fleet(tmp_path, fleet, clock, rounds=2)
    assert again.code == 0 and sum(one.program.measured for one in fleet) == 4 * INVOCATIONS + 1, "a record was lost"

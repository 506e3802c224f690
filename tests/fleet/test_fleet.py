"""A session of thirty hosts, a third of them in trouble, on simulated time: what ends how, and that nothing is left."""

from __future__ import annotations

from collections import Counter

import pytest
from fleet_clock import SimulatedClock, SimulatedEvent
from fleet_session import INVOCATIONS, TROUBLES, Outcome, Workstation, make_fleet, run_fleet

from harness.workflow.run.shared import Pace

HOSTS = 30
OK = {"ok": INVOCATIONS}
STATES = {"dead": "unreachable", "gone": "unreachable", "locked": "locked", "garbled": "not_ready"}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    clock = SimulatedClock()
    return run_fleet(tmp_path_factory.mktemp("fleet"), make_fleet(HOSTS, clock, troubled=0.5, kinds=2), clock)


def statuses_of(one: Workstation) -> Counter[str]:
    """What the records of a host must say that is ready: its second job meets with its trouble."""
    found = Counter(OK)
    if (befallen := {"hang": "timeout", "refuse": "error"}.get(one.trouble, one.trouble)) in (
        "timeout", "error", "disk_full", "lost"
    ):  # fmt: skip
        found += Counter({befallen: 1})
        found -= Counter({"ok": 1})
    return found


def test_every_trouble_is_there(outcome: Outcome) -> None:
    assert {one.trouble for one in outcome.fleet} == set(TROUBLES)
    assert outcome.code == 1


def test_each_host_has_its_results_whatever_befalls_others(outcome: Outcome) -> None:
    for one in outcome.fleet:
        if one.is_ready:
            found = outcome.statuses(one.name)
            assert found.total() == one.program.measured == INVOCATIONS, one.name
            if one.machine.kind.ram_gib > 16:
                assert found == statuses_of(one), (one.name, one.trouble)
            else:  # its memory cache dies, unless that is the job that met with the trouble
                assert found["oom"] <= 1 and found["ok"] >= INVOCATIONS - 2, (one.name, one.trouble)
    assert sum(outcome.statuses(one.name)["oom"] for one in outcome.fleet) >= 3


def test_each_host_that_cannot_says_why(outcome: Outcome) -> None:
    states = {event["host"]: event for event in outcome.events if event["event"] == "HostStateChanged"}
    for one in outcome.fleet:
        said = states[one.name]
        assert said["state"] == STATES.get(one.trouble, "ready")
        assert one.is_ready or (said["message"] and said["hint"])


def test_an_absence_is_told_from_when_to_when_and_costs_nothing(outcome: Outcome) -> None:
    for one in outcome.fleet:
        own = [event for event in outcome.events if event.get("host") == one.name]
        lost = [event for event in own if event["event"] == "LinkLost"]
        back = [event for event in own if event["event"] == "LinkBack"]
        assert (len(lost), len(back)) == {"away": (2, 2), "gone": (1, 0)}.get(one.trouble, (0, 0)), one.name
        for event, (begin, end) in zip(back, one.machine.away, strict=False):
            assert event["seconds"] == pytest.approx(end - begin, abs=45)  # it is asked every 5 to 30 s


def test_nothing_is_left_on_any_host_and_no_link_is_open(outcome: Outcome) -> None:
    for one in outcome.fleet:
        assert not any(link.is_open for link in one.links), one.name
        if one.trouble != "gone":
            assert not one.jobs.jobs, one.name
            assert one.machine.lock is None or one.trouble == "locked", one.name


def test_hosts_run_side_by_side(outcome: Outcome) -> None:
    assert outcome.slowest_s < outcome.seconds < 1.02 * outcome.slowest_s


def test_the_same_command_does_again_what_was_lost_and_goes_on_where_a_host_is_back(outcome: Outcome) -> None:
    before = len(outcome.records)
    for one in outcome.fleet:
        one.machine.away, one.machine.is_garbled = (), False
        one.machine.lock = None if one.trouble == "locked" else one.machine.lock
    measured = {one.name: one.program.measured for one in outcome.fleet}
    clock = outcome.fleet[0].machine.clock
    assert isinstance(clock, SimulatedClock)
    again = run_fleet(outcome.folder.path.parent.parent, outcome.fleet, clock, rerun_failed=True)
    assert again.folder == outcome.folder
    for one in again.fleet:
        newest = {record.invocation: record for record in again.records if record.host == one.name}
        assert len(newest) == INVOCATIONS
        assert {record.status for record in newest.values()} <= {"ok", "oom"}, (one.name, one.trouble)
        done = one.program.measured - measured[one.name]
        if one.trouble in ("error", "hang", "disk_full", "refuse", "lost"):
            assert done == 1, (one.name, one.trouble)
        elif one.trouble in ("none", "away"):
            assert done == 0, one.name
    assert again.code == 0
    assert len(again.records) > before
    assert not any(one.jobs.jobs or one.machine.lock for one in again.fleet)


def test_time_jumps_to_whoever_waits_for_the_least() -> None:
    clock = SimulatedClock()
    event = SimulatedEvent(clock)
    clock.enter()
    assert not event.wait(3600.0)
    clock.sleep(0.5)
    assert clock.monotonic() == 3600.5
    event.set()
    assert event.wait(3600.0)
    assert clock.monotonic() == 3600.5


def test_a_report_is_worth_it_after_a_round_of_each_host_or_after_a_long_time() -> None:
    first = Pace()
    assert first.is_due(hosts=1000, now=0.0)
    pace = Pace(rounds=1, cost_s=2.0, written_at=100.0)
    assert pace.is_due(hosts=1, now=100.1)
    assert not pace.is_due(hosts=2, now=499.0)
    assert pace.is_due(hosts=2, now=500.0)
    assert Pace(rounds=2, cost_s=2.0, written_at=100.0).is_due(hosts=2, now=100.1)

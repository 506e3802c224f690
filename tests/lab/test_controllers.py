"""More than one controller, and controllers that die: nothing is lost, doubled or left behind."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest
from bad_link import BadLink
from host_states import take_image
from lab_driver import STEPS
from lab_session import Controller
from workstations import Lab

pytestmark = pytest.mark.lab

Make = Callable[..., Controller]
BOUNDARIES = [f"{when}-{step}" for step in STEPS for when in ("before", "after")]
IN_SHORT = {"after-submit", "after-fetch", "before-remove"}


def starts_of(lab: Lab, host: str, since: str) -> list[str]:
    """The measuring containers that were started on a host, one entry a start."""
    filters = ["--filter", "event=start", "--filter", "label=harness.task=measure"]
    until = lab.hosts[host].exec("date", "+%s")
    said = lab.hosts[host].docker(
        "events", "--since", since, "--until", until, *filters, "--format", "{{.Actor.Attributes.name}}"
    )
    return said.split()


@pytest.mark.parametrize(
    "boundary", [pytest.param(one, marks=[] if one in IN_SHORT else [pytest.mark.lab_full]) for one in BOUNDARIES]
)
def test_a_controller_killed_at_a_boundary(session: Make, lab: Lab, boundary: str) -> None:
    controller = session("ws1", "ws2")
    since = lab.hosts["ws1"].exec("date", "+%s")
    killed = controller.start(driver=("--die", f"{boundary}:2"))
    killed.wait(200)
    assert killed.returncode == -signal.SIGKILL
    ended = controller.run()
    assert ended.code == 0, ended.said
    controller.assert_complete()
    assert {(record.status, record.attempt) for record in controller.records()} == {("ok", 1)}
    for name in controller.hosts:
        started = starts_of(lab, name, since)
        assert len(started) == len(set(started)), (name, started)
        first = [job for job in started if job.endswith("-1")]  # a disturbed one is repeated, as attempt 2
        assert len(first) == 2, (name, started)
    controller.assert_nothing_left()


def test_killed_while_it_ships(session: Make, lab: Lab, links: dict[str, BadLink]) -> None:
    take_image(lab.hosts["ws2"])
    links["ws2"].set_quality(rate=3e6)
    controller = session("ws1", "ws2", links={"ws2": links["ws2"]})
    process = controller.start()
    controller.wait_until(lambda: links["ws2"].passed["up"] > 3_000_000, process)
    process.kill()
    process.wait(20)
    links["ws2"].set_quality(rate=0)
    ended = controller.run()
    assert ended.code == 0, ended.said
    controller.assert_complete()
    controller.assert_nothing_left()


def test_two_controllers_at_once_for_one_session(session: Make) -> None:
    controller = session("ws1", "ws2")
    first = controller.start_held()
    second = controller.run()
    assert second.code in (2, 3), second.said
    assert controller.records() == []
    controller.let_go()
    assert controller.end(first).code == 0
    controller.assert_complete()
    controller.assert_nothing_left()


def test_two_people_on_the_same_hosts(session: Make) -> None:
    mine, theirs = session("ws1", "ws2"), session("ws1", "ws3")
    first = mine.start_held("ws1")
    ended = theirs.run()
    assert ended.code == 1, ended.said
    assert theirs.states("ws1")[-1] == "locked"
    theirs.assert_complete("ws3")
    mine.let_go("ws1")
    assert mine.end(first).code == 0
    mine.assert_complete()
    assert theirs.run().code == 0
    theirs.assert_complete()
    theirs.assert_nothing_left()


def test_interrupted_by_hand(session: Make) -> None:
    controller = session("ws1", "ws2")
    process = controller.start_held()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    ended = controller.end(process)
    assert ended.code == 130, ended.said
    assert "harness run" in ended.stderr
    controller.assert_nothing_left()
    controller.let_go()
    assert controller.run().code == 0
    controller.assert_complete()

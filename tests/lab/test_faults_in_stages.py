"""A fault while an image is shipped, while a case runs, while results are fetched: what must come of it.

The faulty host ends as it must, the others complete, nothing is left anywhere, and the same command finishes.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from bad_link import BadLink
from host_states import take_image
from lab_session import LOADERS, PATIENCE, Controller, Ended
from workstations import Host, Lab

pytestmark = pytest.mark.lab

Make = Callable[..., Controller]
FAULTY, OTHER = "ws2", "ws1"
HURRY = ("--hurry", "2")
AWAY = ("--set", "harness.hosts.ssh.ssh_connection:RECONNECT_S=3")
LONG_S = 8.0
"""Longer than a peer may be silent under HURRY, so that the fault is noticed and not just waited out."""


@dataclass(frozen=True)
class Fault:
    """Something that happens to a host or its link, and how it ends. ``loses`` the job that runs meanwhile."""

    name: str
    begin: Callable[[Host, BadLink], None]
    end: Callable[[Host, BadLink], None]
    loses: bool = False


def nothing(_host: Host, _link: BadLink) -> None:
    """It has ended already."""


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("link-cut", lambda host, link: link.cut(), nothing),
        Fault("link-refused", lambda host, link: link.refuse(), lambda host, link: link.heal()),
        Fault("silence", lambda host, link: link.silence(), lambda host, link: link.heal()),
        Fault("frozen", lambda host, link: host.pause(), lambda host, link: host.unpause()),
        Fault("power-lost", lambda host, link: host.kill(), lambda host, link: host.start(), loses=True),
    )
}
AT_ONCE = {"ws2": "silence", "ws3": "frozen", "ws4": "power-lost"}
STAGES = ("ship", "case", "fetch")


def reach_stage(stage: str, controller: Controller, host: Host, link: BadLink) -> subprocess.Popen[str]:
    """Start a session and return in the middle of a stage of the faulty host."""
    driver = (*PATIENCE, *HURRY)
    if stage == "ship":
        take_image(host)
        link.set_quality(rate=3e6)
        process = controller.start(driver=driver)
        controller.wait_until(lambda: link.passed["up"] > 3_000_000, process)
        return process
    if stage == "fetch":
        controller.behave(FAULTY, {"*": {"act": "large", "bytes": 6_000_000}})
    process = controller.start_held(FAULTY, driver=driver)
    if stage == "fetch":
        link.set_quality(rate=1e6)
        before = link.passed["down"]
        controller.let_go(FAULTY)
        controller.wait_until(lambda: link.passed["down"] > before + 1_500_000, process)
    return process


@pytest.mark.lab_full
@pytest.mark.parametrize("fault_name", FAULTS)
@pytest.mark.parametrize("stage", STAGES)
def test_fault_in_a_stage(session: Make, lab: Lab, links: dict[str, BadLink], stage: str, fault_name: str) -> None:
    fault, host, link = FAULTS[fault_name], lab.hosts[FAULTY], links[FAULTY]
    controller = session(OTHER, FAULTY, links={FAULTY: link})
    process = reach_stage(stage, controller, host, link)
    fault.begin(host, link)
    link.set_quality(rate=0)
    time.sleep(LONG_S)
    fault.end(host, link)
    controller.let_go(FAULTY)
    ended = controller.end(process)
    controller.assert_complete(OTHER)
    if fault.loses:
        # In ship it may be back in time; in fetch the job has ended, and its results are found on the disk, where they
        # were written out before the power went.
        assert ended.code == 1 if stage == "case" else ended.code in (0, 1), ended.said
        assert {record.status for record in controller.records(FAULTY)} <= {"ok", "lost"}, ended.said
    else:
        assert ended.code == 0, ended.said
        assert_went_on(controller, FAULTY, ended)
    if ended.code:
        again = controller.run()
        assert again.code == 0, again.said
    controller.assert_complete()
    controller.assert_nothing_left()


def assert_went_on(controller: Controller, host: str, ended: Ended) -> None:
    """The job was neither lost nor done twice, and it was told from when to when the host was away."""
    kinds = controller.kinds(host)
    assert kinds.count("LinkLost") == kinds.count("LinkBack") >= 1, (host, kinds)
    assert kinds.index("LinkLost") < kinds.index("LinkBack"), (host, kinds)
    found = [(record.status, record.attempt) for record in controller.records(host)]
    assert found == [("ok", 1), ("ok", 1)], (host, ended.said)


def test_a_silent_a_frozen_and_a_dying_host_at_once(session: Make, lab: Lab, links: dict[str, BadLink]) -> None:
    controller = session(OTHER, *AT_ONCE, links=links)
    process = controller.start_held(*AT_ONCE, driver=(*PATIENCE, *HURRY))
    for name, fault in AT_ONCE.items():
        FAULTS[fault].begin(lab.hosts[name], links[name])
    controller.wait_until(lambda: len(controller.records(OTHER)) == len(LOADERS), process)  # no other is held up
    controller.wait_until(lambda: all("LinkLost" in controller.kinds(name) for name in AT_ONCE), process)
    for name, fault in AT_ONCE.items():
        FAULTS[fault].end(lab.hosts[name], links[name])
    controller.let_go(*AT_ONCE)
    ended = controller.end(process)
    assert ended.code == 1, ended.said
    controller.assert_complete(OTHER)
    for name in ("ws2", "ws3"):
        assert controller.kinds(name).index("InvocationStarted") < controller.kinds(name).index("LinkLost")
        assert_went_on(controller, name, ended)
    assert sorted(controller.statuses("ws4").values()) == ["lost", "ok"], ended.said
    again = controller.run()
    assert again.code == 0, again.said
    controller.assert_complete()
    controller.assert_nothing_left()


@pytest.mark.parametrize("stage", ["ship", "fetch"])
def test_a_link_that_is_cut_goes_on(session: Make, links: dict[str, BadLink], lab: Lab, stage: str) -> None:
    link = links[FAULTY]
    controller = session(OTHER, FAULTY, links={FAULTY: link})
    process = reach_stage(stage, controller, lab.hosts[FAULTY], link)
    link.cut()
    link.set_quality(rate=0)
    ended = controller.end(process)
    assert ended.code == 0, ended.said
    assert_went_on(controller, FAULTY, ended)
    controller.assert_complete()
    controller.assert_nothing_left()


def test_a_host_that_stays_dead_costs_only_itself(session: Make, lab: Lab, links: dict[str, BadLink]) -> None:
    host = lab.hosts[FAULTY]
    controller = session(OTHER, FAULTY, "ws3")
    driver = ("--set", "harness.session.runner:_LINK_PATIENCE_S=3", *AWAY, *HURRY)
    process = controller.start_held(FAULTY, driver=driver)
    host.kill()
    ended = controller.end(process)
    assert ended.code == 1, ended.said
    controller.assert_complete(OTHER, "ws3")
    controller.assert_nothing_left(OTHER, "ws3")
    assert controller.states(FAULTY)[-1] == "unreachable"
    assert FAULTY in ended.stderr
    host.start()
    controller.let_go(FAULTY)
    again = controller.run()
    if again.code:  # what was running when the power went is lost, and done again by the same command
        assert "lost" in controller.statuses(FAULTY).values(), again.said
        again = controller.run()
    assert again.code == 0, again.said
    controller.assert_complete()
    controller.assert_nothing_left()


def test_a_slow_and_lossy_link_only_takes_longer(session: Make, lab: Lab, links: dict[str, BadLink]) -> None:
    take_image(lab.hosts[FAULTY])
    links[FAULTY].set_quality(delay_s=0.02, rate=12e6, loss=0.01, stall_s=0.2)
    controller = session(OTHER, FAULTY, links={FAULTY: links[FAULTY]})
    ended = controller.run()
    assert ended.code == 0, ended.said
    controller.assert_complete()
    assert {record.attempt for record in controller.records()} == {1}
    controller.assert_nothing_left()

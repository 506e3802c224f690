"""What the lab's hosts go through is told once, and right: on the last screen, by status, unlock and clean."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from lab_session import Controller
from workstations import Lab

pytestmark = pytest.mark.lab

Make = Callable[..., Controller]


def status_of(controller: Controller, host: str) -> dict[str, Any]:
    """What `harness status` says of a host."""
    ended = controller.end(controller.start_command("status", str(controller.session().path), "--json"))
    assert ended.code == 0, ended.said
    return next(one for one in json.loads(ended.stdout)["hosts"] if one["host"] == host)


def test_a_host_that_never_began_stands_on_the_last_screen_with_its_reason(session: Make, lab: Lab) -> None:
    controller = session("ws1", "ws2")
    lab.hosts["ws2"].kill()
    ended = controller.run()
    assert ended.code == 1, ended.said
    last = ended.stderr[ended.stderr.rindex(f"{controller.session().name} (") :].splitlines()
    (line,) = (line for line in last if line.startswith("ws2 "))
    assert "unreachable since " in line and "; then: harness run " in line
    shown = controller.end(controller.start_command("status", str(controller.session().path)))
    assert [line for line in last if line.strip()] == shown.stdout.splitlines()[: len(last)], shown.said
    lab.hosts["ws2"].start()
    assert controller.run().code == 0


def test_a_frozen_host_is_not_called_ready(session: Make, lab: Lab) -> None:
    controller = session("ws1", "ws2")
    process = controller.start_held("ws2")
    assert status_of(controller, "ws2")["state"] == "measuring"
    lab.hosts["ws2"].pause()
    try:
        controller.wait_until(lambda: "LinkLost" in controller.kinds("ws2"), process)
        found = status_of(controller, "ws2")
        assert found["state"] == "silent" and found["since"] and "no answer" in found["why"]
    finally:
        lab.hosts["ws2"].unpause()
    controller.wait_until(lambda: "LinkBack" in controller.kinds("ws2"), process)
    assert status_of(controller, "ws2")["state"] == "measuring"
    controller.let_go()
    ended = controller.end(process)
    assert ended.code == 1 and "invalid: the host was paused" in ended.stderr, ended.said
    assert controller.run().code == 0, "what stood still is measured again by the same command"


def test_after_a_kill_status_names_what_may_still_run(session: Make) -> None:
    controller = session("ws1", "ws2")
    process = controller.start_held()
    process.kill()
    process.wait(20)
    for name in controller.hosts:
        found = status_of(controller, name)
        assert found["state"] == "unknown" and "may still be running there" in found["why"] and found["since"]
        assert found["next"].startswith("harness run ")
    controller.let_go()
    assert controller.run().code == 0
    controller.assert_complete()


def test_a_living_holder_is_named_and_stops_when_its_lock_is_taken(session: Make, lab: Lab) -> None:
    controller = session("ws1")
    process = controller.start_held("ws1")
    refused = controller.command("unlock", "--yes")
    assert refused.code == 1 and "still locked" in refused.stdout and "alive" in refused.stdout, refused.said
    holder = refused.stdout.rpartition("--force ")[2].split()[0]
    taken = controller.command("unlock", "--force", holder)
    assert taken.code == 0, taken.said
    ended = controller.end(process)
    assert ended.code in (1, 3) and f"taken away by {holder}" in ended.stderr, ended.said
    assert lab.hosts["ws1"].jobs(running=True) == []
    controller.let_go()
    assert controller.run().code == 0
    controller.assert_complete()


def test_clean_lists_what_stays_and_removes_it_when_asked(session: Make, lab: Lab) -> None:
    controller = session("ws1")
    assert controller.run().code == 0
    listed = json.loads(controller.command("clean", "--json").stdout)
    (image,) = (one for one in listed if one["what"] == "docker image")
    assert image["stays"] and image["bytes"] > 10**6 and "--images" in image["why"]
    assert all(one["stays"] and one["why"] for one in listed)
    gone = controller.command("clean", "--all", "--yes", "--json")
    assert all(one["is_removed"] for one in json.loads(gone.stdout)), gone.said
    assert lab.hosts["ws1"].docker("images", "-q") == ""
    assert controller.command("clean").stdout == "nothing to clean\n"
    assert controller.run("--fresh").code == 0

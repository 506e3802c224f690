"""Hosts that cannot be measured from the start: each says why and what to do, and the others complete."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bad_link import BadLink
from lab_session import Controller, Ended
from workstations import Lab, make_key

pytestmark = pytest.mark.lab

Make = Callable[..., Controller]


def assert_told(ended: Ended, host: str, *words: str) -> None:
    """The screen names the host, the cause and the cure, in the same paragraph."""
    lines = ended.stderr.splitlines()
    near = [i for i, line in enumerate(lines) if host in line]
    told = "\n".join(text for i in near for text in lines[i : i + 3])
    for word in words:
        assert word.lower() in told.lower(), (host, word, ended.said)


def finish(controller: Controller, *hosts: str) -> None:
    """The same command again does what is left, and nothing twice."""
    before = {record.invocation for record in controller.records()}
    assert controller.run().code == 0
    controller.assert_complete()
    assert {record.invocation for record in controller.records() if record.host in hosts}.isdisjoint(before)
    controller.assert_nothing_left()


def test_all_is_well_on_four_hosts_with_three_docker_versions(session: Make) -> None:
    controller = session("ws1", "ws2", "ws3", "ws4")
    ended = controller.run()
    assert ended.code == 0, ended.said
    controller.assert_complete()
    assert len({record.hardware for record in controller.records()}) >= 2
    assert len({record.image_digest for record in controller.records()}) == 1
    controller.assert_nothing_left()
    again = controller.run()
    assert again.code == 0 and len(controller.records()) == 8, again.said


def test_down_refused_and_garbage(session: Make, lab: Lab, links: dict[str, BadLink]) -> None:
    controller = session("ws1", "ws2", "ws3", "ws4", links={name: links[name] for name in ("ws2", "ws3", "ws4")})
    links["ws2"].refuse()
    links["ws3"].answer_with(b"HTTP/1.0 400 Bad Request\r\n\r\n")
    lab.hosts["ws4"].kill()
    ended = controller.run()
    assert ended.code == 1, ended.said
    controller.assert_complete("ws1")
    controller.assert_nothing_left("ws1")
    for name in ("ws2", "ws3", "ws4"):
        assert controller.states(name)[-1:] == ["unreachable"], ended.said
    assert_told(ended, "ws2", "refuse", "sshd")
    assert_told(ended, "ws3", "no SSH server")
    links["ws2"].heal()
    links["ws3"].answer_with(None)
    lab.hosts["ws4"].start()
    finish(controller, "ws2", "ws3", "ws4")


def test_unknown_and_changed_keys_and_a_wrong_user(session: Make, lab: Lab) -> None:
    controller = session("ws1", "ws2", "ws3", "ws4")
    other = make_key(controller.folder / "other")
    known = controller.folder / "home" / ".ssh" / "known_hosts"
    known.parent.mkdir(parents=True)
    known.write_text(f"[127.0.0.1]:{lab.hosts['ws3'].port} {other}\n")
    controller.own = {"ws2": {"harness": None}, "ws3": {"harness": None}, "ws4": {"ansible_user": "nobody-here"}}
    ended = controller.run()
    assert ended.code == 1, ended.said
    controller.assert_complete("ws1")
    for name in ("ws2", "ws3", "ws4"):
        assert controller.states(name)[-1:] == ["not_ready"], ended.said
    assert_told(ended, "ws2", "not known", lab.hosts["ws2"].fingerprint, "harness trust")
    assert_told(ended, "ws3", "changed", lab.hosts["ws3"].fingerprint, "harness trust")
    assert_told(ended, "ws4", "nobody-here")
    assert (controller.folder / "other").read_text() not in ended.said
    controller.own = {}
    finish(controller, "ws2", "ws3", "ws4")


def test_no_docker_and_no_right_to_use_it(session: Make, lab: Lab) -> None:
    controller = session("ws1", "ws2", "ws3", "ws4")
    lab.hosts["ws2"].exec("gpasswd", "-d", "bench", "docker")
    for name in ("ws3", "ws4"):
        lab.hosts[name].shell("pkill -x dockerd; while pidof dockerd; do sleep 0.1; done; rm -f /run/docker.sock")
    lab.hosts["ws4"].exec("mv", "/usr/bin/docker", "/usr/bin/no-docker")
    try:
        ended = controller.run()
    finally:
        lab.hosts["ws4"].exec("mv", "/usr/bin/no-docker", "/usr/bin/docker")
    assert ended.code == 1, ended.said
    controller.assert_complete("ws1")
    for name in ("ws2", "ws3", "ws4"):
        assert controller.states(name)[-1:] == ["not_ready"], ended.said
    assert_told(ended, "ws2", "docker socket", "usermod -aG docker bench")
    assert_told(ended, "ws3", "no docker socket", "start docker")
    lab.hosts["ws2"].exec("usermod", "-a", "-G", "docker", "bench")
    for name in ("ws3", "ws4"):
        lab.hosts[name].exec("bash", "/lab/boot/dockerd.sh")
        lab.hosts[name].wait()
    finish(controller, "ws2", "ws3", "ws4")


GARBAGE_CLI = "#!/bin/sh\necho $$; head -c 500 /dev/urandom\n"


def test_an_engine_a_shell_and_a_job_that_answer_garbage(session: Make, lab: Lab) -> None:
    controller = session("ws1", "ws2", "ws3", "ws4")
    lab.hosts["ws2"].exec("mv", "/usr/bin/docker", "/usr/bin/real-docker")
    lab.hosts["ws2"].write("/usr/bin/docker", GARBAGE_CLI)
    lab.hosts["ws2"].exec("chmod", "755", "/usr/bin/docker")
    lab.hosts["ws3"].write("/home/bench/.bashrc", "echo Welcome to ws3; head -c 200 /dev/urandom; echo\n")
    controller.behave("ws4", {"tfdata": {"act": "garbage"}})
    try:
        ended = controller.run()
    finally:
        lab.hosts["ws2"].exec("mv", "/usr/bin/real-docker", "/usr/bin/docker")
        lab.hosts["ws3"].exec("rm", "/home/bench/.bashrc")
    assert ended.code == 1, ended.said
    controller.assert_complete("ws1", "ws3")  # what a shell says before a command is not taken for its answer
    assert controller.states("ws2")[-1:] == ["not_ready"], ended.said
    assert_told(ended, "ws2", "docker")
    controller.assert_complete("ws4", expected={"tfdata": "error"})
    causes = {record.case.loader: record.cause for record in controller.records("ws4")}
    assert "results are not valid" in (causes["tfdata"] or ""), ended.said
    controller.assert_nothing_left()
    controller.behave("ws4", {})
    again = controller.run("--rerun-failed")
    assert again.code == 0, again.said
    controller.assert_complete()
    controller.assert_nothing_left()


def test_every_host_away_is_exit_code_3_and_leaves_no_session(session: Make, links: dict[str, BadLink]) -> None:
    controller = session("ws1", "ws2", links=links)
    for name in ("ws1", "ws2"):
        links[name].refuse()
    ended = controller.run()
    assert ended.code == 3, ended.said
    assert controller.records() == []

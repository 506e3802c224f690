"""What goes wrong on a host itself while it measures: memory, disk, its engine, somebody's hands."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from host_states import take_image
from lab_session import EXPERIMENT, PATIENCE, Controller
from workstations import Lab

pytestmark = pytest.mark.lab

Make = Callable[..., Controller]
CACHED = EXPERIMENT.replace("  memory_limit:", "  cache: [none, file]\n  memory_limit:")


def test_memory_runs_out_on_every_docker_version(session: Make) -> None:
    """Of the benchmark itself in one case, of a child of it, which it outlives, in the other."""
    controller = session("ws1", "ws2", "ws3")
    acts = {"tfdata": "oom", "keras-idg": "oom_grandchild"}
    for name in controller.hosts:
        controller.behave(name, {loader: {"act": act} for loader, act in acts.items()})
    ended = controller.run()
    assert ended.code == 0, ended.said  # an oom is a result
    controller.assert_complete(expected=dict.fromkeys(acts, "oom"))
    for record in controller.records():
        assert record.memory.limit_effective is not None and record.memory.limit_effective <= 200_000_000
        assert record.evidence["oom_kills"] == 1, record.evidence
        signal = 9 if acts[record.case.loader] == "oom" else None
        assert record.evidence["child_signal"] == signal, record.evidence
    controller.assert_nothing_left()
    again = controller.run("--rerun-failed")
    assert again.code == 0 and len(controller.records()) == 6, again.said  # and is not done again


@pytest.mark.parametrize(
    ("hand", "status"), [("rm", "lost"), pytest.param("kill", "error", marks=pytest.mark.lab_full)]
)
def test_a_container_taken_from_outside(session: Make, lab: Lab, hand: str, status: str) -> None:
    controller = session("ws1", "ws2")
    process = controller.start_held("ws2")
    name = controller.wait_for_job("ws2", process)
    lab.hosts["ws2"].docker(*(["rm", "-f", "-v"] if hand == "rm" else ["kill"]), name)
    controller.let_go()
    ended = controller.end(process)
    assert ended.code == 1, ended.said
    controller.assert_complete("ws1")
    assert sorted(controller.statuses("ws2").values()) == sorted(["ok", status]), ended.said
    assert "oom" not in controller.statuses("ws2").values()
    controller.assert_nothing_left()
    again = controller.run("--rerun-failed")
    assert again.code == 0, again.said
    controller.assert_complete()
    controller.assert_nothing_left()


@pytest.mark.parametrize("signal", ["TERM", pytest.param("KILL", marks=pytest.mark.lab_full)])
def test_docker_restarted_in_a_case(session: Make, lab: Lab, signal: str) -> None:
    controller = session("ws1", "ws2")
    process = controller.start_held("ws2", driver=PATIENCE)
    lab.hosts["ws2"].restart_docker(signal)
    controller.let_go()
    ended = controller.end(process)
    controller.assert_complete("ws1")
    statuses = controller.statuses("ws2").values()
    assert "ok" in statuses and set(statuses) <= {"ok", "error", "lost"}, ended.said
    again = controller.run("--rerun-failed")
    assert again.code == 0, again.said
    controller.assert_complete()
    controller.assert_nothing_left()


def test_disk_full_in_a_case(session: Make, lab: Lab) -> None:
    controller = session("ws1", "ws4", experiment=CACHED)
    controller.behave("ws4", {"tfdata": {"act": "fill_cache"}})
    ended = controller.run()
    assert ended.code == 1, ended.said
    controller.assert_complete("ws1")
    found = {(record.case.loader, record.case.cache): record.status for record in controller.records("ws4")}
    assert found == {("keras-idg", "none"): "ok", ("tfdata", "none"): "ok", ("tfdata", "file"): "disk_full"}, ended.said
    controller.assert_nothing_left()
    controller.behave("ws4", {})
    again = controller.run("--rerun-failed")
    assert again.code == 0, again.said
    assert controller.records("ws4")[-1].status == "ok"
    controller.assert_nothing_left()


@pytest.mark.lab_full
def test_results_that_are_too_large_cost_one_case(session: Make) -> None:
    controller = session("ws1", "ws4")
    controller.behave("ws4", {"tfdata": {"act": "large", "files": 11, "bytes": 50_000_000}})
    ended = controller.run()
    assert ended.code == 1, ended.said
    controller.assert_complete("ws1")
    controller.assert_complete("ws4", expected={"tfdata": "error"})
    controller.assert_nothing_left()


def test_disk_full_in_ship(session: Make, lab: Lab) -> None:
    host = lab.hosts["ws4"]
    take_image(host)
    room = int(host.shell("df --output=avail -m /var/lib/docker | tail -1"))
    host.shell(f"fallocate -l {room - 45}M /home/filler")
    controller = session("ws1", "ws4")
    ended = controller.run()
    assert ended.code == 1, ended.said
    controller.assert_complete("ws1")
    assert controller.records("ws4") == [] and controller.states("ws4")[-1] == "not_ready", ended.said
    assert "space" in ended.stderr or "room" in ended.stderr or "free" in ended.stderr, ended.said
    controller.assert_nothing_left()
    assert host.docker("images", "-aq") == "", "nothing of the image may be left"
    host.exec("rm", "/home/filler")
    again = controller.run()
    assert again.code == 0, again.said
    controller.assert_complete()


def test_image_pruned_between_check_and_use(session: Make, lab: Lab) -> None:
    controller = session("ws1", "ws2")
    gate = controller.folder / "gate"
    process = controller.start("--forks", "1", driver=("--wait", f"before-submit={gate}"))
    controller.wait_until(gate.exists, process)
    pruned = next(name for name in controller.hosts if lab.hosts[name].shell("ls -d /tmp/harness.lock || :"))
    take_image(lab.hosts[pruned])
    gate.unlink()
    ended = controller.end(process)
    others = [name for name in controller.hosts if name != pruned]
    controller.assert_complete(*others)
    controller.assert_nothing_left()
    if ended.code:
        assert "ok" not in controller.statuses(pruned).values() or ended.code == 1, ended.said
        again = controller.run("--rerun-failed")
        assert again.code == 0, again.said
    controller.assert_complete()
    controller.assert_nothing_left()

"""Engines without root on cgroup version 2: what of the contract that may change, what they say, and logouts."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import contract
import pytest
import virtual_machine as vm
from contract import EngineContract, EngineTest

from harness.analysis.check_engine import check_logout
from harness.engine import daemon
from harness.engine.interface import Engine, JobHandle, JobRequest, PythonEngine
from harness.engine.registry import load_engine
from harness.engine.spec import Means
from harness.hosts.facts import read_facts
from harness.hosts.ssh import SSHConnection

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

IMAGE = "tiny:1"
IMPORT = f"import --change 'ENV PATH=/usr/bin:/bin' {vm.IMAGE_TAR} {IMAGE}"
PATIENCE_S = 300.0
LOGOUT_S = 30
"""systemd ends what a user has started 10 s after the last logout."""
_DOCKER = """
export XDG_RUNTIME_DIR=/run/user/$(id -u)
docker="docker -H unix://$XDG_RUNTIME_DIR/docker.sock"
$docker version >/dev/null 2>&1 || {
  start=$(ls /usr/share/docker*/contrib/dockerd-rootless.sh /usr/*bin/dockerd-rootless.sh 2>/dev/null | head -n 1)
  path=/usr/sbin:/usr/bin:/sbin:/bin
  systemd-run --user --quiet --unit=docker -p Delegate=yes --setenv=PATH=$path "$start" || exit 1
}
for i in $(seq 120); do $docker version >/dev/null 2>&1 && break; sleep 1; done
$docker image inspect IMAGE >/dev/null 2>&1 || $docker IMPORT
""".replace("IMAGE", IMAGE).replace("IMPORT", IMPORT)
_PODMAN = f"podman image exists {IMAGE} || podman {IMPORT}"
_PREPARE = {"docker": _DOCKER, "podman": _PODMAN, "process": "true"}
"""What makes an engine of a user ready, by a user's own means."""


def make_engine(name: str, machine: vm.Machine, connection: SSHConnection, user: str) -> Engine:
    """Return a user's engine, made as a command makes it, with the image there."""
    machine.run(_PREPARE[name], user=user, timeout_s=600)
    uid = vm.USERS[user]
    return load_engine(name).make(Means(connection, f"/home/{user}/.cache/harness", uid, uid, is_local=False))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for an emulated machine."""
    monkeypatch.setattr(contract, "PATIENCE_S", PATIENCE_S)
    monkeypatch.setattr(daemon, "PROBE_TIMEOUT_S", PATIENCE_S)


@pytest.fixture(scope="module", params=["docker", "podman"])
def made(request: pytest.FixtureRequest, machine: vm.Machine) -> Iterator[tuple[vm.Machine, Engine]]:
    """An engine of ``rootless``, and the machine that it is on."""
    with closing(machine.connection("rootless")) as connection:
        yield machine, make_engine(request.param, machine, connection, "rootless")


class TestWithoutRoot(EngineTest):
    """Of the contract what may change where an engine has no root: users, limits, evidence, removal."""

    test_confinement = EngineContract.test_a_job_ends_with_its_results_and_confinement
    test_found_again = EngineContract.test_a_handle_is_rebuilt_from_the_host
    test_running = EngineContract.test_results_of_a_running_job_can_be_had
    test_removal = EngineContract.test_cancelling_removes_every_trace
    test_out_of_memory = EngineContract.test_out_of_memory_is_recorded
    test_timeout = EngineContract.test_a_timeout_is_recorded
    test_a_kill = EngineContract.test_a_kill_from_outside_is_not_out_of_memory
    test_read_only = EngineContract.test_data_is_read_only

    @pytest.fixture
    def engine(self, made: tuple[vm.Machine, Engine]) -> Engine:
        self.machine, engine = made
        return engine

    @pytest.fixture
    def image(self) -> str:
        return IMAGE

    @pytest.fixture
    def tmp_path(self, made: tuple[vm.Machine, Engine]) -> Iterator[Path]:
        """A folder that is the same on both machines, in which the other's user may write, too."""
        before = os.umask(0)
        folder = made[0].folder / "share" / uuid.uuid4().hex[:12]
        folder.mkdir()
        yield folder
        os.umask(before)

    def assert_no_trace(self, engine: Engine, handles: list[JobHandle]) -> None:
        words = "|".join(word for handle in handles for word in (handle.name, handle.id))
        assert not self.machine.run(f"grep -lE '{words}' /proc/[0-9]*/cgroup 2>/dev/null; :")
        assert not self.machine.run(f"find /sys/fs/cgroup -type d | grep -E '{words}'; :")

    def test_swap_is_limited_with_memory(self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path) -> None:
        _, outcome = self.finish(engine, make("end"), tmp_path / "out")
        assert outcome["memory"]["swap_limit"] == contract.MEMORY_BYTES

    def test_it_says_what_it_can_limit(self, engine: Engine) -> None:
        facts = engine.probe(IMAGE)
        assert facts.image_digest is not None and facts.cgroup_version == 2 and facts.ends_with_user
        assert (facts.can_limit_memory, facts.can_limit_swap, facts.can_limit_cpus) == (True, True, True)
        assert str(facts.folder).startswith("/home/rootless/")


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_without_controllers_nothing_can_be_limited_and_the_cure_is_said(name: str, machine: vm.Machine) -> None:
    with closing(machine.connection("bare")) as connection:
        facts = make_engine(name, machine, connection, "bare").probe(IMAGE)
    assert (facts.can_limit_memory, facts.can_limit_swap, facts.can_limit_cpus) == (False, False, False)
    assert "no memory controller under cgroup version 2" in facts.reasons[0] and "Delegate=" in facts.limit_cure


@pytest.mark.parametrize("name", ["process", "podman"])
def test_a_job_outlives_its_link_where_the_user_lingers_and_is_warned_of_where_not(
    name: str, machine: vm.Machine
) -> None:
    try:
        assert cut_the_link(name, machine) == ("warning", False)
        machine.run("loginctl enable-linger", user="guest")
        assert cut_the_link(name, machine) == ("ok", True)
    finally:
        machine.run("loginctl disable-linger guest")


def wait_for_logout(machine: vm.Machine) -> None:
    """Until ``guest`` has no session but that of systemd's own manager."""
    sessions = "loginctl list-sessions --no-legend | grep guest | grep -v manager; :"
    machine.wait_for(lambda: not machine.run(sessions), PATIENCE_S)


def cut_the_link(name: str, machine: vm.Machine) -> tuple[str, bool]:
    """Start a job as ``guest`` and let the link go; returns what was said before, and whether the job still runs."""
    wait_for_logout(machine)
    with closing(machine.connection("guest")) as connection:
        engine = make_engine(name, machine, connection, "guest")
        used = cast("PythonEngine", engine).promise("2.21", "one") if name == "process" else engine.probe(IMAGE)
        facts = read_facts(connection, scratch="/home/guest/.cache/harness", disks={}, data_folders=[])
        (check,) = check_logout(facts, used)
        limits = {"memory_bytes": contract.MEMORY_BYTES}
        case = {"do": "wait", "page_cache": "warm"}
        fields = {"format": 1, "task": "measure", "case": case, "limits": limits, "timeout_s": 600.0, "seed": 1}
        job_name = f"harness-test-{uuid.uuid4().hex[:12]}"
        payload, image = contract.make_payload(), IMAGE if name == "podman" else ""
        handle = engine.submit(JobRequest(job_name, {}, payload, fields, image, memory_bytes=contract.MEMORY_BYTES))
        machine.wait_for(lambda: engine.poll([handle])[0].phase == "running", PATIENCE_S)
    words = f"{job_name}|{handle.id}"

    def runs() -> bool:
        """Whether a process of the job is there, seen by root: to look as the user would be a login."""
        return machine.run(f"grep -lE '{words}' /proc/[0-9]*/cgroup 2>/dev/null | wc -l") != "0"

    wait_for_logout(machine)
    if check.outcome == "ok":
        time.sleep(LOGOUT_S)
    else:
        machine.wait_for(lambda: not runs(), PATIENCE_S)
    found = (check.outcome, runs())
    with closing(machine.connection("guest")) as connection:
        make_engine(name, machine, connection, "guest").cancel([handle])
    return found

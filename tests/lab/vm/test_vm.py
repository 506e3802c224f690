"""Cgroup version 2, as a real kernel with systemd has it: limits, OOM evidence and memory figures of both engines.

With ``RECORD_CGROUPS=1`` what the jobs' cgroups said is kept in ``tests/bench/cgroup_v2/``, where every
parser reads it in ``make test``.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import virtual_machine as vm

from harness.engine.interface import CACHE_PREFIX, Engine, JobHandle, JobRequest, JobState, Mount
from harness.hosts.ssh import SSHConnection
from harness.ship.payload_archive import build_payload

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

LIMIT = 96 * 2**20
RECORDINGS = Path(__file__).parents[2] / "bench" / "cgroup_v2"
KERNEL_ROUNDING = 4096


@dataclass(frozen=True)
class Finished:
    """What became of a job: the engine's word, the supervisor's, and the files of its cgroup."""

    state: JobState
    outcome: dict[str, Any]
    recorded: dict[str, str]

    @property
    def memory(self) -> dict[str, Any]:
        return dict(self.outcome["memory"])


@pytest.fixture(scope="session")
def image(machine: vm.Machine) -> str:
    """A small image that lies there past harness."""
    machine.run(f"docker import --change 'ENV PATH=/usr/bin:/bin' {vm.IMAGE_TAR} tiny:1")
    return "tiny:1"


@pytest.fixture(scope="session")
def connection(machine: vm.Machine) -> Iterator[SSHConnection]:
    made = machine.connection("bench")
    yield made
    made.close()


@pytest.fixture(params=["docker", "process"])
def engine(request: pytest.FixtureRequest, connection: Any) -> Engine:
    if request.param == "process":
        from harness.engine.kinds.process import ProcessEngine

        return ProcessEngine(connection, scratch="/home/bench/.cache/harness", python="python3")
    from harness.engine.dial import Dialer
    from harness.engine.kinds.docker import DockerEngine

    dialer = Dialer(connection)
    return DockerEngine("vm", connection, uid=1000, gid=1000, connect=dialer.client, address=dialer.address)


@pytest.fixture
def finish(engine: Engine, image: str, machine: vm.Machine, tmp_path: Path) -> Iterator[Callable[..., Finished]]:
    """Runs a job to its end and takes it away again."""
    handles: list[JobHandle] = []

    def run(do: str, limit: int = LIMIT) -> Finished:
        name = f"harness-test-{uuid.uuid4().hex[:12]}"
        machine.run("mkdir -p ~/data", user="bench")
        cache = f"/home/bench/{CACHE_PREFIX}{name}"
        request = JobRequest(
            name=name,
            labels={"harness.session": "vm", "harness.task": "measure"},
            payload=build_payload({"bench/measure/benchmark.py": Path(__file__).with_name("vm_actor.py").read_bytes()}),
            request={
                "format": 1,
                "task": "measure",
                "case": {"do": do, "page_cache": "warm"},
                "data": {"kind": "folder", "name": "none"},
                "limits": {"memory_bytes": limit, "cpus": [0], "gpus": [], "oom_score_adj": 1000},
                "timeout_s": 240.0,
                "seed": 1,
            },
            image=image if engine.name == "docker" else "",
            mounts=(
                Mount("data", "/home/bench/data"),
                Mount("cache", cache, read_only=False, ephemeral=True),
            ),
            memory_bytes=limit,
            cpus=(0,),
        )
        handle = engine.submit(request)
        handles.append(handle)
        states: list[JobState] = []

        def ended() -> bool:
            states[:] = engine.poll([handle])
            return states[0].phase in ("exited", "gone")

        machine.wait_for(ended)
        engine.fetch(handle, tmp_path / name)
        outcome = json.loads((tmp_path / name / "outcome.json").read_text())
        found = tmp_path / name / "recorded.json"
        log = (tmp_path / name / "log.txt").read_text()
        assert found.exists() or outcome["child"]["signal"] == 9, (outcome, log)
        recorded = json.loads(found.read_text()) if found.exists() else {}
        keep(f"{engine.name}-{do}", recorded, outcome)
        return Finished(states[0], outcome, recorded)

    yield run
    engine.cancel(handles)
    assert [state.phase for state in engine.poll(handles)] == ["gone"] * len(handles)
    for handle in handles:
        left = machine.run(f"ls -d /home/bench/*{handle.name}* 2>/dev/null; ls /run/user/1000/systemd/transient; :")
        assert handle.name not in left
        assert handle.name not in machine.run("find /sys/fs/cgroup -type d; docker ps -a --format '{{.Names}}'")


def keep(name: str, files: dict[str, str], outcome: dict[str, Any]) -> None:
    """Keep a recording where the tests of the parsers find it."""
    if os.environ.get("RECORD_CGROUPS") != "1" or not files:
        return
    RECORDINGS.mkdir(exist_ok=True)
    memory = {key: outcome["memory"][key] for key in ("limit_effective", "swap_limit", "enforced_by", "oom_kills")}
    content = {"source": f"Debian {vm.SUITE} in qemu, by make test-vm", "memory": memory, "files": files}
    (RECORDINGS / f"{name}.json").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def test_it_has_version_2_and_nothing_else(machine: vm.Machine) -> None:
    assert machine.run("stat -fc %T /sys/fs/cgroup") == "cgroup2fs"
    assert "memory" in machine.run("cat /sys/fs/cgroup/cgroup.controllers").split()
    assert machine.run("docker info -f '{{.CgroupVersion}} {{.CgroupDriver}}'", user="bench") == "2 systemd"


def test_a_limit_holds_and_is_read_back(finish: Callable[..., Finished]) -> None:
    done = finish("use")
    assert done.outcome["child"]["exit_code"] == 0
    assert done.memory["enforced_by"] == "cgroup-v2"
    assert done.memory["limit_effective"] == LIMIT
    assert done.memory["swap_limit"] == LIMIT
    assert done.memory["oom_kills"] == 0
    assert 40 * 2**20 <= done.memory["peak_anon"] <= 80 * 2**20
    assert done.memory["peak_anon"] < done.memory["peak_total"] <= LIMIT + KERNEL_ROUNDING
    assert done.state.oom_killed is not True


def test_out_of_memory(finish: Callable[..., Finished], engine: Engine) -> None:
    done = finish("oom")
    assert done.outcome["child"]["signal"] == 9
    assert done.memory["oom_kills"] == 1
    assert done.memory["oom_at_s"] > 0
    # A scope of systemd is gone with its job: then the engine cannot tell, and the cgroup was read inside.
    assert done.state.oom_killed is (True if engine.name == "docker" else None)


def test_out_of_memory_of_a_grandchild(finish: Callable[..., Finished]) -> None:
    done = finish("oom_grandchild")
    assert (done.outcome["child"]["exit_code"], done.outcome["child"]["signal"]) == (0, None)
    assert done.memory["oom_kills"] == 1
    assert "oom_kill 1" in next(text for path, text in done.recorded.items() if path.endswith("memory.events"))


def test_a_limit_that_is_no_multiple_of_a_page(finish: Callable[..., Finished]) -> None:
    done = finish("end", limit=LIMIT + 1000)
    assert LIMIT <= done.memory["limit_effective"] <= LIMIT + 1000


def test_facts_of_a_machine_with_version_2(connection: Any, machine: vm.Machine) -> None:
    from harness.hosts.facts import read_facts

    facts = read_facts(connection, scratch="/home/bench", disks={}, data_folders=[])
    assert facts.cgroup_version == 2
    assert facts.logical_cpus == 2
    assert facts.ram_bytes == int(machine.run("grep MemTotal /proc/meminfo").split()[1]) * 1024
    assert facts.disks["scratch"].path == "/home/bench"
    assert facts.uid == 1000


def test_processes_are_delegated_by_systemd(connection: Any, machine: vm.Machine) -> None:
    """The ``process`` engine of a user gets a scope of the user's own systemd, and limits memory in it."""
    from harness.engine.kinds.process import ProcessEngine

    engine = ProcessEngine(connection, scratch="/home/bench/.cache/harness", python="python3")
    name = f"harness-test-{uuid.uuid4().hex[:12]}"
    actor = b"import time\ntime.sleep(600)\n"
    request = JobRequest(
        name=name,
        labels={"harness.session": "vm"},
        payload=build_payload({"bench/measure/benchmark.py": actor}),
        request={"format": 1, "task": "measure", "case": {"page_cache": "warm"}, "limits": {"memory_bytes": LIMIT},
                 "timeout_s": 600.0, "seed": 1},
        image="",
        memory_bytes=LIMIT,
    )  # fmt: skip
    handle = engine.submit(request)
    try:
        machine.wait_for(lambda: engine.poll([handle])[0].phase == "running")
        folders = machine.run(f"find /sys/fs/cgroup -type d -path '*user@1000.service*{name}*'").split()
        assert folders
        limits = {machine.run(f"cat {folder}/memory.max") for folder in folders}
        assert str(LIMIT) in limits
    finally:
        engine.cancel([handle])
    assert name not in machine.run("find /sys/fs/cgroup -type d")

"""The ``slurm`` engine on a real Slurm of two nodes: facts, limits, and each way in which a job may end."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contract import MEMORY_BYTES, EngineTest
from slurm_support import Cluster
from test_contract import this_machine

from harness.engine.interface import Engine, JobHandle, JobRequest, JobState
from harness.engine.kinds.slurm import SlurmEngine
from harness.engine.registry import load_engine
from harness.hosts.facts import read_facts
from harness.hosts.slurm.connection import on_machine
from harness.values.errors import EngineUnavailable, HostNotReady, HostUnreachable

pytestmark = pytest.mark.slurm


def make_engine(cluster: Cluster, scratch: Path, **settings: Any) -> Engine:
    return load_engine("slurm").make(replace(this_machine(scratch), connection=cluster.connection(**settings)))


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


class TestJobs(EngineTest):
    @pytest.fixture
    def engine(self, cluster: Cluster, tmp_path: Path) -> Iterator[Engine]:
        yield make_engine(cluster, tmp_path / "scratch")
        cluster.wait_idle()

    def begin(self, engine: Engine, request: JobRequest, folder: Path) -> JobHandle:
        """Submit a job and return when it runs."""
        handle = engine.submit(request)
        self.said(engine, handle, folder)
        return handle

    def ended(self, engine: Engine, handle: JobHandle) -> JobState:
        state = self.wait(engine, handle)
        assert state.phase == "exited"
        return state

    def test_facts_and_limits_are_those_of_a_job(self, cluster: Cluster, tmp_path: Path) -> None:
        connection = cluster.connection(exclusive=True)
        facts = read_facts(on_machine(connection, str(tmp_path)), scratch=str(tmp_path))
        assert facts.available_bytes is not None and facts.available_bytes <= 4000 * 2**20
        assert facts.uid == os.getuid() and "scratch" in facts.disks
        assert not list((tmp_path / "slurm-commands").iterdir())
        found = make_engine(cluster, tmp_path / "scratch").probe("")
        assert found.can_limit_memory and found.can_limit_swap and found.cgroup_version == 1
        assert found.limit_step_bytes == 2**20
        assert "partition all, node n1, TensorFlow" in found.version

    def test_a_constraint_keeps_the_node_that_it_got(self, cluster: Cluster, tmp_path: Path) -> None:
        connection = cluster.connection(nodes=[], constraint="fast")
        assert connection.on_node(str(tmp_path)).run(["echo", "$HOME; id"]).text == "$HOME; id\n"
        assert connection.node == "n1"

    @pytest.mark.parametrize(
        "settings", [{"partition": "nope"}, {"nodes": ["n9"]}, {"constraint": "slow", "nodes": []}]
    )
    def test_what_slurm_does_not_have_is_refused_in_a_sentence(
        self, cluster: Cluster, tmp_path: Path, settings: dict[str, Any]
    ) -> None:
        with pytest.raises(HostNotReady, match="Slurm does not accept the job") as caught:
            cluster.connection(**settings).on_node(str(tmp_path)).run(["true"])
        assert caught.value.hint and not list((tmp_path / "slurm-commands").iterdir())

    def test_a_login_node_without_slurm(
        self, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("sh", "rm", "mkdir", "cat"):
            (tmp_path / name).symlink_to(f"/bin/{name}")
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(EngineUnavailable, match="there is no Slurm"):
            make_engine(cluster, tmp_path / "scratch").probe("")

    def test_a_python_without_tensorflow(self, cluster: Cluster, tmp_path: Path) -> None:
        words = ("/usr/bin/python3", "-S", "-E")
        engine = SlurmEngine(cluster.connection(), scratch=str(tmp_path / "scratch"), python=words)
        with pytest.raises(EngineUnavailable, match=r"TensorFlow is not installed for .* on node n1"):
            engine.probe("")

    def test_cancelled_by_hand(self, cluster: Cluster, engine: Engine, make: Any, tmp_path: Path) -> None:
        handle = self.begin(engine, make("wait"), tmp_path / "out")
        cluster.give("scancel", handle.id)
        state = self.ended(engine, handle)
        assert state.ended_as == "lost" and "cancelled" in str(state.error)

    def test_the_time_limit_and_too_long_in_the_queue(
        self, cluster: Cluster, engine: Engine, make: Any, tmp_path: Path
    ) -> None:
        """In one, for Slurm looks for both only twice a minute."""
        limited = self.begin(engine, make("wait"), tmp_path / "out")
        cluster.give("scontrol", "update", f"jobid={limited.id}", "endtime=now")
        other = make_engine(cluster, tmp_path / "scratch2", nodes=["n2"], queue=2, time=1)
        cluster.give("scontrol", "update", "nodename=n2", "state=drain", "reason=test")
        try:
            late = other.submit(make("end"))
            too_late, over = self.ended(other, late), self.ended(engine, limited)
            other.cancel([late])
        finally:
            cluster.resume("n2")
        assert over.ended_as == "timeout" and "time limit" in str(over.error)
        assert too_late.ended_as == "lost" and "in the queue" in str(too_late.error)

    def test_its_node_fails(self, cluster: Cluster, engine: Engine, make: Any, tmp_path: Path) -> None:
        handle = self.begin(engine, make("wait"), tmp_path / "out")
        cluster.give("scontrol", "update", "nodename=n1", "state=down", "reason=test")
        try:
            state = self.ended(engine, handle)
        finally:
            cluster.resume("n1")
        assert state.ended_as == "lost" and "node failed" in str(state.error)

    def test_its_processes_are_killed(self, engine: Engine, make: Any, tmp_path: Path) -> None:
        handle = self.begin(engine, make("wait"), tmp_path / "out")
        cluster_job = json.loads((tmp_path / "scratch/jobs" / handle.name / "process.json").read_text())
        os.kill(cluster_job["pid"], 9)
        state = self.ended(engine, handle)
        assert (state.ended_as, state.exit_code) == (None, 137) and "wrote no outcome" in str(state.error)

    def test_a_drained_node_is_waited_for(self, cluster: Cluster, engine: Engine, make: Any, tmp_path: Path) -> None:
        cluster.give("scontrol", "update", "nodename=n1", "state=drain", "reason=test")
        try:
            handle = engine.submit(make("end"))
            wait_for(lambda: engine.poll([handle])[0].waits_for is not None)
            assert engine.poll([handle])[0].phase == "queued"
            with pytest.raises(HostNotReady, match="starts no job there now"):
                cluster.connection().on_node(str(tmp_path)).run(["true"])
            assert len(engine.list()) == 1  # the job of that command was taken back
        finally:
            cluster.resume("n1")
        assert self.wait(engine, handle).exit_code == 0
        assert (tmp_path / "counter/starts").read_text() == "started\n"

    def test_requeued_is_lost_and_not_measured_again(
        self, cluster: Cluster, engine: Engine, make: Any, tmp_path: Path
    ) -> None:
        handle = self.begin(engine, make("wait"), tmp_path / "out")
        cluster.give("scontrol", "update", f"jobid={handle.id}", "requeue=1")
        cluster.give("scontrol", "requeue", handle.id)
        wait_for(lambda: engine.poll([handle])[0].phase == "queued")
        cluster.give("scontrol", "update", f"jobid={handle.id}", "starttime=now")
        state = self.ended(engine, handle)
        engine.fetch(handle, tmp_path / "out")
        outcome = tmp_path / "out/outcome.json"
        # Its supervisor was told to end, which is `lost` by itself; where it could not say so, Slurm's word counts.
        was_told = outcome.exists() and json.loads(outcome.read_text())["terminated"]
        assert was_told or (state.ended_as == "lost" and "requeued" in str(state.error))
        assert (tmp_path / "counter/starts").read_text() == "started\n"

    def test_the_controller_goes_and_comes_back(
        self, cluster: Cluster, engine: Engine, make: Any, tmp_path: Path
    ) -> None:
        request = make("end", timeout_s=60.0)
        running = self.begin(engine, make("wait"), tmp_path / "out")
        cluster.stop("slurmctld")
        try:
            for ask in (
                lambda: engine.poll([running]),
                lambda: engine.submit(request),
                lambda: engine.cancel([running]),
            ):
                with pytest.raises(HostUnreachable, match="Slurm's controller does not answer"):
                    ask()
        finally:
            cluster.start("slurmctld")
            wait_for(lambda: subprocess.run(["scontrol", "ping"], capture_output=True, check=False).returncode == 0)
        assert engine.poll([running])[0].phase == "running"
        assert {job.name for job in engine.list()} == {running.name, request.name}
        engine.cancel([running])
        assert self.wait(engine, engine.submit(request)).exit_code == 0
        assert (tmp_path / "counter/starts").read_text() == "started\nstarted\n"

    def test_found_again_by_name_where_the_number_was_not_kept(
        self, cluster: Cluster, engine: Engine, make: Any, tmp_path: Path
    ) -> None:
        request = make("wait")
        handle = self.begin(engine, request, tmp_path / "out")
        (tmp_path / "scratch/jobs" / handle.name / "number").unlink()
        other = make_engine(cluster, tmp_path / "scratch")
        assert [job.name for job in other.list("s1")] == [handle.name]
        assert other.submit(request).id == handle.id
        assert other.poll([handle])[0].phase == "running"
        for path in (tmp_path / "scratch/jobs").iterdir():
            path.rename(tmp_path / "elsewhere")
        (found,) = other.list("s1")
        assert (found.name, found.id) == (handle.name, handle.id)
        other.cancel([found])
        assert cluster.give("squeue", "-h") == ""

    def test_jobs_of_another_node_are_none_of_ours(
        self, cluster: Cluster, engine: Engine, make: Any, tmp_path: Path
    ) -> None:
        self.begin(engine, make("wait"), tmp_path / "out")
        assert make_engine(cluster, tmp_path / "other").list() == []

    def test_memory_that_slurm_does_not_limit(self, cluster: Cluster, make: Any, tmp_path: Path) -> None:
        conf = cluster.folder / "cgroup.conf"
        text = conf.read_text()
        try:
            conf.write_text(text.replace("Space=yes", "Space=no"))
            cluster.stop("n1")
            cluster.start("n1")
            cluster.wait_idle()
            engine = make_engine(cluster, tmp_path / "scratch")
            facts = engine.probe("")
            assert not facts.can_limit_memory and "memory cannot be limited" in facts.reasons[0]
            handle = engine.submit(make("end"))
            self.wait(engine, handle)
            engine.fetch(handle, tmp_path / "out")
            assert not (tmp_path / "out/said.json").exists()  # nothing was started without the limit
            engine.cancel([handle])
        finally:
            conf.write_text(text)
            cluster.stop("n1")
            cluster.start("n1")
            cluster.wait_idle()

    def test_a_limit_stands_on_an_ancestor_and_is_read_back(self, engine: Engine, make: Any, tmp_path: Path) -> None:
        _, outcome = self.finish(engine, make("end"), tmp_path / "out")
        assert outcome["memory"]["limit_effective"] == outcome["memory"]["swap_limit"] == MEMORY_BYTES

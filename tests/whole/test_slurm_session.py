"""Whole sessions on a Slurm of two nodes: check, plan, run, our controller killed and back, report, clean."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_support import Cluster
from sshd_support import Server, start_sshd
from user import User, assert_plain, end, wait_until

pytestmark = pytest.mark.slurm

INVENTORY = """\
all:
  hosts:
    login:
      {access}
      harness:
        engine: slurm
        slurm: {{partition: all, nodes: [{nodes}]}}
        scratch: {scratch}
        memory_reserve: 100MB
        data: {{mini: {{generate: {{profile: dogs-and-cats, images: 24, seed: 1}}}}}}
"""


def write(user: User, nodes: str = "n1, n2", access: str = "ansible_connection: local") -> None:
    user.write()
    text = INVENTORY.format(access=access, nodes=nodes, scratch=user.scratch)
    (user.folder / "inventory.yaml").write_text(text)


def queue(cluster: Cluster) -> str:
    return cluster.give("squeue", "-h", "-o", "%j %T")


def test_a_session_whose_controller_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    user = User(tmp_path / "user", tmp_path / "scratch")
    user.folder.mkdir()
    write(user)
    checked = user.give("check", "inventory.yaml", "--ship", "--limit", "login/n1")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert_plain(checked, ["login/n1: ready", "partition all, node n1, TensorFlow", "enforced (cgroup-v1)"])
    user.hold()
    process = user.start("--no-stages")
    wait_until(lambda: len(user.executions()) == 2)
    end(process, signal.SIGKILL)
    assert queue(cluster).count("RUNNING") == 2  # the jobs go on
    cleaned = user.give("clean", "inventory.yaml")
    kept = "was kept: the session or its job is still running"
    assert cleaned.stderr.count(kept) == 2, cleaned.stdout + cleaned.stderr
    assert queue(cluster).count("RUNNING") == 2
    user.let_go()
    done = user.run("--no-stages")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_plain(done)
    records = user.records()
    assert {record["host"] for record in records} == {"login/n1", "login/n2"}
    assert {(record["status"], record["engine"]) for record in records} == {("ok", "slurm")}, records
    assert {record["memory"]["limit_effective"] for record in records} == {667 * 2**20}  # 700 MB in whole MiB
    taken_over = [one for one in user.events("InvocationStarted") if one["adopted"]]
    assert {one["host"] for one in taken_over} == {"login/n1", "login/n2"}
    assert len(user.executions()) == len(set(user.executions()))
    (session,) = user.sessions()
    assert {path.relative_to(session / "facts").as_posix() for path in (session / "facts").rglob("*.json")} == {
        "login/n1.json", "login/n2.json",
    }  # fmt: skip
    page = user.give("report", str(session))
    assert page.returncode == 0 and "login/n1" in (session / "report.html").read_text()
    assert queue(cluster) == "" and not list(tmp_path.glob("scratch/*/jobs/harness-*"))


@pytest.fixture
def login(cluster: Cluster, tmp_path: Path) -> Iterator[Server]:
    """An sshd on loopback behind which Slurm's commands and this Python are."""
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    with start_sshd(tmp_path / "sshd", environment={"SLURM_CONF": str(cluster.conf), "PATH": path}) as running:
        yield running


def test_over_ssh_and_cancelled_by_hand(cluster: Cluster, login: Server, tmp_path: Path) -> None:
    user = User(tmp_path / "user", tmp_path / "scratch")
    user.folder.mkdir()
    places = {"host": "127.0.0.1", "port": login.port, "user": login.user, "ssh_private_key_file": login.user_key}
    write(user, nodes="n1", access="\n      ".join(f"ansible_{key}: {value}" for key, value in places.items()))
    (user.folder / "known_hosts").write_text(login.known_hosts.read_text())
    user.hold()
    process = user.start("--no-stages")
    wait_until(lambda: len(user.executions()) == 1)
    name = user.executions()[0]
    cluster.give("scancel", f"--name={name}")
    wait_until(lambda: name not in queue(cluster))  # the signal may reach the job later than the command returns
    user.let_go()
    out, err = process.communicate(timeout=120)
    record = user.records()[0]
    assert (record["host"], record["status"]) == ("login/n1", "lost"), (record, out, err)
    assert "cancelled" in record["cause"]
    user.hold()
    done = len(user.executions())
    process = user.start("--no-stages")
    wait_until(lambda: len(user.executions()) > done)
    end(process, signal.SIGKILL)
    user.give("unlock", "inventory.yaml", "--yes")
    cleaned = user.give("clean", "inventory.yaml")
    assert "slurm job" in cleaned.stdout, cleaned.stdout + cleaned.stderr
    assert queue(cluster) == "" and not list(tmp_path.glob("scratch/*/jobs/harness-*"))

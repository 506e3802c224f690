"""A Slurm of two nodes on this machine, in a folder of its own; its daemons are children, ended by their ids."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.hosts.connection import Connection
from harness.hosts.local import LocalConnection
from harness.hosts.slurm.connection import SlurmConnection
from harness.inventory.slurm_settings import Slurm

DAEMONS = ("munged", "slurmctld", "slurmd")
PATIENCE_S = 20.0

_CONF = """\
ClusterName=harness
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/d.%n.pid
SlurmctldLogFile={folder}/ctld.log
SlurmdLogFile={folder}/d.%n.log
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=2,sched_min_interval=0
MessageTimeout=2
KillWait=5
ReturnToService=2
MpiDefault=none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=4000 Features=fast
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=4000
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""
_CGROUPS = """\
CgroupPlugin=cgroup/v1
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
AllowedSwapSpace=0
ConstrainCores=yes
"""


@dataclass
class Cluster:
    """Two nodes, ``n1`` with the feature ``fast`` and two CPUs, ``n2`` with one."""

    folder: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    def start(self, name: str) -> None:
        """Start a daemon: ``munged``, ``slurmctld``, or a node by its name."""
        if name == "munged":
            files = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munge.pid",
                     "log-file": "munge.log", "seed-file": "munge.seed"}  # fmt: skip
            argv = [
                "munged",
                "--foreground",
                "--force",
                *(f"--{key}={self.folder / file}" for key, file in files.items()),
            ]
        elif name == "slurmctld":
            argv = ["slurmctld", "-D", "-f", str(self.conf)]
        else:
            argv = ["slurmd", "-D", "-N", name, "-f", str(self.conf)]
        log = (self.folder / f"{name}.out").open("ab")
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        argv[0] = shutil.which(argv[0], path=path) or argv[0]
        environment = {**os.environ, "PATH": path}
        self.daemons[name] = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )

    def stop(self, name: str) -> None:
        """End a daemon and wait for it."""
        process = self.daemons.pop(name)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def give(self, *words: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def resume(self, node: str) -> None:
        """Let a node that was taken out be used again, where it is not already."""
        command = ["scontrol", "update", f"nodename={node}", "state=resume"]
        subprocess.run(command, capture_output=True, timeout=60, check=False)

    def wait_idle(self) -> None:
        """Until both nodes are idle."""
        deadline = time.monotonic() + PATIENCE_S
        said = ""
        while time.monotonic() < deadline:
            done = subprocess.run(["sinfo", "-h", "-N", "-o", "%N %T"], capture_output=True, text=True, check=False)
            said = done.stdout + done.stderr
            if sorted(done.stdout.splitlines()) == ["n1 idle", "n2 idle"]:
                return
            time.sleep(0.1)
        logs = "\n".join(path.read_text(errors="replace")[-1500:] for path in self.folder.glob("*.out"))
        raise AssertionError(f"the nodes are not idle: {said}\n{logs}")

    def connection(self, login: Connection | None = None, **settings: object) -> SlurmConnection:
        """A login node's connection to ``n1``, its jobs not exclusive unless ``settings`` say so."""
        slurm = Slurm.model_validate({"nodes": ["n1"], "partition": "all", "exclusive": False, **settings})
        return SlurmConnection("here", login or LocalConnection("here"), slurm)


def lacking() -> list[str]:
    """Why no cluster can be started here."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    found = [f"no {name}" for name in DAEMONS if shutil.which(name, path=path) is None]
    return found + (["not root"] if os.geteuid() != 0 else [])


@contextlib.contextmanager
def start_cluster(folder: Path) -> Iterator[Cluster]:
    """Start the cluster and name its configuration to all commands of this process; end it with all its jobs."""
    if why := lacking():
        pytest.skip(f"Slurm cannot be started here: {', '.join(why)}")
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        ports = [one.getsockname()[1] for one in sockets]
    cluster = Cluster(folder)
    for name in ("state", "spool.n1", "spool.n2"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    host = socket.gethostname().partition(".")[0]
    cluster.conf.write_text(_CONF.format(folder=folder, host=host, ports=ports))
    (folder / "cgroup.conf").write_text(_CGROUPS)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(cluster.conf))
        try:
            cluster.start("munged")
            deadline = time.monotonic() + 10
            while not (folder / "munge.socket").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            for name in ("slurmctld", "n1", "n2"):
                cluster.start(name)
            cluster.wait_idle()
            yield cluster
        finally:
            subprocess.run(
                ["scancel", "--quiet", "--user=root", "--full", "--signal=KILL"], capture_output=True, check=False
            )
            subprocess.run(["scancel", "--quiet", "--user=root"], capture_output=True, check=False)
            time.sleep(0.5)
            for name in reversed(list(cluster.daemons)):
                cluster.stop(name)
            for parent, _, _ in list(os.walk("/sys/fs/cgroup", topdown=False)):
                if any(part in ("slurm_n1", "slurm_n2") for part in Path(parent).parts):
                    with contextlib.suppress(OSError):
                        os.rmdir(parent)

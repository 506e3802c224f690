"""The lab: workstations on one machine, each a container with its own sshd and its own Docker Engine.

``Lab.up`` starts them, with keys made for this once; ``down`` leaves nothing of them. All that is listened to is on
127.0.0.1.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from host_images import host_image
from outer_engine import LabError, docker

BOOT = Path(__file__).parent / "workstation"
LABEL = "harness-lab"
_BOOT_S = 90.0
# In the order of their numbers in linux/capability.h. The newest three are unknown to Docker 20.10, and SYS_ADMIN
# has what they are for.
_CAPABILITIES = (BOOT / "capabilities.txt").read_text().split()
_LEFT = r"""
set -o pipefail
if [ "$LAB_DOCKER" != no ]; then
	docker ps -aq | sed 's/^/container /' || exit
	docker volume ls -q | sed 's/^/volume /' || exit
fi
find /home /srv/data /tmp -name 'harness-cache-*' -o -name '*.part'
ls -d /tmp/harness*
ps -u bench -o args= | grep -v sshd
:
"""
"""What a session should not leave. One command on a host costs a third of a second of this machine's CPU time."""


@dataclass(frozen=True)
class HostSpec:
    """What a workstation is to be. ``store`` is ``classic`` or ``containerd``; ``cpus`` are CPU numbers as Docker
    writes them, empty for all; ``disk_mb`` a disk of its own, 0 for room on this machine's."""

    name: str
    suite: str
    memory_mb: int
    cpus: str = ""
    store: str = "classic"
    disk_mb: int = 0
    has_docker: bool = True
    in_docker_group: bool = True

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LAB_MEM_KB": str(self.memory_mb * 1024),
            "LAB_DISK_MB": str(self.disk_mb),
            "LAB_STORE": self.store,
            "LAB_DOCKER": "yes" if self.has_docker else "no",
            "LAB_GROUP": "yes" if self.in_docker_group else "no",
        }


def usual_hosts(big_mb: int = 3072, small_mb: int = 2048) -> tuple[HostSpec, ...]:
    """Four workstations of two kinds, with three Docker versions and both image stores."""
    last = str((os.cpu_count() or 1) - 1)
    return (
        HostSpec("ws1", "bookworm", big_mb),
        HostSpec("ws2", "trixie", big_mb),
        HostSpec("ws3", "forky", small_mb, cpus="0"),
        HostSpec("ws4", "forky", small_mb, cpus=last, store="containerd"),
    )


@dataclass
class Host:
    """One workstation. ``port`` is where its sshd is reached on 127.0.0.1."""

    spec: HostSpec
    container: str
    port: int
    folder: Path
    host_key: str = field(repr=False, default="")

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def fingerprint(self) -> str:
        """As OpenSSH writes it."""
        blob = base64.b64decode(self.host_key.split()[1])
        return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")

    def exec(self, *argv: str, user: str = "root", input: bytes | None = None, timeout_s: float = 120.0) -> str:
        """Run a command on it, past SSH. Raises LabError."""
        words = ["exec", *(["-i"] if input is not None else []), "-u", user, self.container, *argv]
        return docker(*words, input=input, timeout_s=timeout_s)

    def shell(self, script: str, user: str = "root", timeout_s: float = 120.0) -> str:
        """A few lines of shell on it, past SSH."""
        return self.exec("bash", "-c", script, user=user, timeout_s=timeout_s)

    def write(self, path: str, content: str | bytes) -> None:
        """A file on it, readable for all."""
        data = content.encode() if isinstance(content, str) else content
        self.exec("bash", "-c", 'mkdir -p "$(dirname "$1")" && cat > "$1"', "-", path, input=data)

    def pause(self) -> None:
        """Freeze all of it, containers within too."""
        docker("pause", self.container)

    def unpause(self) -> None:
        """Thaw it."""
        docker("unpause", self.container)

    def kill(self) -> None:
        """Take its power away."""
        docker("kill", self.container)

    def start(self) -> None:
        """Give it power again and wait until it has booted."""
        docker("start", self.container)
        self.wait()

    def wait(self) -> None:
        """Until sshd and, where it has one, the Docker Engine answer."""
        deadline = time.monotonic() + _BOOT_S
        while not (self._greets() and self._has_engine()):
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} did not boot:\n{docker('logs', '--tail', '20', self.container)}")
            time.sleep(0.5)

    def restart_docker(self, signal: str = "TERM") -> None:
        """End its Docker Engine by a signal and start it again, as systemd would."""
        self.shell(f"pkill -{signal} -x dockerd; while pidof dockerd; do sleep 0.1; done; bash /lab/boot/dockerd.sh")
        self.wait()

    def docker(self, *words: str) -> str:
        """One command of the workstation's own engine, as root."""
        return self.exec("docker", *words)

    def jobs(self, *, running: bool = False) -> list[str]:
        """Names of harness's containers on it."""
        words = ["ps", "--format", "{{.Names}}", "--filter", "label=harness.session"]
        return self.docker(*words, *([] if running else ["-a"])).split()

    def leftovers(self) -> list[str]:
        """What a session should not leave: containers, volumes, ephemeral folders, the lock, half files, processes."""
        return self.shell(_LEFT).splitlines()

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.settimeout(2)
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _has_engine(self) -> bool:
        if not self.spec.has_docker:
            return True
        try:
            self.exec("docker", "version", "--format", "{{.Server.Version}}", timeout_s=20)
        except LabError:
            return False
        return True


@dataclass
class Lab:
    """All workstations that were brought up together. ``folder`` holds the keys and the inventory."""

    name: str
    folder: Path
    hosts: dict[str, Host]

    @classmethod
    def up(cls, specs: Sequence[HostSpec], *, name: str, folder: Path) -> Lab:
        """Bring workstations up, from nothing if need be, and wait until they answer."""
        down(name)
        images = {suite: host_image(suite) for suite in dict.fromkeys(spec.suite for spec in specs)}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lab = cls(name, folder, {})
        public = make_key(folder / "id_ed25519")
        docker("network", "create", "--label", f"{LABEL}={name}", lab._network)
        try:
            with ThreadPoolExecutor(len(specs)) as pool, _free_ports(len(specs)) as ports:
                hosts = [
                    Host(spec, f"harness-lab-{name}-{spec.name}", port, folder / spec.name)
                    for spec, port in zip(specs, ports, strict=True)
                ]
                list(pool.map(lambda host: lab._create(host, images[host.spec.suite], public), hosts))
            lab.hosts = {host.name: host for host in hosts}
            with ThreadPoolExecutor(len(specs)) as pool:
                list(pool.map(lambda host: host.start(), hosts))
        except BaseException:
            lab.down()
            raise
        return lab

    @property
    def key(self) -> Path:
        """The private key that all workstations know."""
        return self.folder / "id_ed25519"

    def down(self) -> None:
        """Away with the workstations, their disks, network, keys and inventory."""
        down(self.name)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _network(self) -> str:
        return f"harness-lab-{self.name}"

    def _create(self, host: Host, image: str, public: str) -> None:
        spec = host.spec
        host.folder.mkdir(mode=0o755)
        host.host_key = make_key(host.folder / "ssh_host_ed25519_key")
        (host.folder / "authorized_keys").write_text(public + "\n")
        memory = f"{spec.memory_mb}m"
        words = ["create", "--name", host.container, "--hostname", spec.name, "--label", f"{LABEL}={self.name}"]
        words += ["--network-alias", f"{spec.name}.lab.example"]
        words += ["--network", self._network, "--publish", f"127.0.0.1:{host.port}:22", "--cgroupns", "private"]
        words += ["--memory", memory, "--memory-swap", memory, "--pids-limit", "4096", *_privileges()]
        words += ["--cpuset-cpus", spec.cpus] if spec.cpus else []
        words += ["--tmpfs", "/run:exec,size=64m", "--tmpfs", "/tmp:exec,size=256m"]
        words += ["--volume", f"{host.container}:/srv/disk", "--volume", f"{BOOT}:/lab/boot:ro"]
        words += ["--volume", f"{host.folder}:/lab/keys:ro"]
        docker("volume", "create", "--label", f"{LABEL}={self.name}", host.container)
        for key, value in spec.environment.items():
            words += ["--env", f"{key}={value}"]
        docker(*words, "--entrypoint", "/usr/bin/tini", image, "-g", "--", "bash", "/lab/boot/boot.sh")


def down(name: str | None = None) -> None:
    """Remove what is left of a lab of that name (of every lab for None), also of one whose maker was killed."""
    mine = f"label={LABEL}={name}" if name else f"label={LABEL}"
    if found := docker("ps", "-aq", "--filter", mine).split():
        docker("rm", "-f", "-v", *found)
    if found := docker("volume", "ls", "-q", "--filter", mine).split():
        docker("volume", "rm", "-f", *found)
    if found := docker("network", "ls", "-q", "--filter", mine).split():
        docker("network", "rm", *found)


def sweep(prefix: str) -> None:
    """Remove labs named ``prefix`` and a process id, of processes that are no more."""
    shown = f'{{{{.Label "{LABEL}"}}}}'
    names = docker("ps", "-a", "--filter", f"label={LABEL}", "--format", shown).split()
    for name in dict.fromkeys(names):
        owner = name.removeprefix(prefix)
        if owner != name and owner.isdigit() and not Path(f"/proc/{owner}").exists():
            down(name)


def make_key(path: Path) -> str:
    """Make an ed25519 key pair; the private one in ``path``. Returns the public one."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    path.touch(mode=0o600)
    path.write_bytes(private)
    return public.decode()


def _privileges() -> list[str]:
    """Like ``--privileged``, but only with what this machine has: Docker 20.10 fails where one is lacking."""
    status = Path("/proc/self/status").read_text()
    bounding = int(next(line for line in status.splitlines() if line.startswith("CapBnd")).split()[1], 16)
    words = ["--cap-drop", "ALL", "--device-cgroup-rule", "a *:* rwm"]
    for option in ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"):
        words += ["--security-opt", option]
    for number, capability in enumerate(_CAPABILITIES):
        words += ["--cap-add", capability] if bounding >> number & 1 else []
    return words


@contextmanager
def _free_ports(count: int) -> Iterator[list[int]]:
    """Ports of 127.0.0.1 that nobody has; held until each is about to be used."""
    sockets = []
    for _ in range(count):
        one = socket.socket()
        one.bind(("127.0.0.1", 0))
        sockets.append(one)
    try:
        yield [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def scratch_folder(prefix: str) -> Path:
    """A new folder for a lab's keys, for this user alone."""
    return Path(tempfile.mkdtemp(prefix=prefix))

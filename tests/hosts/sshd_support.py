"""A real sshd of our own on loopback: with its own keys, ports, configuration and log, never the system's."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.hosts.ssh import KeyRing, Route, SSHConnection
from harness.hosts.ssh.jump_hosts import JumpHosts
from harness.hosts.ssh.link import Link
from harness.hosts.ssh.transport import Patience

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
QUICK = Patience(silence_s=1.0, reply_s=2.0)


def require_sshd() -> None:
    """Skip where no sshd can be started."""
    if not Path(SSHD).exists() or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd here (Debian: openssh-server)")
    if os.geteuid() == 0:
        # sshd's own requirement; a tmpfs that only an init script fills.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A key pair made by ssh-keygen."""
    path.unlink(missing_ok=True)
    size = ["-b", "2048"] if kind == "rsa" else []
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *size, "-N", passphrase, "-C", "test", "-f", str(path)], check=True)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running sshd. ``children`` are the processes of its connections."""

    folder: Path
    port: int
    user_key: Path
    process: subprocess.Popen[bytes]
    user: str = field(default_factory=getpass.getuser)

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def route(self, **changes: object) -> Route:
        fields: dict[str, object] = {
            "host": "ws01",
            "address": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "identities": (str(self.user_key),),
            "only_identities": True,
            "known_hosts": (self.known_hosts,),
            "key_name": f"[127.0.0.1]:{self.port}",
        }
        return Route(**{**fields, **changes})  # type: ignore[arg-type]

    def connection(
        self,
        *,
        patience: Patience | None = None,
        ring: KeyRing | None = None,
        jump_hosts: JumpHosts[Link] | None = None,
        **changes: object,
    ) -> Any:
        return SSHConnection(self.route(**changes), ring or KeyRing(), jump_hosts=jump_hosts, patience=patience)

    def stop(self) -> None:
        """No sshd answers any more; connections that are open are cut."""
        children = self.children()
        self.process.terminate()
        self.process.wait(10)
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def children(self) -> list[int]:
        """Processes of connections, whole trees of sshd's."""
        found = []
        waiting = [self.process.pid]
        while waiting:
            parent = waiting.pop()
            below: list[int] = []
            with suppress(OSError):  # it ended in this moment
                below = [int(word) for word in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
            waiting += below
            found += [pid for pid in below if "sshd" in _name(pid)]
        return found

    def signal(self, number: int) -> list[int]:
        """Send a signal to the processes of all connections."""
        sent = []
        for pid in self.children():
            try:
                os.kill(pid, number)
                sent.append(pid)
            except ProcessLookupError:
                pass
        return sent


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


def write_known_hosts(server: Server, kinds: tuple[str, ...] = ("ed25519",)) -> None:
    lines = []
    for kind in kinds:
        words = (server.folder / f"host_{kind}.pub").read_text().split()
        lines.append(f"[127.0.0.1]:{server.port} {words[0]} {words[1]}")
    server.known_hosts.write_text("\n".join(lines) + "\n")


@contextmanager
def start_sshd(
    folder: Path,
    *,
    kinds: tuple[str, ...] = ("ed25519",),
    options: tuple[str, ...] = (),
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """An sshd in ``folder``; everything of it is gone afterwards."""
    require_sshd()
    folder.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        if not (folder / f"host_{kind}").exists():
            make_key(folder / f"host_{kind}", kind)
    if not (folder / "id").exists():
        make_key(folder / "id")
    if not (folder / "authorized_keys").exists():
        (folder / "authorized_keys").write_text((folder / "id.pub").read_text())
    home = folder / "home"
    home.mkdir(exist_ok=True)
    port = port or free_port()
    variables = {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", **(environment or {})}
    lines = [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        *(f"HostKey {folder}/host_{kind}" for kind in kinds),
        f"AuthorizedKeysFile {folder}/authorized_keys",
        f"PidFile {folder}/pid",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "StrictModes no",
        "UsePAM no",
        "LogLevel VERBOSE",
        # A home of its own: what the user's shell reads at its start is neither slow nor in the way.
        "SetEnv " + " ".join(f"{key}={value}" for key, value in variables.items()),
        "Subsystem sftp internal-sftp",
        *options,
    ]
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    command = [SSHD, "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "log")]
    process = subprocess.Popen(command, start_new_session=True)
    server = Server(folder, port, folder / "id", process)
    try:
        _await_port(server)
        write_known_hosts(server, kinds)
        yield server
    finally:
        for pid in server.children() if process.poll() is None else []:
            for number in (signal.SIGCONT, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        process.wait(10)


def _await_port(server: Server) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise AssertionError(f"sshd ended: {server.log}")
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("sshd does not listen")

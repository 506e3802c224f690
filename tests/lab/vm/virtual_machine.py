"""A small virtual machine with a kernel of its own, booting systemd: cgroup version 2 as most labs have it.

qemu emulates it in software, so it is slow (about ten times) but needs nothing of this machine's kernel. It has Debian
13 with Docker 26.1, Podman 5.4 and systemd 257.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import paramiko
from host_images import HERE as LAB
from host_images import cache_folder, debian_mirror, make_root, only_one
from outer_engine import LabError, run
from workstations import make_key

from harness.hosts.ssh import KeyRing, SSHConnection, Target, read_config, resolve_route
from harness.ship.base import scratch_folder

TINY_ROOT = LAB / "tiny_root.sh"
SUITE = "trixie"
USERS = {"bench": 1000, "rootless": 1001, "guest": 1002, "bare": 1003}
"""``bench`` may use the system's Docker. ``rootless`` lingers and may limit all; ``guest`` is as Debian makes a user;
``bare`` lingers and may limit nothing."""
IMAGE_TAR = "/usr/share/tiny.tar"
"""On a machine: the root of an image with Python's standard library."""
_PACKAGES = (  # of kernels, the cloud's has no 9p
    *("linux-image-amd64", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "udev", "kmod", "polkitd"),
    *("openssh-server", "docker.io", "docker-cli", "iptables", "iproute2", "procps", "python3", "e2fsprogs"),
    *("podman", "crun", "uidmap", "rootlesskit", "slirp4netns"),
)
_RECIPE = 2
_DISK_MB = 4096
_BOOT_S = 900.0
# Emulated, and perhaps beside other work: what systemd takes for hanging is only slow.
_PATIENT = "systemd.default_timeout_start_sec=900 systemd.default_device_timeout_sec=900"
_KERNEL_WORDS = f"root=/dev/vda rw console=ttyS0 panic=-1 quiet {_PATIENT}"
_FILES = {
    "etc/fstab": "/dev/vda / ext4 defaults,noatime 0 1\n",
    "etc/hostname": "vm\n",
    "etc/systemd/network/lab.network": "[Match]\nName=e*\n[Network]\nDHCP=ipv4\n",
    "etc/ssh/sshd_config.d/lab.conf": "HostKey /etc/ssh/ssh_host_ed25519_key\nPasswordAuthentication no\nUseDNS no\n",
    # What differs from start to start, keys, comes as a tar on a second disk.
    "etc/systemd/system/lab-seed.service": (
        "[Unit]\nDefaultDependencies=no\nAfter=local-fs.target dev-vdb.device\nWants=dev-vdb.device\n"
        "Before=ssh.service ssh.socket sysinit.target\n"
        "[Service]\nType=oneshot\nExecStart=/usr/bin/tar -xf /dev/vdb -C / --no-same-owner\n"
        "ExecStart=/bin/sh -c 'for u in /home/*; do chown -R $${u##*/}: $$u; done'\n"
        "[Install]\nWantedBy=sysinit.target\n"
    ),
    "etc/systemd/system/user@1001.service.d/lab.conf": "[Service]\nDelegate=cpu cpuset io memory pids\n",
    "etc/systemd/system/user-1003.slice.d/lab.conf": "[Slice]\nDisableControllers=cpu cpuset io memory\n",
    "var/lib/systemd/linger/rootless": "",
    "var/lib/systemd/linger/bare": "",
}
_SETUP = (
    *(
        f"useradd -m -s /bin/bash -p '*' -u {uid} {user} && usermod --add-subuids {uid}00000-{uid}65535 "
        f"--add-subgids {uid}00000-{uid}65535 {user}"
        for user, uid in USERS.items()
    ),
    "usermod -aG docker bench",
    "systemctl enable systemd-networkd lab-seed ssh docker",
    "systemctl mask apt-daily.timer apt-daily-upgrade.timer systemd-timesyncd e2scrub_reap.service fstrim.timer",
)


def why_not() -> str | None:
    """Why no virtual machine can be had here, or None."""
    for program, package in (("qemu-system-x86_64", "qemu-system-x86"), ("debootstrap", "debootstrap")):
        if shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
            return f"{program} is not installed (apt-get install {package})"
    if platform.machine() != "x86_64":
        return "it emulates x86_64"
    return "making it needs root" if os.geteuid() != 0 else None


def machine_files() -> Path:
    """The folder with ``disk.img``, ``vmlinuz`` and ``initrd``, made if need be."""
    mirror, tiny = debian_mirror(), TINY_ROOT.read_text()
    key = json.dumps([_RECIPE, SUITE, mirror, _PACKAGES, _FILES, _SETUP, _DISK_MB, tiny])
    folder = cache_folder() / f"vm-{SUITE}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    with only_one("vm"):
        if not folder.exists():
            print(f"make a virtual machine of Debian {SUITE}", file=sys.stderr, flush=True)
            with scratch_folder(cache_folder()) as scratch:
                _make(scratch, mirror)
                (scratch / "made").rename(folder)
    return folder


def _make(scratch: Path, mirror: str) -> None:
    root, made = scratch / "root", scratch / "made"
    made.mkdir()
    make_root(root, SUITE, mirror, _PACKAGES)
    for path, content in _FILES.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    chroot = ["chroot", str(root), "/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh"]
    for line in _SETUP:
        run([*chroot, "-c", line])
    run([*chroot, "-c", f"sh -s > {IMAGE_TAR} && rm -rf /tmp/*"], input=TINY_ROOT.read_bytes())
    for name in ("vmlinuz", "initrd.img"):
        found = sorted((root / "boot").glob(f"{name}-*"))[-1]
        shutil.move(found, made / name)
    disk = made / "disk.img"
    run(["truncate", "-s", f"{_DISK_MB}M", str(disk)])
    run(["mkfs.ext4", "-q", "-F", "-m", "0", "-d", str(root), str(disk)])


@dataclass
class Machine:
    """A running virtual machine; what it writes is forgotten when it ends."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    host_key: str
    _root: paramiko.SSHClient | None = None

    @classmethod
    def boot(cls, folder: Path, *, memory_mb: int = 2048) -> Machine:
        """Boot one and wait until its sshd answers.

        ``folder`` takes the keys, the console's log and ``share``, which is there under the same path.
        """
        files = machine_files()
        share = folder / "share"
        share.mkdir()
        share.chmod(0o777)
        public = make_key(folder / "id_ed25519")
        host_key = make_key(folder / "host_key")
        _write_seed(folder / "seed.tar", public, (folder / "host_key").read_bytes())
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        drive = "if=virtio,format=raw,cache=unsafe,file="
        argv = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max,-cx16", "-smp", "2"]
        argv += ["-m", f"{memory_mb}M", "-virtfs", f"local,path={share},mount_tag=share,security_model=passthrough"]
        argv += ["-nographic", "-no-reboot", "-snapshot", "-kernel", str(files / "vmlinuz")]
        argv += ["-initrd", str(files / "initrd.img"), "-append", _KERNEL_WORDS]
        argv += ["-drive", f"{drive}{files / 'disk.img'}", "-drive", f"{drive}{folder / 'seed.tar'}"]
        argv += ["-netdev", f"user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"]
        argv += ["-device", "virtio-net-pci,netdev=n0,romfile=", "-device", "virtio-rng-pci"]
        with (folder / "console.log").open("wb") as log:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(folder)}
            )
        machine = cls(process, port, folder, host_key)
        try:
            machine.wait()
            machine.run(f"mkdir -p {share} && mount -t 9p -o trans=virtio,version=9p2000.L share {share}")
        except BaseException:
            machine.off()
            raise
        return machine

    def wait(self) -> None:
        """Until a command runs on it."""
        deadline = time.monotonic() + _BOOT_S
        while True:
            try:
                self.run("true")
                return
            except (LabError, OSError, EOFError, paramiko.SSHException) as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    tail = (self.folder / "console.log").read_text(errors="replace").splitlines()[-15:]
                    raise LabError("\n".join(["the virtual machine did not boot:", *tail])) from error
            time.sleep(2)

    def run(self, command: str, *, user: str = "root", input: bytes = b"", timeout_s: float = 300.0) -> str:
        """Run a line of shell on it. Raises LabError."""
        client = (self._root if user == "root" else None) or self._log_in(user)
        try:
            stdin, stdout, stderr = client.exec_command(command, timeout=timeout_s)
            for start in range(0, len(input), 1 << 16):
                stdin.write(input[start : start + (1 << 16)])
            stdin.channel.shutdown_write()
            said, complained = stdout.read(), stderr.read()
            code = stdout.channel.recv_exit_status()
        except BaseException:
            client.close()
            self._root = None
            raise
        if user == "root":  # a login takes seconds there; of other users a session is to end
            self._root = client
        else:
            client.close()
        if code != 0:
            raise LabError(f"{command} ended with {code}: {complained.decode(errors='replace')[-1500:]}")
        return said.decode(errors="replace").strip()

    def _log_in(self, user: str) -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        client.get_host_keys().add(
            f"[127.0.0.1]:{self.port}",
            "ssh-ed25519",
            paramiko.Ed25519Key.from_private_key_file(str(self.folder / "host_key")),
        )
        client.connect(
            "127.0.0.1", self.port, user, key_filename=str(self.folder / "id_ed25519"), allow_agent=False,
            look_for_keys=False, timeout=20, banner_timeout=60, auth_timeout=120,
        )  # fmt: skip
        return client

    def wait_for(self, condition: Callable[[], bool], seconds: float = 200.0) -> None:
        """Until something is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise LabError("it did not come about in time")
            time.sleep(1)

    def connection(self, user: str) -> SSHConnection:
        """Return a connection as the program makes it."""
        key, nothing = str(self.folder / "id_ed25519"), self.folder / "none"
        target = Target("vm", "127.0.0.1", self.port, user, key, "", "", self.host_key)
        return SSHConnection(resolve_route(target, read_config(nothing, nothing)), KeyRing())

    def off(self) -> None:
        """Pull the plug."""
        self.process.kill()
        self.process.wait(20)


def _write_seed(path: Path, public: str, host_key: bytes) -> None:
    """Keys for this start, as a tar on a disk."""
    with tarfile.open(path, "w") as archive:
        for name, content, mode in (
            ("root/.ssh/authorized_keys", public.encode() + b"\n", 0o600),
            *((f"home/{user}/.ssh/authorized_keys", public.encode() + b"\n", 0o600) for user in USERS),
            ("etc/ssh/ssh_host_ed25519_key", host_key, 0o600),
        ):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    with path.open("ab") as stream:
        stream.truncate((path.stat().st_size // 65536 + 1) * 65536)

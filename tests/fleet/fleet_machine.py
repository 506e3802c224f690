"""A simulated workstation: what its shell answers to the controller's commands, and when it cannot be reached.

It holds files in memory, has one lock like every machine, and its own clock. A command that it does not know fails the
test: a controller that asks something new must be answered by somebody who knows what a real host says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet_clock import BEGIN, Clock

from harness.engine import podman_dial
from harness.hosts import folders, lock_commands, names, own_folders
from harness.hosts.connection import Completed
from harness.ship import data_inspection
from harness.values.errors import HostUnreachable

_FACT = re.compile(r'^echo "\$mark" (?:\'([^\']+)\'|(\S+))$', re.MULTILINE)
_MARK = re.compile(r"^mark=(\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Kind:
    """A kind of workstation: what facts tell of it."""

    cpu: str
    cpus: int
    ram_gib: int
    disk: str = "nvme0n1 0 Samsung SSD 980"


KINDS = (
    Kind("AMD Ryzen 9 7950X 16-Core Processor", 32, 64),
    Kind("Intel(R) Core(TM) i7-9700K CPU @ 3.60GHz", 8, 16),
    Kind("AMD EPYC 7302P 16-Core Processor", 32, 128),
    Kind("Intel(R) Xeon(R) W-2123 CPU @ 3.60GHz", 8, 32, "sda 1 WDC WD10EZEX"),
)


@dataclass
class Machine:
    """One simulated workstation. ``away``: from when to when, in seconds of the clock, nothing answers.

    ``taken_at``: when somebody takes the lock away from whoever holds it.
    ``reboots``: when it is started anew: jobs and the lock are gone then. ``latency_s`` is what each command takes on
    its way; ``is_garbled``: its shell answers nonsense. ``counted`` is what counting the files of its data set says,
    ``tmp`` what lies beside its lock.
    """

    name: str
    kind: Kind
    clock: Clock
    latency_s: float = 0.005
    away: tuple[tuple[float, float], ...] = ()
    is_garbled: bool = False
    kernel: str = "6.1.0-18-amd64"
    boot: int = 0
    lock: dict[str, str] | None = None
    taken_at: float | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {"/", "/srv", "/srv/data", "/srv/data/pets", "/home/bench"})
    commands: int = 0
    counted: str = "pile 100 2000000 cat\t.jpg\tcat/1.jpg\n"
    tmp: set[str] = field(default_factory=set)
    boot_id: str = ""

    def travel(self) -> None:
        """To the host and back. Raises HostUnreachable while it is away."""
        now = self.clock.monotonic()
        if any(begin <= now < end for begin, end in self.away):
            self.clock.sleep(2.0)  # until somebody notices that nothing comes back
            raise HostUnreachable("no answer within 2 s", where=self.name, hint="see whether the machine is up")
        self.clock.sleep(self.latency_s)

    def answer(self, argv: Sequence[str], text: bytes | None) -> Completed:
        """What a command writes, and its exit code."""
        self.commands += 1
        if self.is_garbled:
            return Completed(0, b"\xff\x00 this is not the host that you are looking for", b"")
        match list(argv):
            case ["sh"]:
                return _said(self._facts((text or b"").decode()))
            case ["sh", "-c", script, "sh", *words]:
                return self._script(script, words)
            case ["sh", "-c", folders._PLACES_SCRIPT]:  # noqa: SLF001 - a simulated host knows the scripts that it is given
                return _said("/home/bench\0/home/bench\n.\0")
            case ["sh", "-c", script] if script == podman_dial.look_command()[2]:
                return _said("cli \nuser bench\ndocker_host \n")
            case ["cat", "/proc/stat"]:
                return _said(f"cpu  {int(self.clock.monotonic() * 2)} 0 0 100 0 0 0 0 0 0\n")
            case ["cat", "--", path]:
                return _said(self.files[path]) if path in self.files else Completed(1, b"", b"no such file\n")
            case ["test", _, path]:
                return Completed(0 if path in self.folders or path in self.files else 1, b"", b"")
            case ["mkdir", "-p", "-m", _, "--", path]:
                self.folders.add(path)
                return _said("")
            case ["rm", "-f", "--", path]:
                self.tmp.discard(path)
                return _said("")
            case ["rm", "-rf", "--", path]:
                self.folders = {one for one in self.folders if one != path and not one.startswith(f"{path}/")}
                return _said("")
        raise AssertionError(f"a simulated host does not know this command: {list(argv)}")

    # -- scripts -----------------------------------------------------------------------------------------------

    def _script(self, script: str, words: Sequence[str]) -> Completed:
        if script == folders._FREE_SCRIPT:  # noqa: SLF001 - a simulated host knows the scripts that it is given
            return _said("/dev/nvme0n1p2 1000000000000 1 900000000000 10% /\n")
        if script == own_folders._MAKE:  # noqa: SLF001 - a simulated host knows the scripts that it is given
            self.folders.add("/".join(words).rstrip("/"))
            return _said("")
        if script.startswith(data_inspection._LOOK):  # noqa: SLF001 - a simulated host knows the scripts that it is given
            return _said(f"dir cat\ndir dog\n{self.counted}whole\n" if words[1] in self.folders else "absent\n")
        if script == names.MARK_SCRIPT:
            self.tmp.add(".".join(words))
            return _said("".join(f"{path.rpartition('.')[2]}\n" for path in self.tmp if path.startswith(words[0])))
        if script == lock_commands.read_command("")[2]:
            return _said(self._lock_state())
        if script == lock_commands.claim_command("", "", "", "")[2]:
            _, _token, text, expected = words
            if self._stamp() != expected:
                return Completed(lock_commands.CHANGED, self._lock_state().encode(), b"")
            self.lock = dict(line.partition(" ")[::2] for line in text.splitlines())
            self.lock |= {"boot": self._boot_id(), "since": self._date(), "beat": self._uptime(), "beat_at": "now"}
            return _said(self._lock_state())
        holds = self.lock is not None and self.lock["token"] == words[1] if len(words) > 1 else False
        if script == lock_commands.beat_command("", "")[2]:
            if self.taken_at is not None and self.clock.monotonic() >= self.taken_at:
                self.lock = None
                return Completed(lock_commands.TAKEN, b"taken_by ann@desk\n", b"")
            if not holds or self.lock is None:
                return Completed(lock_commands.CHANGED, self._lock_state().encode(), b"")
            self.lock |= {"boot": self._boot_id(), "beat": self._uptime(), "beat_at": "now"}
            return _said("")
        if script == lock_commands.release_command("", "")[2]:
            if self.lock is not None and not holds:
                return Completed(lock_commands.CHANGED, b"", b"")
            self.lock = None
            return _said("")
        raise AssertionError(f"a simulated host does not know this script: {script[:200]}")

    def _stamp(self) -> str:
        return lock_commands.ABSENT if self.lock is None else f"{self.lock['token']}/{self.lock['beat']}"

    def _lock_state(self) -> str:
        head = f"now {self._date()}\nuptime {self._uptime()}\nboot_now {self._boot_id()}\nstamp {self._stamp()}\n"
        return head + "".join(f"{word} {value}\n" for word, value in (self.lock or {}).items())

    def _uptime(self) -> str:
        return f"{1000 + self.clock.monotonic():.2f}"

    def _date(self) -> str:
        return "2026-01-05T06:00:00Z"

    def _boot_id(self) -> str:
        number = sum(map(ord, self.boot_id or self.name))
        return f"{number:08x}-0000-4000-8000-{self.boot:012x}"

    # -- facts -------------------------------------------------------------------------------------------------

    def _facts(self, script: str) -> str:
        """The answer to the one script that reads facts: a section for each that it asks for."""
        mark = _MARK.search(script)
        assert mark is not None, "no script of facts"
        parts = []
        for found in _FACT.finditer(script):
            name = found[1] or found[2]
            parts.append(f"{mark[1]} {name}\n{self._fact(name)}\n{mark[1]}= 0\n")
        return "".join(parts)

    def _fact(self, name: str) -> str:
        kind = self.kind
        if name.startswith("disk:"):
            path = {"disk:scratch": "/home/bench/.cache/harness", "disk:images": "/var/lib/docker"}.get(name, "/srv")
            df = "/dev/nvme0n1p2 ext4 1000000000000 100000000000 900000000000 10% /"
            return f"path {path}\ndf {df}\nwritable yes\ndevice {kind.disk}\n"
        kib = kind.ram_gib * 2**20
        known = {
            "cpu_model": f"model name\t: {kind.cpu}\n",
            "online_cpus": f"0-{kind.cpus - 1}\n",
            "allowed_cpus": f"Cpus_allowed_list:\t0-{kind.cpus - 1}\n",
            "governor": "performance\n",
            "turbo": "boost 1\n",
            "meminfo": f"MemTotal: {kib} kB\nMemAvailable: {kib * 9 // 10} kB\nSwapTotal: 0 kB\n",
            "os": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
            "kernel": f"{self.kernel} x86_64\n",
            "cgroup_version": "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime 0 0\n",
            "boot_id": self._boot_id() + "\n",
            "load_1m": "0.05 0.03 0.01 1/200 1234\n",
            "user": "1000\n1000\n",
            "clock": f"{BEGIN.timestamp() + self.clock.monotonic():.9f}\n",
        }
        return known.get(name, "")


class FleetConnection:
    """A ``Connection`` to a simulated workstation."""

    def __init__(self, machine: Machine) -> None:
        self.host = machine.name
        self.machine = machine
        self.is_open = True

    def run(
        self, argv: Sequence[str], *, input: bytes | None = None, timeout_s: float = 60.0, **options: Any
    ) -> Completed:
        self.machine.travel()
        return self.machine.answer(argv, input)

    def put(self, source: Path | bytes, target: str, *, mode: int = 0o644) -> None:
        self.machine.travel()
        self.machine.files[target] = source if isinstance(source, bytes) else source.read_bytes()

    def get(self, source: str, target: Path) -> None:
        self.machine.travel()
        if source not in self.machine.files:
            raise FileNotFoundError(source)
        target.write_bytes(self.machine.files[source])

    def close(self) -> None:
        self.is_open = False


def _said(text: str | bytes) -> Completed:
    return Completed(0, text.encode() if isinstance(text, str) else text, b"")

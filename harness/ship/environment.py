"""Choose and bring the environment for a host whose Python lacks TensorFlow."""

from __future__ import annotations

import posixpath
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness.bench.launcher.environment_digest import SEAL
from harness.engine.interface import PythonEngine
from harness.hosts.connection import Connection
from harness.hosts.own_folders import make_own_folder
from harness.ship.datasource import OnProgress, SourceFile
from harness.ship.definition import read_definition
from harness.ship.filetransfer import hash_files, list_files, send_files
from harness.ship.room import refuse_full
from harness.ship.slots import TransferSlots, refuse_stopped
from harness.ship.wheel_cache import fetch_wheels
from harness.values.engine_names import HostPython
from harness.values.errors import EngineUnavailable, HostUnreachable
from harness.values.event import ImageShipped, speed_of
from harness.values.platforms import MACHINES, PYTHONS_OF_HOSTS, find_host_obstacle
from harness.values.units import format_bytes
from harness.values.wheels import Lock, Platform, Wheel, read_lock

ENVIRONMENTS_FOLDER = "environments"
"""Folder in scratch for environments, named by the digest of their lock, and for their wheels."""

BY_WHEELS = "wheels"
"""The method of bringing an environment, in events."""

_WHEELS = "wheels"
_UNPACKED, _UNPACKED_CUDA = 5, 2
"""Ratio of the installed size to the size of a wheel (362 MB become 1.66 GB); CUDA's wheels contain only libraries."""
_MARGIN_BYTES = 2**30
_ATTEMPTS = 4
_PAUSES_S = (1.0, 3.0, 9.0)
_INSTEAD = "name a Python with TensorFlow in the inventory (`harness: {python: …}`), or use a Docker Engine"


@dataclass(frozen=True)
class Environment:
    """An environment for a host: ``kind`` is ``cpu`` or ``gpu``, ``wheels`` are the lock's best wheels for the host."""

    kind: str
    lock: Lock
    wheels: tuple[Wheel, ...]

    @property
    def name(self) -> str:
        """Return the name of its folder, from kind, platform and digest."""
        return f"{self.kind}-{self.lock.platform.name.replace('/', '-')}-{self.lock.digest[:16]}"

    @property
    def bytes(self) -> int:
        """Return the size of all wheels together."""
        return sum(wheel.size for wheel in self.wheels)

    @property
    def installed_bytes(self) -> int:
        """Return the estimated size on disk after installation."""
        return sum(
            wheel.size * (_UNPACKED_CUDA if wheel.package.startswith("nvidia-") else _UNPACKED) for wheel in self.wheels
        )

    @property
    def tensorflow(self) -> str:
        """Return the version of its TensorFlow."""
        return next((one.version for one in self.lock.packages if one.name in ("tensorflow", "tensorflow-cpu")), "")

    @property
    def words(self) -> str:
        """Return a description for messages."""
        python = ".".join(map(str, self.lock.platform.python))
        return f"environment {self.name} (TensorFlow {self.tensorflow}, Python {python}, {format_bytes(self.bytes)})"


def choose_environment(python: HostPython, host: str, *, has_gpus: bool) -> Environment:
    """Return the environment that jobs in this Python need. Raises EngineUnavailable where there is none for it."""
    obstacle = find_host_obstacle(".".join(map(str, python.version)), python.machine)
    if obstacle:
        hint = f"install {PYTHONS_OF_HOSTS} on the host, or {_INSTEAD}"
        message = f"TensorFlow cannot be installed for {python.words}: {obstacle}"
        raise EngineUnavailable(message, where=host, hint=hint)
    if len(python.command) > 1:
        message = f"TensorFlow cannot be installed for `{' '.join(python.command)}`, a command that starts a Python"
        hint = "install TensorFlow for the Python that it starts, or name a plain Python of the host"
        raise EngineUnavailable(message, where=host, hint=hint)
    if python.libc is None:
        message = f"TensorFlow cannot be installed for {python.words}: the host's C library is not glibc"
        raise EngineUnavailable(message, where=host, hint=_INSTEAD)
    if not python.has_venv:
        message = f"TensorFlow cannot be installed for {python.words}: it has no module `venv`"
        hint = f"`sudo apt-get install python3-venv` on the host, or {_INSTEAD}"
        raise EngineUnavailable(message, where=host, hint=hint)
    kind = "gpu" if has_gpus and python.machine == MACHINES[0] else "cpu"
    platform = Platform(python.version[:2], python.machine, python.libc)
    lock = read_lock(read_definition(f"locks/host-{kind}.txt").decode(), platform)
    try:
        wheels = lock.choose()
    except LookupError as error:
        libc = ".".join(map(str, python.libc))
        message = f"TensorFlow cannot be installed for {python.words}: {error.args[0]} has no wheel for glibc {libc}"
        raise EngineUnavailable(message, where=host, hint=_INSTEAD) from None
    if not wheels:
        message = f"TensorFlow cannot be installed for {python.words}: this version has no lock for {platform.name}"
        raise EngineUnavailable(message, where=host, hint=_INSTEAD)
    return Environment(kind, lock, wheels)


def find_made(connection: Connection, scratch: str, environment: Environment) -> str | None:
    """Return the Python of a complete environment on a host; None where there is none."""
    base = posixpath.join(scratch, ENVIRONMENTS_FOLDER, environment.name)
    python = posixpath.join(base, "bin/python")
    script = '[ -f "$1" ] && "$2" -S -E -c ""'
    done = connection.run(["sh", "-c", script, "sh", posixpath.join(base, SEAL), python])
    return python if done.returncode == 0 else None


@dataclass
class EnvironmentShip:
    """The transfer of one environment to one host; ``stop`` ends it between two pieces."""

    connection: Connection
    scratch: str
    engine: PythonEngine
    environment: Environment
    slots: TransferSlots = field(default_factory=TransferSlots)
    on_progress: OnProgress = lambda text, share: None
    stop: threading.Event = field(default_factory=threading.Event)
    _sent: int = 0
    _sending_s: float = 0.0
    _notes: list[str] = field(default_factory=list)

    @property
    def _folder(self) -> str:
        return posixpath.join(self.scratch, ENVIRONMENTS_FOLDER)

    @property
    def _store(self) -> str:
        return posixpath.join(self._folder, _WHEELS)

    def run(self) -> tuple[str, ImageShipped]:
        """Send missing wheels and make the environment; return its Python and the event of the transfer.

        Wheels that arrived are kept when the connection is lost. Raises EngineError, DataError, HostNotReady,
        HostUnreachable.
        """
        self._refuse_full()
        files = fetch_wheels(self.environment.wheels, self.environment.lock.platform, self.on_progress)
        needed: int | None = None
        lost: HostUnreachable | None = None
        begun = time.monotonic()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                missing = self._find_missing()
                needed = sum(wheel.size for wheel in missing) if needed is None else needed
                self._send(missing, files)
                self.on_progress(f"making the {self.environment.words}", None)
                python = self._make()
                return python, self._describe(needed, time.monotonic() - begun, attempt)
            except HostUnreachable as error:
                lost = error
                self._notes.append(f"the connection was lost: {error.message}")
            if attempt == _ATTEMPTS or self.stop.wait(_PAUSES_S[attempt - 1]):
                break
        assert lost is not None
        raise lost

    def _find_missing(self) -> list[Wheel]:
        """Return the wheels that are missing on the host, or whose hash there differs from the lock's."""
        there = list_files(self.connection, self._store)
        likely = [one for one in self.environment.wheels if one.file in there and there[one.file].size == one.size]
        hashes = hash_files(self.connection, self._store, [one.file for one in likely], sum(one.size for one in likely))
        return [one for one in self.environment.wheels if hashes.get(one.file) != one.sha256]

    def _send(self, missing: list[Wheel], files: dict[str, Path]) -> None:
        needed = sum(wheel.size for wheel in missing)
        with self.slots.take(needed, self._wait):
            make_own_folder(self.connection, self.scratch, self._store)
            before = self._sent

            def count(sent: int) -> None:
                self._sent += sent
                done = min(self._sent - before, needed)
                words = f"sending wheels: {format_bytes(done)} of {format_bytes(needed)}"
                self.on_progress(words, done / max(needed, 1))
                self._refuse_stopped()

            sources = [SourceFile(files[one.file], one.file, one.size, 0, one.sha256) for one in missing]
            begun = time.monotonic()
            send_files(self.connection, self._store, sources, on_bytes=count)
            self._sending_s += time.monotonic() - begun

    def _make(self) -> str:
        wheels = [
            {"file": one.file, "sha256": one.sha256, "requirement": one.requirement} for one in self.environment.wheels
        ]
        return self.engine.make_environment(self.environment.name, self.environment.lock.digest, wheels)

    def _refuse_full(self) -> None:
        needed = sum(wheel.size for wheel in self._find_missing()) + self.environment.installed_bytes + _MARGIN_BYTES
        hint = f"free space there, name another `scratch:` in the inventory, or {_INSTEAD}"
        refuse_full(self.connection, self._folder, needed, what=f"the {self.environment.words}", hint=hint)

    def _wait(self) -> None:
        self._refuse_stopped()
        self.on_progress("waiting for other transfers", None)

    def _refuse_stopped(self) -> None:
        refuse_stopped(self.stop, "the environment", self.connection.host)

    def _describe(self, needed: int, seconds: float, attempts: int) -> ImageShipped:
        return ImageShipped(
            host=self.connection.host,
            method=BY_WHEELS,
            bytes_needed=needed,
            bytes_sent=self._sent,
            seconds=seconds,
            bytes_saved=self.environment.bytes - needed,
            mb_per_s=speed_of(self._sent, self._sending_s),
            image=self.environment.name,
            image_digest=self.environment.lock.digest,
            attempts=attempts,
            notes=tuple(self._notes),
        )

"""A lab of fakes whose answers can be garbled: every command that a host gets, and every request to its Docker Engine.

Hosts are those of the simulated fleet. Above them runs the real program: commands, connections' callers, the Docker
SDK over ``docker system dial-stdio``, the ``process`` engine's verbs. A ``Meddler`` sees each answer before the
controller does, numbers it, and may put something else in its place.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from unittest import mock

import yaml
from fake_docker import FakeDaemon, FakeStream
from fleet_clock import SimulatedClock, SimulatedEvent, living_in, simulated_threads
from fleet_engine import FleetEngine, Jobs, Performance
from fleet_machine import KINDS, FleetConnection, Machine
from fleet_programs import Program, Temper
from fleet_session import OTHERS_LOCK

from harness.bench.launcher.removal import REMOVE
from harness.engine import daemon_access
from harness.engine.interface import JobHandle, JobRequest, Mount, Payload
from harness.engine.kinds import docker
from harness.hosts import lock_commands, own_folders, pythons
from harness.hosts.connection import MOST_OUTPUT_BYTES, Completed, Connection, OutputTooLong
from harness.ship import filetransfer
from harness.values.errors import EngineError, JobGone, JobRefused
from harness.workflow.machines import show_facts
from harness.workflow.stops import Stops

GOOD, BAD = "good", "bad"
SCRATCH = "/home/bench/.cache/harness"
EXPERIMENT = """\
name: lab
parameters: {data: pets, loader: [keras-idg, tfdata], cache: none, memory_limit: 1GiB, epochs: 2}
rounds: 1
stall_rounds: 0
baseline: {loader: keras-idg}
timeout: 3h
"""

_FURTHER_FACTS = {
    "gpus": "name, memory.total [MiB], driver_version, uuid\nNVIDIA RTX A4000, 16376 MiB, 550.54.14, GPU-1c3f\n",
    "nvidia_runtime": "runtime\ncdi\n",
    "cgroup_room": "max 1000000000 50000 60000\n66000000000 1000000000 50000 60000\n",
    "lscpu_model": "Vendor ID: AuthenticAMD\nModel name: AMD Ryzen 9 7950X\n",
}
"""Beside those of the fleet's workstations, so that each parser has something to read."""

Meddle = Callable[[int, str, bytes], bytes]
"""Gets the number of an answer, the question and the true answer; returns what the controller is to hear."""


@dataclass
class Meddler:
    """Numbers the answers of one host. ``asked`` keeps the question of each."""

    meddle: Meddle = lambda _number, _question, truth: truth
    asked: list[str] = field(default_factory=list)

    def hear(self, question: str, truth: bytes) -> bytes:
        """Return what the controller hears."""
        self.asked.append(question)
        return self.meddle(len(self.asked) - 1, question, truth)


class LabProgram(Program):
    """The fleet's programs, and the one that proves a memory limit."""

    def __call__(self, request: JobRequest, connection: Connection) -> Performance:
        if request.request["task"] == "probe":
            return Performance(0.2, is_oom=True)
        return super().__call__(request, connection)


class LabMachine(Machine):
    """The fleet's workstation, which also answers commands that a session does not give."""

    def answer(self, argv: Sequence[str], text: bytes | None) -> Completed:
        match list(argv):
            case ["find", folder, "-maxdepth", "1", *_]:
                return _said(b"".join(path.encode() + b"\0" for path in self.folders if path.startswith(f"{folder}/")))
            case ["find", folder, "-type", "f", *_]:
                return _said(b"".join(self._lines_of(folder)))
            case ["sh", "-c", script, *_] if script.startswith("{ id -un"):
                assert show_facts._NAMES in script  # noqa: SLF001 - a simulated host knows the scripts that it is given
                return _said(b"bench\nws01\n")
            case ["sh", "-c", script] if script == daemon_access.look_command()[2]:
                return _said(b"cli /usr/bin/docker\nuser bench\ndocker_host \nusable /var/run/docker.sock\n")
            case ["sh", "-c", script, "sh", folder, _] if script == filetransfer._TAKE_BATCH:  # noqa: SLF001
                return self._take(folder, text or b"")
            case ["sh", "-c", script, "sh", *_] if script == lock_commands.break_command("")[2]:
                return self._break()
            case ["sh", "-c", script, "sh", folder, *_] if script == filetransfer._HASH:  # noqa: SLF001
                return _said(b"".join(self._hashes(folder, (text or b"").split(b"\0")[:-1])))
            case ["sh", "-c", script, "sh", _] if script == pythons._LOOK:  # noqa: SLF001
                return _said(b"3.12.3\t0\t/usr/bin/python3\n")
            case ["sh", "-c", script, "sh", *paths] if script == docker._MOUNTS:  # noqa: SLF001
                mounts = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
                return _said("".join([*(f"{path}\0" for path in paths), mounts]).encode())
            case ["sh", "-c", script, "sh", *paths] if script == own_folders._LOOK:  # noqa: SLF001
                return _said(b"".join(f"{path}\0marked\0002\0004096\0a/b/\0".encode() for path in paths[:2]))
            case ["sh", "-c", script, "sh", path] if script == own_folders._REMOVE:  # noqa: SLF001
                return super().answer(["rm", "-rf", "--", path], text)
            case ["sh", "-c", script, "sh", path] if script == REMOVE[2]:
                return super().answer(["rm", "-rf", "--", path], text)
            case ["rm", "-rf", "--one-file-system", "--", path]:
                return super().answer(["rm", "-rf", "--", path], text)
            case ["rm", "-f", "--", *paths]:
                for path in paths:
                    self.files.pop(path, None)
                return _said(b"")
        return super().answer(argv, text)

    def _fact(self, name: str) -> str:
        return _FURTHER_FACTS.get(name) or super()._fact(name)

    def _break(self) -> Completed:
        state = self._lock_state().encode()
        self.lock = None
        return _said(state)

    def _hashes(self, folder: str, places: Sequence[bytes]) -> Iterator[bytes]:
        for place in places:
            content = self.files[f"{folder}/{place.decode()}"]
            yield f"{hashlib.sha256(content).hexdigest()}  {place.decode()}".encode() + b"\0"

    def _lines_of(self, folder: str) -> Iterator[bytes]:
        for path, content in self.files.items():
            if path.startswith(f"{folder}/"):
                yield f"{len(content)}\t1700000000.0\t{path.removeprefix(folder + '/')}".encode() + b"\0"

    def _take(self, folder: str, archive: bytes) -> Completed:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                stream = tar.extractfile(member)
                if stream is not None and not member.name.startswith(".batch"):
                    self.files[f"{folder}/{member.name}"] = stream.read()
                if stream is not None and member.name == ".batch/known":
                    self.files[f"{folder}/hashes.tsv"] = stream.read()
        return _said(b"")


class LabConnection(FleetConnection):
    """A connection whose every answer goes through a meddler."""

    def __init__(self, machine: Machine, engine: PackingEngine, docker: FakeDaemon, meddler: Meddler) -> None:
        super().__init__(machine)
        self._engine, self._docker, self._meddler = engine, docker, meddler

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        timeout_s: float = 60.0,
        most_bytes: int = MOST_OUTPUT_BYTES,
        sink: IO[bytes] | None = None,
        **options: object,
    ) -> Completed:
        if argv[0].rpartition("/")[2].startswith("python"):  # garbage among the facts may name another
            question, done = self._ask_process(input or b"")
        else:
            question, done = " ".join(argv)[:60], super().run(argv, input=input, timeout_s=timeout_s)
        said = self._meddler.hear(question, done.stdout)
        if len(said) > most_bytes:
            raise OutputTooLong("what it says is too long", where=self.host)
        if sink is not None:
            sink.write(said)
        return Completed(done.returncode, b"" if sink is not None else said, done.stderr)

    def get(self, source: str, target: Path) -> None:
        super().get(source, target)
        target.write_bytes(self._meddler.hear(f"get {source}", target.read_bytes()))

    def open_channel(self, argv: Sequence[str], *, timeout_s: float = 20.0) -> FakeStream:
        """Lead to the Docker Engine, whatever is asked for: garbage among the facts has other programs be called."""
        return FakeStream(self._docker, self._meddler.hear)

    def _ask_process(self, text: bytes) -> tuple[str, Completed]:
        header, _, _archive = text.partition(b"\n")
        asked = json.loads(header)
        verb, names = asked["verb"], asked.get("names") or []
        handles = [JobHandle(self.host, name, name) for name in names]
        engine = self._engine
        answers: dict[str, Callable[[], object]] = {
            "probe": lambda: {
                "tensorflow": "2.21.0",
                "python": "CPython 3.12.3",
                "digest": "f" * 64,
                "cgroup": {"version": 2, "can_limit": True, "can_limit_swap": True, "reason": None},
            },
            "list": lambda: {"jobs": [{"name": one.name, "labels": dict(one.labels)} for one in engine.list()]},
            "look": lambda: {"states": [vars(state) for state in engine.poll(handles)]},
            "end": lambda: engine.cancel(handles) or {},  # type: ignore[func-returns-value]
            "submit": lambda: {"id": engine.submit(_request_of(asked)).id},
        }
        try:
            if verb == "results":
                return "process results", _said(engine.pack(handles[0]))
            said = answers[verb]()
        except (JobRefused, JobGone, EngineError) as error:
            said = {"refused": error.message, "hint": error.hint}
        return f"process {verb}", _said(json.dumps(said).encode())


class PackingEngine(FleetEngine):
    """The fleet's engine, whose results can be had as the tar that a host packs."""

    def pack(self, handle: JobHandle) -> bytes:
        job = self._jobs.jobs.get(handle.name)
        if job is None:
            raise JobGone(f"there is no job {handle.name} on this host", hint="it was ended or never started")
        return b"".join(self._archive(job))


def _request_of(asked: dict[str, object]) -> JobRequest:
    """Return the request behind a submission."""
    mounts = tuple(Mount(**mount) for mount in asked["mounts"])  # type: ignore[attr-defined]
    return JobRequest(
        name=str(asked["name"]),
        labels=asked["labels"],  # type: ignore[arg-type]
        payload=Payload("0" * 64, b""),
        request=asked["request"],  # type: ignore[arg-type]
        image="",
        mounts=mounts,
        memory_bytes=asked["memory_bytes"],  # type: ignore[arg-type]
    )


def _said(content: bytes) -> Completed:
    return Completed(0, content, b"")


class FakeHost:
    """One host of the lab, whose state outlives connections."""

    def __init__(self, name: str, clock: SimulatedClock) -> None:
        self.name, self._clock = name, clock
        self.machine = LabMachine(name, KINDS[0], clock)
        self.jobs, self.program = Jobs(), LabProgram(Temper(epoch_s=600.0))
        self.meddler = Meddler()
        self.docker = FakeDaemon(lambda: self._engine(FleetConnection(self.machine)))

    def connect(self) -> LabConnection:
        """Open a connection."""
        self.machine.travel()
        plain = FleetConnection(self.machine)
        return LabConnection(self.machine, self._engine(plain), self.docker, self.meddler)

    def _engine(self, connection: FleetConnection) -> PackingEngine:
        return PackingEngine(connection, self.jobs, self._clock, self.program, lambda: None)


class Lab:
    """A good host and a bad one, an inventory that names them, and an experiment."""

    def __init__(self, folder: Path, *, engine: str = "process", **harness: object) -> None:
        self.clock = SimulatedClock()
        self.folder = folder
        self.hosts = {name: FakeHost(name, self.clock) for name in (GOOD, BAD)}
        own = {"engine": engine, "scratch": SCRATCH, "data": {"pets": {"folder": "/srv/data/pets"}}, **harness}
        hosts = {name: {"ansible_host": "192.0.2.1", "harness": own} for name in self.hosts}
        self.inventory, self.experiment = folder / "lab.yaml", folder / "experiment.yaml"
        self.inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
        self.experiment.write_text(EXPERIMENT)

    @property
    def bad(self) -> FakeHost:
        return self.hosts[BAD]

    def hold(self) -> None:
        """Let another session hold every host's lock, silent for long: whether it still runs is asked, too."""
        for host in self.hosts.values():
            host.machine.lock = dict(OTHERS_LOCK, boot=host.machine._boot_id())  # noqa: SLF001 - the boot of the lock

    @contextmanager
    def open(self) -> Iterator[None]:
        """Let the controller live among these hosts, in simulated time."""
        replacements = {
            "harness.workflow.host_links.Links.open": lambda _links, host: self.hosts[host.name].connect(),
            "harness.workflow.run.run.Stops": lambda: Stops(SimulatedEvent(self.clock), SimulatedEvent(self.clock)),  # type: ignore[arg-type]
            "harness.workflow.many_hosts.start_threads": simulated_threads(self.clock),
            "harness.workflow.run.shared.Shared.write_report_safely": lambda _shared: None,  # 5 s a session
        }
        with ExitStack() as stack:
            stack.enter_context(living_in(self.clock))
            for name, replacement in replacements.items():
                stack.enter_context(mock.patch(name, replacement))
            yield

"""A whole session on a simulated fleet: the real ``harness run`` above hosts, engines and a clock that are not.

Everything from the command's options to the report is the program's own: inventory, experiment, lock, facts, data
sets, proof of same work, plan, runner, journal, events, console, findings and page.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from fleet_clock import SimulatedClock, SimulatedEvent, living_in, simulated_threads
from fleet_engine import FleetEngine, Jobs
from fleet_machine import KINDS, FleetConnection, Machine
from fleet_programs import Program, Temper

from harness.console import Console
from harness.engine.kinds import process
from harness.engine.spec import Means
from harness.hosts.connection import Connection
from harness.records.folder import SessionFolder, list_folders
from harness.records.reading import read_events, read_records
from harness.session.run_options import RunOptions, SessionOptions
from harness.values.errors import HostUnreachable
from harness.values.record import Record
from harness.workflow.plan.plan import show_plan
from harness.workflow.run.run import run_session
from harness.workflow.stops import Stops

HOUR_S = 3600.0

EXPERIMENT = """\
name: fleet
description: Cases of an hour, for a fleet that is not there.
parameters:
  data: {data}
  loader: [keras-idg, tfdata]
  cache: [none, memory]
  memory_limit: 1GiB
  epochs: 3
rounds: {rounds}
stall_rounds: 0
baseline: {{loader: keras-idg}}
timeout: 3h
"""
INVOCATIONS = 4
"""In a round of a host: IDG without a cache, tf.data without and with one in memory, and the twin."""

TROUBLES = ("none", "away", "error", "hang", "disk_full", "refuse", "lost", "dead", "gone", "locked", "garbled")
"""What may befall a workstation; most have none."""

OTHERS_LOCK = {
    "format": "1", "token": "feedfacefeedface", "owner": "somebody@elsewhere", "session": "another.one",
    "reason": "harness run", "machine": "elsewhere/pid:[1]", "boot_of_controller": "x", "pid": "1", "pid_start": "1",
    "beat": "990.0", "beat_at": "now",
}  # fmt: skip


@dataclass
class Workstation:
    """One host of the fleet, what it goes through, and what its records must say for it.

    ``state`` is the host's at the end; ``statuses`` are of the jobs that mishaps befall, in their order.
    """

    name: str
    trouble: str
    machine: Machine
    program: Program
    jobs: Jobs = field(default_factory=Jobs)
    links: list[Any] = field(default_factory=list)
    scratch: str = "/home/bench/.cache/harness"
    data: str = "/srv/data/pets"
    sets: tuple[str, ...] = ("pets",)

    @property
    def is_ready(self) -> bool:
        """Whether it is to take part to the end."""
        return self.trouble not in ("dead", "gone", "locked", "garbled")

    @property
    def away_s(self) -> float:
        """How long it cannot be reached, of what ends."""
        return sum(end - begin for begin, end in self.machine.away if end < float("inf"))


def make_fleet(
    count: int, clock: SimulatedClock, *, seed: int = 1, troubled: float = 0.3, kinds: int = len(KINDS)
) -> list[Workstation]:
    """``count`` workstations of so many kinds; a share of them is ``troubled``. The same seed gives the same fleet."""
    chance, fleet = random.Random(seed), []
    troubles = itertools.cycle(TROUBLES[1:])
    for number in range(count):
        name, kind = f"ws{number:04}", KINDS[number % kinds]
        is_troubled = count > 1 and chance.random() < troubled
        trouble = next(troubles) if is_troubled else "none"
        mishap = {2: trouble} if trouble in ("error", "hang", "disk_full", "refuse", "lost") else {}
        temper = Temper(
            epoch_s=600.0 if kind.cpus > 8 else 900.0,
            pace=chance.uniform(0.9, 1.1),
            memory_dies=kind.ram_gib <= 16,
            mishaps=mishap,
        )
        machine = Machine(name, kind, clock, latency_s=chance.uniform(0.001, 0.04), is_garbled=trouble == "garbled")
        begin = chance.uniform(0.4, 0.8) * HOUR_S
        if trouble == "away":
            machine.away = ((begin, begin + 300.0), (begin + 0.7 * HOUR_S, begin + 0.7 * HOUR_S + 60.0))
        elif trouble in ("dead", "gone"):
            machine.away = ((0.0 if trouble == "dead" else begin, float("inf")),)
        elif trouble == "locked":
            machine.lock = dict(OTHERS_LOCK, boot=machine._boot_id())  # noqa: SLF001 - the boot that the lock names
        fleet.append(Workstation(name, trouble, machine, Program(temper)))
    return fleet


@dataclass(frozen=True)
class Outcome:
    """A session that ended: exit code, simulated seconds, and what stands in its folder."""

    code: int
    seconds: float
    folder: SessionFolder
    fleet: list[Workstation]

    @cached_property
    def records(self) -> list[Record]:
        return read_records(self.folder)

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        return [logged.to_json() for logged in read_events(self.folder)]

    def statuses(self, name: str) -> Counter[str]:
        """How often each status came on a host."""
        return Counter(record.status for record in self.records if record.host == name)

    @property
    def slowest_s(self) -> float:
        """What the slowest host had to do at the least: its jobs one after the other, and its absence."""
        return max(one.program.work_s + one.away_s for one in self.fleet if one.is_ready)


Opener = Callable[[Workstation], tuple[Connection, Callable[[], None]]]
"""Opens a connection to a workstation, and says what a verb of its engine costs on the way."""


def simulated_link(workstation: Workstation) -> tuple[Connection, Callable[[], None]]:
    """The way to a host that is not there."""
    workstation.machine.travel()
    return FleetConnection(workstation.machine), workstation.machine.travel


def run_fleet(
    work: Path,
    fleet: list[Workstation],
    clock: SimulatedClock,
    *,
    rounds: int = 1,
    forks: int | None = None,
    open_link: Opener = simulated_link,
    real: tuple[str, ...] = ("harness.hosts.ssh",),
    data: str = "pets",
    **options: Any,
) -> Outcome:
    """Run or continue the fleet's session in ``work``."""
    begun = clock.monotonic()
    with fleet_world(work, fleet, clock, rounds=rounds, open_link=open_link, real=real, data=data) as files:
        wanted = RunOptions(**files, forks=forks or len(fleet), **options)
        code = run_session(Console(quiet=True), wanted)
    (folder,) = list_folders(work / "reports")
    return Outcome(code, clock.monotonic() - begun, folder, fleet)


def plan_fleet(work: Path, fleet: list[Workstation], clock: SimulatedClock, **options: Any) -> int:
    """Print, as JSON, what ``run_fleet`` would do in ``work`` after it was run there; returns the exit code."""
    wanted = SessionOptions(
        inventory=work / "fleet.yaml",
        experiment=str(work / "experiment.yaml"),
        output=work / "reports",
        forks=len(fleet),
        **options,
    )
    with living_in(clock, real=("harness.hosts.ssh",)), _replacing(fleet, clock, simulated_link):
        return show_plan(Console(quiet=True), wanted, is_offline=False, as_json=True)


@contextmanager
def fleet_world(
    work: Path,
    fleet: list[Workstation],
    clock: SimulatedClock,
    *,
    rounds: int = 1,
    open_link: Opener = simulated_link,
    real: tuple[str, ...] = ("harness.hosts.ssh",),
    data: str = "pets",
) -> Iterator[dict[str, Any]]:
    """Write the fleet's files into ``work``; commands with these options meet with this fleet."""
    inventory, experiment = work / "fleet.yaml", work / "experiment.yaml"
    inventory.write_text(_inventory(fleet))
    experiment.write_text(EXPERIMENT.format(rounds=rounds, data=data))
    with ExitStack() as stack:
        stack.enter_context(living_in(clock, real=real))
        stack.enter_context(_replacing(fleet, clock, open_link))
        yield {"inventory": inventory, "experiment": str(experiment), "output": work / "reports"}


@contextmanager
def _replacing(fleet: list[Workstation], clock: SimulatedClock, open_link: Opener) -> Iterator[None]:
    """Hosts, engines, workers and interrupts of the controller are the fleet's."""
    by_name = {one.machine.name: one for one in fleet} | {one.name: one for one in fleet}
    travels: dict[int, Callable[[], None]] = {}

    def open_link_of(_links: Any, host: Any) -> Connection:
        workstation = by_name[host.name]
        try:
            connection, travel = open_link(workstation)
        except HostUnreachable as error:
            raise HostUnreachable(error.message, where=host.name, hint=error.hint) from None
        travels[id(connection)] = travel
        workstation.links.append(connection)
        return connection

    def make_engine(means: Means) -> FleetEngine:
        one = by_name[means.connection.host]
        return FleetEngine(means.connection, one.jobs, clock, one.program, travels[id(means.connection)])

    def stops() -> Stops:
        return Stops(SimulatedEvent(clock), SimulatedEvent(clock))  # type: ignore[arg-type]

    replacements = {
        "harness.workflow.host_links.Links.open": open_link_of,
        "harness.engine.kinds.process.SPEC": replace(process.SPEC, make=make_engine),
        "harness.workflow.run.run.Stops": stops,
        "harness.workflow.many_hosts.start_threads": simulated_threads(clock),
        # A report at the first round's end and one at the session's: beside jobs of an hour all others would be cheap.
        "harness.workflow.run.shared._REPORT_SHARE": 1e-9,
    }
    with ExitStack() as stack:
        for name, replacement in replacements.items():
            stack.enter_context(mock.patch(name, replacement))
        yield


def _inventory(fleet: list[Workstation]) -> str:
    """Addresses that are nobody's (RFC 5737): nothing ever goes there."""
    hosts = {}
    for one in fleet:
        data = {name: {"folder": one.data} for name in one.sets}
        harness = {"engine": "process", "scratch": one.scratch, "data": data}
        hosts[one.name] = {"ansible_host": "192.0.2.1", "harness": harness}
    return yaml.safe_dump({"all": {"hosts": hosts}})

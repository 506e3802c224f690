"""From a host of the inventory to a host that answered: its connection, its folders, and what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from harness.analysis.protection import available_limit, busy_reason
from harness.hosts.connection import Connection
from harness.hosts.facts import read_facts
from harness.hosts.facts.facts_script import read_busy_cpus
from harness.hosts.folders import data_folders, resolve_path, resolve_sources
from harness.values.facts import Facts

if TYPE_CHECKING:
    from harness.engine.registry import HostEngines
    from harness.inventory import DataSet, Host
    from harness.ship.datatransfer import ShippedData
    from harness.values.data import DataState
    from harness.values.event import Event
    from harness.workflow.host_links import Links

Emit: TypeAlias = "Callable[[Event], None]"


@dataclass(frozen=True)
class Reached:
    """A host that answered: how it is reached, what it is, and where things lie on it.

    ``data`` are the inventory's data sets with their paths as they are there.
    """

    host: Host
    connection: Connection
    facts: Facts
    scratch: str
    disks: Mapping[str, str]
    memory_available: int
    data: Mapping[str, DataSet] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def cpus(self) -> tuple[int, ...]:
        """The CPUs that jobs may use: ``auto`` in the inventory for all usable, N for the first N, or a list of ids."""
        usable = self.facts.usable_cpus or tuple(range(self.facts.logical_cpus or 1))
        wanted = self.host.variables.cpus
        if wanted == "auto":
            return usable
        return usable[:wanted] if isinstance(wanted, int) else tuple(cpu for cpu in usable if cpu in wanted)

    @property
    def gpus(self) -> tuple[str, ...]:
        """Ids of the GPUs that jobs may use: ``auto`` for all, 0 for none, N for the first N, or a list of ids."""
        found = tuple(gpu.uuid or str(index) for index, gpu in enumerate(self.facts.gpus))
        wanted = self.host.variables.gpus
        if wanted == "auto":
            return found
        return found[:wanted] if isinstance(wanted, int) else tuple(map(str, wanted))

    def close(self) -> None:
        """Let the connection go."""
        self.connection.close()

    def inspect(self, name: str, *, is_counted: bool = True) -> tuple[DataSet | ShippedData | None, DataState]:
        """Look at a data set: what a session would read (None: nothing can be read), and what is known of it."""
        from harness.ship.data_inspection import inspect_data

        return inspect_data(
            self.connection,
            self.scratch,
            name,
            self.data.get(name),
            is_local=self.host.connection == "local",
            known_names=self.data,
            uid=self.facts.uid,
            is_counted=is_counted,
        )

    @cached_property
    def engines(self) -> HostEngines:
        """Its engines, none of them asked yet. Loaded when they are wanted: facts need none."""
        from harness.engine.registry import HostEngines
        from harness.engine.spec import Means

        is_local = self.host.connection == "local"
        return HostEngines(
            Means(self.connection, self.scratch, self.facts.uid or 0, self.facts.gid or 0, is_local=is_local)
        )


def reach(host: Host, links: Links, *, for_measuring: bool = False) -> Reached:
    """Connect, resolve folders and read facts; ``for_measuring``: whoever is busy is looked at for two seconds more."""
    connection = links.open(host)
    try:
        return _look(host, connection, for_measuring=for_measuring)
    except BaseException:
        connection.close()
        raise


def look_once_more(reached: Reached) -> Facts:
    """Read once more what a host is by now. Raises HostError."""
    return _look(reached.host, reached.connection, for_measuring=True).facts


def _look(host: Host, connection: Connection, *, for_measuring: bool) -> Reached:
    variables = host.variables
    scratch = resolve_path(connection, variables.scratch)
    disks = {name: resolve_path(connection, folder) for name, folder in variables.disks.items()}
    data = resolve_sources(connection, variables.data)
    facts = read_facts(connection, scratch=scratch, disks=disks, data_folders=data_folders(data))
    if for_measuring:
        facts = _look_again(connection, facts)
    available = available_limit(facts, variables.memory_reserve)
    return Reached(host, connection, facts, scratch, {**disks, "scratch": scratch}, available, data)


def _look_again(connection: Connection, facts: Facts) -> Facts:
    """A load average remembers what has ended, as an installation: where it is high, what is in use now counts."""
    if busy_reason(facts) is None or facts.load_1m is None:
        return facts
    in_use = read_busy_cpus(connection)
    return facts if in_use is None else facts.model_copy(update={"load_1m": min(facts.load_1m, round(in_use, 2))})

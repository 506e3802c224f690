"""A host that answered: how it is reached, what it is, and which engines it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from harness.hosts.connection import Connection
from harness.values.facts import Facts

if TYPE_CHECKING:
    from harness.engine.registry import HostEngines
    from harness.inventory import DataSet, Host


@dataclass(frozen=True)
class Reached:
    """A host that answered: how it is reached, what it is, and where things lie on it.

    ``data`` are the inventory's data sets with their paths as they are there, ``python`` the words of the interpreter
    that it names, none where it names none.
    """

    host: Host
    connection: Connection
    facts: Facts
    scratch: str
    disks: Mapping[str, str]
    memory_available: int
    data: Mapping[str, DataSet] = field(default_factory=dict)
    python: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        return self.host.connection == "local"

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
        if isinstance(wanted, int):
            return found[:wanted]
        # A number means another GPU inside a container, an id the same one.
        numbered = {str(index): name for index, name in enumerate(found)}
        return tuple(numbered.get(str(one), str(one)) for one in wanted)

    def close(self) -> None:
        """Let the connection go."""
        self.connection.close()

    @cached_property
    def engines(self) -> HostEngines:
        """Its engines, none of them asked yet. Loaded when they are wanted: facts need none."""
        from harness.engine.registry import HostEngines
        from harness.engine.spec import Means

        uid, gid = self.facts.uid or 0, self.facts.gid or 0
        return HostEngines(Means(self.connection, self.scratch, uid, gid, is_local=self.is_local, python=self.python))

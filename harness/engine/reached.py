"""A host that answered: its connection, facts, folders and engines."""

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
    """A host that answered, with its connection, facts and folders.

    ``data`` are the inventory's data sets with resolved paths. ``python`` is the command of the interpreter that the
    inventory names, empty where it names none. ``memory_available`` is in bytes.
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
        """Return whether the host is this machine."""
        return self.host.connection == "local"

    @property
    def cpus(self) -> tuple[int, ...]:
        """Return the CPUs that jobs may use; the inventory says ``auto`` (all usable), N (the first N), or a list."""
        usable = self.facts.usable_cpus or tuple(range(self.facts.logical_cpus or 1))
        wanted = self.host.variables.cpus
        if wanted == "auto":
            return usable
        return usable[:wanted] if isinstance(wanted, int) else tuple(cpu for cpu in usable if cpu in wanted)

    @property
    def gpus(self) -> tuple[str, ...]:
        """Return the ids of GPUs that jobs may use; the inventory says ``auto`` (all), N (the first N), or a list."""
        found = tuple(gpu.uuid or str(index) for index, gpu in enumerate(self.facts.gpus))
        wanted = self.host.variables.gpus
        if wanted == "auto":
            return found
        if isinstance(wanted, int):
            return found[:wanted]
        # GPU numbers differ inside a container, ids do not.
        numbered = {str(index): name for index, name in enumerate(found)}
        return tuple(numbered.get(str(one), str(one)) for one in wanted)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @cached_property
    def engines(self) -> HostEngines:
        """Return the host's engines, none of them queried yet. Imported on first use: facts do not need them."""
        from harness.engine.registry import HostEngines
        from harness.engine.spec import Means

        uid, gid = self.facts.uid or 0, self.facts.gid or 0
        return HostEngines(Means(self.connection, self.scratch, uid, gid, is_local=self.is_local, python=self.python))

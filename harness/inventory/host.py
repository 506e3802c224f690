"""The model of an inventory: immutable hosts, each value with its file and line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from harness.inventory.variables import HostVariables
from harness.values.errors import Mistake


@dataclass(frozen=True)
class Origin:
    """The file and line of a value; lines count from 1. ``text`` is a scalar value as written there, else None."""

    file: str
    line: int | None
    text: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Host:
    """A machine of the inventory.

    ``groups`` are ordered from general to specific, without ``all`` and ``ungrouped``. ``port`` and ``user`` are None
    where SSH's default applies. ``private_key`` is a path on the controller, with ``~`` unexpanded. ``proxy_jump`` is
    OpenSSH's ``[user@]host[:port][,…]``, ``proxy_command`` a shell command with OpenSSH's tokens (``%h``, ``%p``,
    ``%r``); at most one of the two is set. ``foreign`` are other programs' variables, kept and ignored. ``inventory``
    is the inventory's file. ``origins`` has the origin of each value that is not a default, by dotted key such as
    ``name``, ``harness.data.coco.folder`` or ``foreign.ntp_server``.
    """

    name: str
    groups: tuple[str, ...]
    address: str
    port: int | None
    user: str | None
    connection: Literal["ssh", "local"]
    private_key: str | None
    proxy_jump: str | None
    proxy_command: str | None
    variables: HostVariables
    origins: Mapping[str, Origin] = field(default_factory=dict, repr=False)
    foreign: Mapping[str, object] = field(default_factory=dict, repr=False)
    inventory: Path | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Inventory:
    """All hosts of an inventory, in the order of the file.

    ``groups`` are host names by group, level by level, including ``all`` and ``ungrouped``. ``unfit`` has the mistakes
    of hosts that cannot be reached as written, by host name; such a host is in ``groups`` and ``listed``, not in
    ``hosts``.
    """

    path: Path
    name: str
    hosts: tuple[Host, ...]
    groups: Mapping[str, tuple[str, ...]]
    warnings: tuple[Mistake, ...] = ()
    unfit: Mapping[str, tuple[Mistake, ...]] = field(default_factory=dict)
    listed: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all hosts, including unfit ones, in the order of the file."""
        return self.listed or tuple(host.name for host in self.hosts)

    def host(self, name: str) -> Host:
        """Return the host with a name. Raises KeyError."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)


def read_parts(inventory: Inventory, split: str | None, *, skip_unreadable: bool) -> Inventory:
    """Apply the command line's ``--split`` and ``--skip-unreadable`` to all data sets of an inventory.

    Where an option is not given, the inventory's own value stays.
    """
    if split is None and not skip_unreadable:
        return inventory

    def read(host: Host) -> Host:
        sets = host.variables.data
        data = {name: source.read_as(split, skip_unreadable=skip_unreadable) for name, source in sets.items()}
        return replace(host, variables=host.variables.model_copy(update={"data": data}))

    return replace(inventory, hosts=tuple(map(read, inventory.hosts)))

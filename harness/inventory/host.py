"""What an inventory is once it has been read: frozen, each value with the file and line that it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from harness.inventory.variables import HostVariables
from harness.values.errors import Mistake


@dataclass(frozen=True)
class Origin:
    """Where a value stands; lines count from 1. ``text``: a single value as it was written there, else None."""

    file: str
    line: int | None
    text: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Host:
    """One machine of the inventory.

    ``groups`` from the most general to the most specific, without ``all`` and ``ungrouped``. ``port`` and
    ``user`` are None where SSH's own default holds. ``private_key`` is a path on the controller, ``~`` not
    expanded; ``proxy_jump`` is OpenSSH's ``[user@]host[:port][,…]``; ``proxy_command`` is a shell command
    with OpenSSH's tokens (``%h``, ``%p``, ``%r``) in it; at most one of the two is set. ``foreign``: variables
    of other programs, kept and ignored. ``inventory`` is the file that was asked for. ``origins``: by dotted key, like
    ``name``, ``address``, ``harness.data.coco.folder`` or ``foreign.ntp_server``; what is not in it is a default.
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
    """All hosts, in the file's order; ``groups``: host names by group, level by level, also ``all``, ``ungrouped``.

    ``unfit``: what is wrong with how a host is reached, by its name; such a host is in ``groups`` and ``listed``, not
    in ``hosts``.
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
        """The names of all hosts, those that are unfit among them, in the file's order."""
        return self.listed or tuple(host.name for host in self.hosts)

    def host(self, name: str) -> Host:
        """The host of a name. Raises KeyError."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)


def read_parts(inventory: Inventory, split: str | None, *, skip_unreadable: bool) -> Inventory:
    """Return an inventory whose data sets are read as a command line says: a part of them, unreadable images left out.

    What the command line does not say stays as the inventory has it.
    """
    if split is None and not skip_unreadable:
        return inventory

    def read(host: Host) -> Host:
        sets = host.variables.data
        data = {name: source.read_as(split, skip_unreadable=skip_unreadable) for name, source in sets.items()}
        return replace(host, variables=host.variables.model_copy(update={"data": data}))

    return replace(inventory, hosts=tuple(map(read, inventory.hosts)))

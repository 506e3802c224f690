"""Share the connections to jump hosts: one transport for each, however many hosts are reached through it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from harness.hosts.ssh.identities import KeyRing
from harness.hosts.ssh.route import Route
from harness.hosts.ssh.transport import Patience, Transport


class _Link(Protocol):
    transport: Transport

    @property
    def is_alive(self) -> bool: ...

    def close(self) -> None: ...


L = TypeVar("L", bound=_Link)


@dataclass
class _Door(Generic[L]):
    mutex: threading.Lock = field(default_factory=threading.Lock)
    jump_host: JumpHost[L] | None = None


@dataclass
class JumpHost(Generic[L]):
    """An open jump host; ``users`` counts the links through it and is changed under the door's mutex."""

    link: L
    door: _Door[L]
    users: int = 0

    @property
    def transport(self) -> Transport:
        """Return the transport on which channels to other hosts are opened."""
        return self.link.transport


class JumpHosts(Generic[L]):
    """The jump hosts that the hosts of one command share; the last user closes one. Thread-safe.

    ``connect`` makes the link to one jump host, through those before it.
    """

    def __init__(self, connect: Callable[[Route, KeyRing, JumpHosts[L], Patience], L]) -> None:
        self._connect = connect
        self._mutex = threading.Lock()
        self._doors: dict[tuple[object, ...], _Door[L]] = {}

    @property
    def open_count(self) -> int:
        """Return how many jump hosts are open."""
        with self._mutex:
            return sum(door.jump_host is not None for door in self._doors.values())

    def enter(self, hops: tuple[Route, ...], ring: KeyRing, patience: Patience) -> JumpHost[L]:
        """Return the last jump host of ``hops``, connected if necessary. Raises HostUnreachable, HostNotReady."""
        *before, last = hops
        key = tuple((hop.label, hop.identities, hop.proxy_command) for hop in hops)
        with self._mutex:
            door = self._doors.setdefault(key, _Door())
        with door.mutex:
            if door.jump_host is None or not door.jump_host.link.is_alive:
                door.jump_host = JumpHost(self._connect(replace(last, hops=tuple(before)), ring, self, patience), door)
            door.jump_host.users += 1
            return door.jump_host

    def leave(self, jump_host: JumpHost[L]) -> None:
        """Release a jump host that ``enter`` returned; the last user closes it."""
        with jump_host.door.mutex:
            jump_host.users -= 1
            if jump_host.users > 0:
                return
            if jump_host.door.jump_host is jump_host:
                jump_host.door.jump_host = None
        jump_host.link.close()

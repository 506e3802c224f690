"""Comparing hosts before anything is measured: two names of one machine, data sets that differ."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.analysis.same_data import HeldSet, find_clashes
from harness.engine.jobs import HostData
from harness.engine.reached import Reached
from harness.hosts.connection import Connection
from harness.hosts.names import NameMarks
from harness.ship.dataset_check import PreparedData
from harness.values.data import DataState
from harness.values.errors import DataError, HostError, HostNotReady
from harness.workflow.found_session import FoundSession
from harness.workflow.many_hosts import ask_hosts
from harness.workflow.resolve import PROFILE_KINDS

if TYPE_CHECKING:
    from harness.console import Console
    from harness.inventory import Host
    from harness.workflow.host_links import Links


@dataclass(frozen=True)
class Seen:
    """What is compared between hosts: the boot id and the usable data sets of one host."""

    boot_id: str | None = None
    sets: Mapping[str, HeldSet] = field(default_factory=dict)


def note_seen(reached: Reached, states: Mapping[str, DataState]) -> Seen:
    """Return what is compared of a host that was inspected."""
    sets = {name: _note_state(reached, state) for name, state in states.items() if state.problem is None}
    return Seen(reached.facts.boot_id, sets)


def _note_state(reached: Reached, state: DataState) -> HeldSet:
    source = reached.data.get(state.name)
    kind: str | None = None if source is None else source.kind
    if source is not None and source.generate is not None:
        kind = PROFILE_KINDS[source.generate.profile]
    if state.is_bound:  # an upper bound: files without an annotation are left out when they are read
        return HeldSet(state.place, kind, fingerprint=state.fingerprint)
    return HeldSet(state.place, kind, state.images, state.bytes, state.fingerprint)


def note_checked(data: HostData) -> HeldSet:
    """Return what is compared of a data set that was checked."""
    source = data.source if isinstance(data, PreparedData) else ""
    return HeldSet(source, data.kind, data.images, data.bytes, data.fingerprint)


@dataclass(frozen=True)
class _Opened:
    name: str
    connection: Connection


def find_copies(
    console: Console,
    hosts: Sequence[Host],
    seen: Mapping[str, Seen],
    links: Links,
    *,
    forks: int,
    preferred: Container[str] = (),
) -> Mapping[str, str]:
    """Return the further names of machines that have several, each with the name under which it is measured.

    That is a ``preferred`` name, else the first in the inventory. Only hosts with the same boot id can be one machine:
    these are contacted again, all at once. A host that does not answer counts as a machine of its own.
    """
    by_boot: dict[str, list[Host]] = {}
    for host in hosts:
        is_node = host.variables.slurm is not None  # marks would lie on the login node, which all nodes share
        boot = seen[host.name].boot_id if host.name in seen and not is_node else None
        if boot is not None:
            by_boot.setdefault(boot, []).append(host)
    suspects = [host for alike in by_boot.values() if len(alike) > 1 for host in alike]
    if not suspects:
        return {}
    marks, opened = NameMarks(), list[_Opened]()

    def mark(host: Host) -> None:
        one = _Opened(host.name, links.open(host))
        opened.append(one)
        marks.leave(host.name, one.connection)

    def let_go(one: _Opened) -> None:
        with closing(one.connection), suppress(HostError):
            marks.remove(one.name, one.connection)

    try:
        ask_hosts(console, suspects, mark, forks=forks)
    finally:
        ask_hosts(console, opened, let_go, forks=forks)
    order = sorted((host.name for host in suspects), key=lambda name: name not in preferred)
    return marks.find_copies(order)


def find_session_copies(
    console: Console, session: FoundSession, seen: Mapping[str, Seen], links: Links, *, forks: int
) -> Mapping[str, str]:
    """Return what ``find_copies`` finds among a session's hosts, preferring names that the session has measured."""
    measured = () if session.content is None else session.content.hosts
    return find_copies(console, session.resolved.hosts, seen, links, forks=forks, preferred=measured)


def refuse_clash(session: FoundSession, seen: Mapping[str, Seen]) -> DataError | None:
    """Return the error of a session whose hosts have different files in one data set; None if there is none.

    Data sets that the session has measured are compared with the files of that time instead (``refuse_changed``).
    """
    content = session.content
    if session.own_data:
        return None
    names = [name for name in session.resolved.data_names if content is None or name not in content.data]
    for clash in find_clashes({name: one.sets for name, one in seen.items()}, names):
        return DataError(clash.message, hint=clash.hint)
    return None


class DataAgreement:
    """A barrier after the check of data sets: hosts begin together, if data sets of one name hold the same files.

    With more hosts than ``--forks``, no host waits: each later host is compared with those that came before.
    """

    def __init__(self, hosts: Iterable[str], forks: int) -> None:
        names = tuple(hosts)
        self._order = names
        self._mutex = threading.Lock()
        self._awaited = set(names) if len(names) <= forks else set[str]()
        self._held: dict[str, Mapping[str, HeldSet]] = {}

    def arrive(self, host: str, sets: Mapping[str, HeldSet]) -> None:
        """Record what the check of a host's data sets found."""
        with self._mutex:
            self._held[host] = sets
            self._awaited.discard(host)

    def leave(self, host: str) -> None:
        """Record that a host will not arrive."""
        with self._mutex:
            self._awaited.discard(host)

    @property
    def awaited(self) -> list[str]:
        """The hosts that have not arrived yet, in the inventory's order."""
        with self._mutex:
            return [name for name in self._order if name in self._awaited]

    def refuse(self, host: str) -> None:
        """Raise DataError if a data set of this host holds other files than on another host."""
        with self._mutex:
            held = {name: self._held[name] for name in self._order if name in self._held}
        for clash in find_clashes(held, held[host]):
            raise DataError(clash.message, where=host, hint=clash.hint)


def refuse_copy(name: str, measured: str) -> HostNotReady:
    """Return the error of a host name whose machine is measured under another name."""
    return HostNotReady(
        f"it is the same machine as {measured}: a file written through one name appears through the other; "
        f"it is measured once, as {measured}",
        where=name,
        hint=f"remove {name} or {measured} from the inventory",
    )

"""``harness trust``: show the host keys of an inventory, and store the accepted ones beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.hosts.ssh.knownhosts import HostKey, find_keys, judge_key, keep_key, matches_pin
from harness.hosts.ssh.route import Route
from harness.inventory import load_inventory, select_hosts
from harness.workflow.host_links import KNOWN_HOSTS, Links, find_route
from harness.workflow.many_hosts import Answer, ask_hosts, state_of, tell_failure, values_of

if TYPE_CHECKING:
    from harness.console import Console

TRUSTED = ("known", "pinned")


@dataclass(frozen=True)
class Shown:
    """A server's host key. ``state``: known, pinned, unknown, changed, revoked, not the pinned one, or an error."""

    hosts: tuple[str, ...]
    route: Route
    state: str
    key: HostKey | None = None

    @property
    def row(self) -> list[str]:
        """The cells of its row in the table."""
        key = (self.key.type, self.key.fingerprint) if self.key else ("–", "–")
        return [", ".join(self.hosts), self.route.label, *key, self.state]


@dataclass(frozen=True)
class _Door:
    """An SSH server to ask for its key, and the hosts of the inventory that need it."""

    hosts: tuple[str, ...]
    route: Route

    @property
    def name(self) -> str:
        return self.route.label

    def look(self, links: Links) -> Shown:
        """Fetch its key and judge it. Raises HostUnreachable, HostNotReady."""
        route, key = self.route, links.fetch_key(self.route)
        files = [*([route.project_known_hosts] if route.project_known_hosts else []), *route.known_hosts]
        verdict: str = judge_key(find_keys(files, route.key_name), key)
        if route.pin is not None and verdict != "revoked":
            verdict = "pinned" if matches_pin(route.pin, key) else "not the pinned one"
        return Shown(self.hosts, route, verdict, key)

    def describe(self, answer: Answer[Shown]) -> Shown:
        """Return the key that the server showed, or why it showed none."""
        if isinstance(answer.outcome, Shown):
            return answer.outcome
        return Shown(self.hosts, self.route, f"{state_of(answer.outcome)}: {answer.outcome.message}")


def trust_hosts(
    console: Console, inventory: Path, *, limit: str | None, yes: bool, replace_changed: bool, forks: int, as_json: bool
) -> int:
    """Show every host key and store those that are accepted. Returns the exit code: 0 if all are trusted, else 1, 3."""
    hosts = [host for host in select_hosts(load_inventory(inventory, limit), limit) if host.connection != "local"]
    store, links = inventory.parent / KNOWN_HOSTS, Links(console)
    answers = ask_hosts(console, hosts, find_route, forks=forks, tell=lambda answer: tell_failure(console, answer))
    routes = list(values_of(answers).values())
    shown: list[Shown] = []
    # Jump hosts first: a host behind one can be reached only when the jump host is trusted.
    for level in _levels(routes):
        doors = [_Door(tuple(names), route) for names, route in zip(_names(level, routes), level.values(), strict=True)]
        asked = ask_hosts(console, doors, lambda door: door.look(links), forks=forks)
        found = [door.describe(answer) for door, answer in zip(doors, asked, strict=True)]
        if not as_json:
            console.table(["hosts", "address", "type", "fingerprint", "state"], [one.row for one in found])
        shown += [_accept(console, one, store, yes=yes, replace_changed=replace_changed) for one in found]
    if as_json:
        columns = ("hosts", "address", "type", "fingerprint", "state")
        console.result_json([dict(zip(columns, one.row, strict=True)) for one in shown])
    if any(one.key is not None for one in shown):
        return int(len(routes) < len(hosts) or any(one.state not in TRUSTED for one in shown))
    return 3 if hosts else 0


def _levels(routes: Iterable[Route]) -> list[dict[tuple[object, ...], Route]]:
    """Return every SSH server on the routes, once each, grouped by the number of jump hosts before it."""
    levels: list[dict[tuple[object, ...], Route]] = []
    for route in routes:
        for depth, hop in enumerate((*route.hops, route)):
            while len(levels) <= depth:
                levels.append({})
            way = replace(hop, hops=route.hops[:depth])
            levels[depth].setdefault(_identity(way), way)
    return levels


def _identity(route: Route) -> tuple[object, ...]:
    return (route.address, route.port, route.key_name, route.proxy_command, *(hop.label for hop in route.hops))


def _names(level: dict[tuple[object, ...], Route], routes: Sequence[Route]) -> list[list[str]]:
    """Return, for each SSH server of a level, the hosts of the inventory that need it."""
    return [
        list(
            dict.fromkeys(
                route.host
                for route in routes
                for depth, hop in enumerate((*route.hops, route))
                if _identity(replace(hop, hops=route.hops[:depth])) == identity
            )
        )
        for identity in level
    ]


def _accept(console: Console, shown: Shown, store: Path, *, yes: bool, replace_changed: bool) -> Shown:
    """Store a new or changed key if the user accepts it. Returns the key with its new state."""
    if shown.key is None or shown.state not in ("unknown", "changed"):
        return shown
    is_new = shown.state == "unknown"
    word = "accept" if is_new else "it CHANGED: the connection may be intercepted, or the host was reinstalled. Accept"
    accepted = (yes and (is_new or replace_changed)) or console.ask(
        f"{shown.route.label}: {word} {shown.key.type} {shown.key.fingerprint}?"
    )
    if not accepted:
        cure = "--yes" if is_new else "--yes --replace, after comparing it with the key on the host itself"
        console.note(f"{shown.route.label}: not accepted; accept it with {cure}")
        return shown
    keep_key(store, shown.route.key_name, shown.key)
    console.note(f"{shown.route.label}: stored in {store}")
    return replace(shown, state="known")

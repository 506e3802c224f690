"""``harness trust``: the host keys of an inventory, shown once, and kept beside it as far as the user accepts them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.hosts.ssh.knownhosts import HostKey, find_keys, judge_key, keep_key, matches_pin
from harness.hosts.ssh.link import fetch_key
from harness.hosts.ssh.route import Route
from harness.inventory import load_inventory, select_hosts
from harness.values.errors import HostError
from harness.workflow.links import KNOWN_HOSTS, LINKS, find_route

if TYPE_CHECKING:
    from harness.console import Console

TRUSTED = ("known", "pinned")


@dataclass(frozen=True)
class Shown:
    """What one sshd showed. ``state``: known, pinned, unknown, changed, revoked, not the pinned one, or an error."""

    hosts: tuple[str, ...]
    route: Route
    state: str
    key: HostKey | None = None

    @property
    def row(self) -> list[str]:
        """Columns of the table."""
        key = (self.key.type, self.key.fingerprint) if self.key else ("–", "–")
        return [", ".join(self.hosts), self.route.label, *key, self.state]


def trust_hosts(
    console: Console, inventory: Path, *, limit: str | None, yes: bool, replace_changed: bool, forks: int, as_json: bool
) -> int:
    """Show every key once and keep those that are accepted. Returns 0 where all are trusted then, else 1 or 3."""
    LINKS.ask_with(console)
    hosts = [host for host in select_hosts(load_inventory(inventory), limit) if host.connection != "local"]
    store = inventory.parent / KNOWN_HOSTS
    routes: list[Route] = []
    failures = 0
    for host in hosts:
        try:
            routes.append(find_route(host))
        except HostError as error:
            failures += 1
            console.alarm(str(error))
    shown: list[Shown] = []
    # Gates first: what is behind one cannot be asked before it is trusted.
    for level in _levels(routes):
        with ThreadPoolExecutor(max_workers=forks) as pool:
            found = list(pool.map(_look, level.values(), [tuple(names) for names in _names(level, routes)]))
        if not as_json:
            console.table(["hosts", "address", "type", "fingerprint", "is"], [one.row for one in found])
        shown += [_accept(console, one, store, yes=yes, replace_changed=replace_changed) for one in found]
    if as_json:
        columns = ("hosts", "address", "type", "fingerprint", "state")
        console.result_json([dict(zip(columns, one.row, strict=True)) for one in shown])
    failures += sum(one.state not in TRUSTED for one in shown)
    reached = sum(one.key is not None for one in shown)
    return 0 if not failures else 3 if hosts and not reached else 1


def _levels(routes: Iterable[Route]) -> list[dict[tuple[object, ...], Route]]:
    """Every sshd on the ways, once each, by how many gates are before it."""
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
    """The inventory's hosts that need each sshd of a level."""
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


def _look(route: Route, hosts: tuple[str, ...]) -> Shown:
    try:
        key = fetch_key(route, LINKS.ring)
    except HostError as error:
        return Shown(hosts, route, f"{error.state}: {error.message}")
    files = [*([route.project_known_hosts] if route.project_known_hosts else []), *route.known_hosts]
    verdict = judge_key(find_keys(files, route.key_name), key)
    if route.pin is not None and verdict != "revoked":
        return Shown(hosts, route, "pinned" if matches_pin(route.pin, key) else "not the pinned one", key)
    return Shown(hosts, route, verdict, key)


def _accept(console: Console, shown: Shown, store: Path, *, yes: bool, replace_changed: bool) -> Shown:
    """Keep a key that is new, or one that changed, where the user says so."""
    if shown.key is None or shown.state not in ("unknown", "changed"):
        return shown
    is_new = shown.state == "unknown"
    word = "keep" if is_new else "it CHANGED: somebody may listen in, or the host was set up anew. Keep"
    accepted = (yes and (is_new or replace_changed)) or console.ask(
        f"{shown.route.label}: {word} {shown.key.type} {shown.key.fingerprint}?"
    )
    if not accepted:
        cure = "--yes" if is_new else "--yes --replace, after comparing it on the host itself"
        console.note(f"{shown.route.label}: not kept; keep it with {cure}")
        return shown
    keep_key(store, shown.route.key_name, shown.key)
    console.note(f"{shown.route.label}: kept in {store}")
    return replace(shown, state="known")

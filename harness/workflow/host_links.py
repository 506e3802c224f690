"""Connections to the hosts of one command: each inventory entry becomes a route; all share one key ring."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from harness.hosts.connection import Connection
from harness.hosts.local import LocalConnection
from harness.hosts.slurm.connection import SlurmConnection
from harness.values.errors import HostError

if TYPE_CHECKING:
    from harness.console import Console
    from harness.hosts.ssh import KeyRing, Route
    from harness.hosts.ssh.jump_hosts import JumpHosts
    from harness.hosts.ssh.knownhosts import HostKey
    from harness.hosts.ssh.link import Link
    from harness.inventory import Host

KNOWN_HOSTS = "known_hosts"
"""The project's known_hosts: the file of this name beside the inventory. It may be committed."""


class Links:
    """What the connections of one command share: opened keys and connections to jump hosts.

    A command creates one and passes it on. Passphrases are asked for on its console, if that is a terminal. Safe to use
    from several threads. Local hosts need none of this, and load nothing.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._mutex = threading.Lock()
        self._made: tuple[KeyRing, JumpHosts[Link]] | None = None

    def open(self, host: Host) -> Connection:
        """Connect to a host and log in; the local host needs neither. Raises HostUnreachable, HostNotReady."""
        login = self._open(host)
        slurm = host.variables.slurm
        if slurm is None:
            return login
        return SlurmConnection(
            host.name,
            login,
            slurm,
            on_wait=lambda reason: self._console.note(f"{host.name}: waiting in the queue of Slurm: {reason}"),
        )

    def _open(self, host: Host) -> Connection:
        if host.connection == "local":
            return LocalConnection(host.name)
        from harness.hosts.ssh import SSHConnection

        ring, jump_hosts = self._shared()
        connection = SSHConnection(find_route(host), ring, jump_hosts=jump_hosts)
        connection.open()
        return connection

    def fetch_key(self, route: Route) -> HostKey:
        """Return the key that a host presents, without logging in. Raises HostUnreachable, HostNotReady."""
        from harness.hosts.ssh.link import fetch_key

        return fetch_key(route, *self._shared())

    def _shared(self) -> tuple[KeyRing, JumpHosts[Link]]:
        """Return the shared key ring and jump hosts, created (and the SSH library loaded) at the first use of SSH."""
        from harness.hosts.ssh import KeyRing
        from harness.hosts.ssh.link import make_jump_hosts

        with self._mutex:
            if self._made is None:
                self._made = KeyRing(self._console.ask_secret), make_jump_hosts()
            return self._made


def find_route(host: Host) -> Route:
    """Return the route to a host, from the inventory, ~/.ssh/config and SSH's defaults. Raises HostNotReady."""
    from harness.hosts.ssh import Target, read_config, resolve_route

    says_proxy = "proxy_jump" in host.origins or "proxy_command" in host.origins
    target = Target(
        name=host.name,
        address=host.address,
        port=host.port,
        user=host.user,
        private_key=host.private_key,
        proxy_jump=host.proxy_jump or ("" if says_proxy else None),
        proxy_command=host.proxy_command or ("" if says_proxy else None),
        host_key=host.variables.host_key,
        known_hosts=project_known_hosts(host),
    )
    try:
        return resolve_route(target, read_config())
    except HostError as error:
        error.where = error.where or host.name
        raise


def project_known_hosts(host: Host) -> Path | None:
    """Return the path of ``known_hosts`` beside the inventory file that names the host."""
    origin = host.origins.get("name")
    return None if origin is None else Path(origin.file).parent / KNOWN_HOSTS

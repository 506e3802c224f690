"""Links to hosts: what an inventory says becomes a route, with one key ring for all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.values.errors import HostError

if TYPE_CHECKING:
    from harness.console import Console
    from harness.hosts.ssh import KeyRing, Route, SSHConnection
    from harness.inventory import Host

KNOWN_HOSTS = "known_hosts"
"""The project's own known_hosts: the file of this name beside the inventory. It may be checked in."""


class Links:
    """What all links of a process share: keys that were opened, and who is asked for a passphrase."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._ring: KeyRing | None = None
        self._ask: Callable[[str], str | None] | None = None

    def ask_with(self, console: Console) -> None:
        """Passphrases are asked on this console, where it is a terminal."""
        self._ask = console.ask_secret

    @property
    def ring(self) -> KeyRing:
        """The key ring."""
        from harness.hosts.ssh import KeyRing

        with self._mutex:
            if self._ring is None:
                self._ring = KeyRing(lambda question: self._ask(question) if self._ask else None)
            return self._ring

    def open(self, host: Host) -> SSHConnection:
        """Connect and log in. Raises HostUnreachable, HostNotReady."""
        from harness.hosts.ssh import SSHConnection

        connection = SSHConnection(find_route(host), self.ring)
        connection.open()
        return connection


LINKS = Links()
"""The ones of this process."""


def find_route(host: Host) -> Route:
    """The way to a host: the inventory's values, then ~/.ssh/config, then SSH's defaults. Raises HostNotReady."""
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
    """The file ``known_hosts`` beside the inventory that names the host."""
    origin = host.origins.get("name")
    return None if origin is None else Path(origin.file).parent / KNOWN_HOSTS

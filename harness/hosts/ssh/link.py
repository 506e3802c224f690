"""Connect and log in to a host: a link is one transport over a socket, a proxy process, or jump hosts."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import paramiko

from harness.hosts.ssh.identities import KeyRing, gather_keys
from harness.hosts.ssh.jump_hosts import JumpHosts
from harness.hosts.ssh.knownhosts import HostKey, find_keys, judge_key, matches_pin
from harness.hosts.ssh.route import Route
from harness.hosts.ssh.ssh_errors import LOST, describe, refused_key, refused_login, unreachable
from harness.hosts.ssh.transport import KEY_EXCHANGE_S, Patience, Transport, Way
from harness.hosts.ssh.watchdog import WATCHDOG
from harness.values.errors import HostError, HostNotReady

_MOST_KEYS = 8
_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]
_USER_TIMEOUT_MS = 30_000


@dataclass
class Link:
    """A connected transport, and the function that releases its socket, proxy or jump host."""

    route: Route
    transport: Transport
    release: Callable[[], None] = field(default=lambda: None)

    @property
    def is_alive(self) -> bool:
        """Return whether the transport is still connected."""
        return not self.transport.is_cut

    @property
    def silent_s(self) -> float:
        """Return the seconds since the last message from the peer."""
        return time.monotonic() - self.transport.packetizer.heard_at

    def why_cut(self) -> str:
        """Return why the transport ended."""
        error = self.transport.get_exception()
        if self.transport.packetizer.is_overdue:
            return "the peer does not answer"
        return describe(error) if error is not None else "the connection was closed"

    def close(self) -> None:
        """Close the transport and release its socket, proxy or jump host."""
        with contextlib.suppress(Exception):
            self.transport.close()
        self.release()


def make_jump_hosts() -> JumpHosts[Link]:
    """Return a new set of jump hosts for the hosts of one command, none of them connected."""
    return JumpHosts(connect)


def connect(
    route: Route,
    ring: KeyRing,
    jump_hosts: JumpHosts[Link],
    patience: Patience | None = None,
    *,
    within_s: float = math.inf,
) -> Link:
    """Connect and log in within ``within_s`` seconds.

    Raises HostUnreachable, and HostNotReady for a host key that is not trusted or a user that is not accepted.
    """
    without: set[str] = set()
    deadline = time.monotonic() + within_s
    while True:
        rest_s = max(1.0, deadline - time.monotonic())
        route = replace(route, connect_timeout_s=min(route.connect_timeout_s, rest_s))
        link, key = _negotiate(route, ring, jump_hosts, patience or Patience(), frozenset(without), rest_s)
        try:
            refusal = _judge(route, key)
            if refusal is None:
                _log_in(link.transport, route, ring)
                WATCHDOG.watch(link.transport)
                return link
        except LOST as error:
            link.close()
            raise unreachable(error, route) from error
        except BaseException:
            link.close()
            raise
        link.close()
        # A pinned fingerprint does not tell the key's type: try again without the type of the key that was shown.
        if route.pin is None or not route.pin.startswith("SHA256:") or len(without) > 2:
            raise refusal
        without.add(key.type)


def fetch_key(route: Route, ring: KeyRing, jump_hosts: JumpHosts[Link]) -> HostKey:
    """Return the host key that a host shows, without a login. Jump hosts on the way must be trusted already."""
    link, key = _negotiate(route, ring, jump_hosts, Patience(), frozenset(), math.inf)
    link.close()
    return key


def _negotiate(
    route: Route, ring: KeyRing, jump_hosts: JumpHosts[Link], patience: Patience, without: frozenset[str], rest_s: float
) -> tuple[Link, HostKey]:
    """Open the route and exchange keys, so that the host has proven to own its key. Raises HostUnreachable."""
    try:
        way, release = _open_route(route, ring, jump_hosts, patience)
    except LOST as error:
        raise unreachable(error, route) from error
    transport = Transport(way, patience)
    link = Link(route, transport, release)
    try:
        transport.prefer_key_types(_known_types(route), without)
        transport.banner_timeout = min(transport.banner_timeout, rest_s)
        transport.auth_timeout = min(transport.auth_timeout, max(5.0, rest_s))
        transport.negotiate(min(KEY_EXCHANGE_S, rest_s))
        shown = transport.get_remote_server_key()
        return link, HostKey(shown.get_name(), shown.asbytes())
    except LOST as error:
        link.close()
        if without and isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
            _raise_no_such_key(route)
        raise unreachable(error, route) from error


def _raise_no_such_key(route: Route) -> NoReturn:
    message = f"{route.label} has no host key with the fingerprint that the inventory's `host_key` gives ({route.pin})"
    raise HostNotReady(message, where=route.host, hint="compare it with `ssh-keygen -lf` on the host itself")


def _known_types(route: Route) -> list[str]:
    if route.pin is not None and not route.pin.startswith("SHA256:"):
        return [route.pin.split()[0]]
    return [known.key.type for known in find_keys(_files(route), route.key_name) if not known.is_revoked]


def _files(route: Route) -> list[Path]:
    return [*([route.project_known_hosts] if route.project_known_hosts else []), *route.known_hosts]


def _judge(route: Route, key: HostKey) -> HostNotReady | None:
    """Return why a host key is refused; None where it is trusted. A pin decides alone, except for a revoked key."""
    known = find_keys(_files(route), route.key_name)
    verdict = judge_key(known, key)
    if route.pin is not None and verdict != "revoked":
        return None if matches_pin(route.pin, key) else refused_key(route, key, "changed", [])
    return None if verdict == "known" else refused_key(route, key, verdict, known)


def _log_in(transport: Transport, route: Route, ring: KeyRing) -> None:
    """Offer keys until one is accepted. Raises HostNotReady where none is."""
    tried: list[str] = []
    left_out: list[str] = []
    why = "permission denied"
    with gather_keys(ring, route.identities, route.extra_identities, only_named=route.only_identities) as keys:
        for name, key in keys:
            if isinstance(key, str):
                left_out.append(key)
                continue
            if len(tried) >= _MOST_KEYS or not transport.is_active():
                break
            tried.append(name)
            try:
                if not transport.auth_publickey(route.user, key):
                    return
                raise refused_login(route, tried, left_out, "it requires more than a key")
            except paramiko.BadAuthenticationType as error:
                raise refused_login(
                    route, tried, left_out, f"it accepts only {', '.join(error.allowed_types)}"
                ) from error
            except paramiko.AuthenticationException as error:
                if "timeout" in str(error).lower():
                    raise TimeoutError("no answer to the login") from error
                why = "permission denied" if transport.is_active() else "it closed the connection (too many keys?)"
            except paramiko.SSHException as error:
                why = "too many keys" if "too many" in str(error).lower() else describe(error)
            except ValueError:
                left_out.append(f"{name} cannot sign")
    raise refused_login(route, tried, left_out, why)


def _open_route(
    route: Route, ring: KeyRing, jump_hosts: JumpHosts[Link], patience: Patience
) -> tuple[Way, Callable[[], None]]:
    """Open a socket or channel to the host's sshd; return it with the function that releases the way."""
    if route.hops:
        jump_host = jump_hosts.enter(route.hops, ring, patience)
        try:
            channel = jump_host.transport.open_address(route.address, route.port, route.connect_timeout_s)
        except LOST as error:
            jump_hosts.leave(jump_host)
            message = f"the jump host {route.hops[-1].label} cannot reach it: {describe(error)}"
            raise ConnectionError(message) from error
        return channel, lambda: jump_hosts.leave(jump_host)
    if route.proxy_command:
        return start_proxy(route)
    return open_socket(route), lambda: None


def is_worth_again(error: HostError) -> bool:
    """Return whether a retry may succeed: sshd drops connections when many come at once (MaxStartups)."""
    cause = error.__cause__
    return isinstance(cause, (EOFError, ConnectionResetError)) or "banner" in str(cause).lower()


def start_proxy(route: Route) -> tuple[socket.socket, Callable[[], None]]:
    """Start the ProxyCommand with a socket as its stdin and stdout, so that deadlines work as on any socket.

    Return the socket, and the function that ends the process.
    """
    ours, its = socket.socketpair()
    with its:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {route.proxy_command}"],
            stdin=its.fileno(),
            stdout=its.fileno(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end() -> None:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)

    return ours, end


def open_socket(route: Route) -> socket.socket:
    """Connect to the first address of the host's name that answers; each has the connect timeout. Raises OSError."""
    last: OSError = TimeoutError("no address")
    for family, kind, protocol, _, address in _look_up(route):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(route.connect_timeout_s)
            _harden(connection)
            connection.connect(address)
            return connection
        except OSError as error:
            connection.close()
            last = error
    raise last


def _look_up(route: Route) -> list[_Address]:
    """Return the addresses of a name. The resolver has no deadline, so it runs in a separate thread. Raises OSError."""
    found: list[_Address] = []
    failed: list[OSError] = []

    def ask() -> None:
        try:
            found.extend(socket.getaddrinfo(route.address, route.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failed.append(error if isinstance(error, OSError) else socket.gaierror(str(error)))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(route.connect_timeout_s + 10.0)
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError(f"the name {route.address} could not be looked up in time")
    return found


def _harden(connection: socket.socket) -> None:
    """Send small packets at once, and let the kernel detect a dead peer, too (tcp(7))."""
    for level, option, value in (
        (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 15),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
        (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
        (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", _USER_TIMEOUT_MS),
    ):
        number = getattr(socket, option, None)
        if number is not None:
            with contextlib.suppress(OSError):
                connection.setsockopt(level, number, value)

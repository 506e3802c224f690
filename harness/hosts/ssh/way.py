"""The way to a host's sshd: a socket, or the two ends of a process that leads there."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable

from harness.hosts.ssh.route import Route

_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]
_USER_TIMEOUT_MS = 30_000


def start_proxy(route: Route) -> tuple[socket.socket, Callable[[], None]]:
    """A process whose stdin and stdout are one real socket: deadlines work as on any other."""
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
    """The first address of a name that answers, within the connect timeout each."""
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
    """Addresses of a name; the system's resolver has no deadline, so it is asked in a thread of its own."""
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
    """Small packets at once; a peer that is gone is noticed by the kernel, too (tcp(7))."""
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

"""Streams to sockets and programs of this machine, with the interface of an SSH connection's streams."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Sequence

from harness.hosts.local import LocalConnection

_END_S = 5.0
_WAIT_S = 60.0


class LocalStream:
    """A socket with a deadline for each wait; ``process`` is the program at its other end, which ends with it."""

    errors = b""
    """Always empty: a local program writes its errors to its output."""

    def __init__(
        self, connection: socket.socket, timeout_s: float, process: subprocess.Popen[bytes] | None = None
    ) -> None:
        self.timeout_s = timeout_s
        self._connection = connection
        self._process = process

    @property
    def is_open(self) -> bool:
        """Return whether more bytes may arrive."""
        try:
            self._connection.settimeout(0.0)
            return self._connection.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def send(self, data: bytes) -> None:
        """Send all of ``data``."""
        self._connection.settimeout(self.timeout_s)
        self._connection.sendall(data)

    def recv(self, most_bytes: int = 128 * 1024) -> bytes:
        """Return the next bytes; empty at the end."""
        self._connection.settimeout(self.timeout_s)
        return self._connection.recv(most_bytes)

    def finish(self) -> None:
        """Shut down the sending direction."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket, and wait for its program to end. Idempotent."""
        self._connection.close()
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)


class LocalStreams:
    """This machine's counterpart of an ``SSHConnection``, with the methods that an engine's client needs."""

    def __init__(self, connection: LocalConnection) -> None:
        self.host = connection.host
        self.run = connection.run

    def open_unix(self, path: str, *, timeout_s: float = _WAIT_S) -> LocalStream:
        """Open a socket. Raises OSError."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout_s)
        try:
            connection.connect(path)
        except BaseException:
            connection.close()
            raise
        return LocalStream(connection, timeout_s)

    def open_channel(self, argv: Sequence[str], *, timeout_s: float = _WAIT_S) -> LocalStream:
        """Start a program; its input is closed when this process ends for any reason. Raises OSError."""
        ours, its = socket.socketpair()
        with its:
            process = subprocess.Popen(
                list(argv), stdin=its.fileno(), stdout=its.fileno(), stderr=subprocess.DEVNULL, start_new_session=True
            )
        return LocalStream(ours, timeout_s, process)

"""Connect Docker's SDK to a Docker Engine on a remote host, over the host's one SSH transport.

The host runs ``docker system dial-stdio``. Where a non-login shell finds no docker CLI, sshd opens the engine's socket
instead. Which of the two works is found out once; where neither does, the error names the reason and a cure.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import urllib3
from docker.api.client import APIClient
from docker.transport.basehttpadapter import BaseHTTPAdapter
from docker.utils import version_lt

from harness.engine.bounded_client import BoundedClient
from harness.engine.daemon import DaemonRefused
from harness.engine.daemon_access import DaemonAccess, explain_silence, judge_access, look_command, parse_access
from harness.engine.daemon_words import DOCKER
from harness.engine.dockerinfo import EngineVersion, read_answer
from harness.hosts.answers import Unreadable
from harness.hosts.connection import Completed

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from requests import PreparedRequest

NEWEST_API = "1.51"
"""The newest API version that this program uses; with a newer engine it uses this one, or the engine's oldest."""

KEPT_CONNECTIONS = 2
"""How many connections stay open for the next request; each uses one of the host's eight channels."""

_VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}")
_LOOK_TIMEOUT_S = 30.0


class ByteStream(Protocol):
    """A two-way byte stream whose waits end after ``timeout_s``; see ``harness.hosts.ssh.stream.Stream``."""

    timeout_s: float

    @property
    def errors(self) -> bytes: ...

    @property
    def is_open(self) -> bool: ...

    def send(self, data: bytes, /) -> None: ...

    def recv(self, most_bytes: int = ..., /) -> bytes: ...

    def finish(self) -> None: ...

    def close(self) -> None: ...


class Streams(Protocol):
    """A connection that opens streams to a host's engine: an ``SSHConnection``, or this machine's ``LocalStreams``."""

    host: str

    def run(self, argv: Sequence[str], *, timeout_s: float = ...) -> Completed: ...

    def open_unix(self, path: str, *, timeout_s: float = ...) -> ByteStream: ...

    def open_channel(self, argv: Sequence[str], *, timeout_s: float = ...) -> ByteStream: ...


class Dialer:
    """A small pool of HTTP connections to one host's engine, shared by all clients of the host."""

    words = DOCKER

    def __init__(self, connection: Streams) -> None:
        self._connection = connection
        self._mutex = threading.Lock()
        self._access: DaemonAccess | None = None
        self._kept: list[_HTTPConnection] = []

    @property
    def address(self) -> str:
        """Return the engine's address for messages."""
        return f"{self._connection.host} over SSH"

    def client(self, timeout_s: float) -> APIClient:
        """Return a client whose calls end within ``timeout_s``, with a negotiated API version.

        It is a ``daemon.ClientFactory``. Raises HostUnreachable, HostNotReady, and exceptions for which
        ``daemon.is_lost`` is true.
        """
        asking = self._make_client(NEWEST_API, timeout_s)
        try:
            said = read_answer(EngineVersion, asking.version(api_version=False), "its version")
        finally:
            asking.close()
        return self._make_client(agree_version(said.api_version, said.min_api_version), timeout_s)

    def _make_client(self, version: str, timeout_s: float) -> APIClient:
        client = BoundedClient(version=version, timeout=timeout_s)  # type: ignore[arg-type]  # may be a float
        client.words = self.words
        client.mount("http+docker://", _Adapter(self, timeout_s))
        return client

    def dial(self, timeout_s: float) -> ByteStream:
        """Open a new stream to the engine's API. Raises DaemonRefused where there is no way to the engine."""
        access = self._look()
        refusal = judge_access(access)
        if refusal is not None:
            # The cause may be repaired by then: the next call looks again.
            self._forget_access()
            raise refusal
        if access.cli is not None:
            return self._connection.open_channel(access.command, timeout_s=timeout_s)
        assert access.socket is not None  # else it was refused
        try:
            return self._connection.open_unix(access.socket, timeout_s=timeout_s)
        except ConnectionRefusedError as error:
            self._forget_access()
            cure = "install the docker CLI on the host, or set `AllowStreamLocalForwarding yes` in its sshd_config"
            raise DaemonRefused(
                f"the host has no docker CLI, and its sshd does not open {access.socket}", cure
            ) from error

    def close(self) -> None:
        """Close the pooled connections."""
        with self._mutex:
            kept, self._kept = self._kept, []
        for one in kept:
            one.close()

    def take(self) -> _HTTPConnection | None:
        """Return a pooled connection that is still open; None where there is none."""
        while True:
            with self._mutex:
                if not self._kept:
                    return None
                one = self._kept.pop()
            if one.is_connected:
                return one
            one.close()

    def give(self, one: _HTTPConnection) -> None:
        """Put a connection back into the pool, or close it where the pool is full."""
        with self._mutex:
            if one.is_connected and len(self._kept) < KEPT_CONNECTIONS:
                self._kept.append(one)
                return
        one.close()

    def _look(self) -> DaemonAccess:
        with self._mutex:
            if self._access is None:
                done = self._connection.run(look_command(), timeout_s=_LOOK_TIMEOUT_S)
                self._access = parse_access(done.text)
            return self._access

    def _forget_access(self) -> None:
        with self._mutex:
            self._access = None


def agree_version(newest: str, oldest: str) -> str:
    """Return the API version to use: the engine's newest, at most NEWEST_API, and never below the engine's oldest.

    An empty argument means that the engine does not report it. Raises Unreadable for text that is no version.
    """
    for version in filter(None, (newest, oldest)):
        if not _VERSION.fullmatch(version):
            raise Unreadable("its API version is not valid", version)
    newest = newest or NEWEST_API
    wanted = newest if version_lt(newest, NEWEST_API) else NEWEST_API
    return oldest if oldest and version_lt(wanted, oldest) else wanted


class _Adapter(BaseHTTPAdapter):
    """A transport adapter for requests whose one pool connects through the dialer, whatever the URL and proxies."""

    def __init__(self, dialer: Dialer, timeout_s: float) -> None:
        super().__init__()
        self._pool = _Pool(dialer, timeout_s)

    def get_connection(self, url: str | bytes, proxies: object = None) -> _Pool:
        return self._pool

    def request_url(self, request: PreparedRequest, proxies: object) -> str:
        return str(request.path_url)

    def close(self) -> None:
        self._pool.close()
        super().close()


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    """A urllib3 pool that borrows its connections from the dialer, so that all clients of a host share them."""

    def __init__(self, dialer: Dialer, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s, maxsize=1)
        self._dialer, self._timeout_s = dialer, timeout_s

    def _get_conn(self, timeout: float | None = None) -> _HTTPConnection:
        return self._dialer.take() or self._new_conn()

    def _put_conn(self, conn: object) -> None:
        if isinstance(conn, _HTTPConnection):
            self._dialer.give(conn)

    def _new_conn(self) -> _HTTPConnection:
        self.num_connections += 1
        return _HTTPConnection(self._dialer, self._timeout_s)


class _HTTPConnection(urllib3.connection.HTTPConnection):
    sock: Any  # urllib3 declares a socket

    def __init__(self, dialer: Dialer, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._dialer = dialer

    def connect(self) -> None:
        timeout_s = float(self.timeout) if isinstance(self.timeout, (int, float)) else 60.0
        self.sock = _Socket(self._dialer.dial(timeout_s), timeout_s)

    @property
    def is_connected(self) -> bool:
        return self.sock is not None and self.sock.is_quiet


class _Socket:
    """The part of the socket interface that HTTP needs, over a stream. Its deadline can be changed, not removed."""

    def __init__(self, stream: ByteStream, timeout_s: float) -> None:
        self._stream = stream
        self._has_answered = False
        self._readers = 0
        self._is_closed = False
        self._timeout_s = timeout_s

    @property
    def is_quiet(self) -> bool:
        return not self._is_closed and self._stream.is_open

    def settimeout(self, timeout_s: float | None) -> None:
        # The SDK removes the deadline of streams (followed logs, archives): a frozen host would block them forever.
        if timeout_s is not None:
            self._stream.timeout_s = self._timeout_s = timeout_s

    def gettimeout(self) -> float | None:
        return None

    def sendall(self, data: bytes) -> None:
        self._stream.send(data)

    def recv_into(self, buffer: memoryview) -> int:
        found = self._stream.recv(len(buffer))
        if not found and not self._has_answered:
            raise explain_silence(self._stream.errors.decode(errors="replace"))
        self._has_answered = True
        buffer[: len(found)] = found
        return len(found)

    def makefile(self, mode: str = "rb", *_: object, **__: object) -> io.BufferedReader:
        self._readers += 1
        return io.BufferedReader(_Reader(self), 64 * 1024)

    def shutdown(self, _how: int) -> None:
        self._stream.finish()

    def close(self) -> None:
        """Close as a socket does: the stream closes when its last reader is closed, too."""
        self._is_closed = True
        self._close_if_unused()

    def reader_closed(self) -> None:
        self._readers -= 1
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._is_closed and self._readers <= 0:
            self._stream.close()


class _Reader(io.RawIOBase):
    def __init__(self, socket: _Socket) -> None:
        self._socket = socket

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._socket.recv_into(memoryview(buffer).cast("B"))

    def settimeout(self, timeout_s: float | None) -> None:
        self._socket.settimeout(timeout_s)

    def gettimeout(self) -> float | None:
        return self._socket.gettimeout()

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._socket.reader_closed()

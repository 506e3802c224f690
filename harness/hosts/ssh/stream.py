"""Streams: one channel of a transport for sending and receiving bytes, each wait with a deadline."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from paramiko.channel import Channel

from harness.hosts.connection import last_line
from harness.hosts.ssh.command import split_greeting
from harness.hosts.ssh.transport import Transport, execute

SLICE_BYTES = 128 * 1024
"""Size of a slice of large data: ``Channel.sendall`` copies the rest for each packet (48 MiB: 18 s; sliced: 0.2 s)."""

_KEPT_ERRORS = 16 * 1024
_MOST_GREETING = 64 * 1024
_FULL_PAUSE_S = 0.05
"""The longest wait for room to send, in seconds, before the peer's own output is read again."""


class Silent(TimeoutError):
    """Raised when no data could be sent or received before the deadline."""


class NoShell(ConnectionError):
    """Raised when the login shell does not run a command; the message is the shell's output."""


class _Wake(threading.Event):
    """An event for a channel's buffers: ``set`` wakes the reader, ``clear`` does nothing, since the reader clears."""

    def __init__(self, event: threading.Event) -> None:
        super().__init__()
        self._event = event

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        pass

    def is_set(self) -> bool:
        return self._event.is_set()


class Stream:
    """A stream to a command's stdin and stdout on a host, or to a socket there; for one thread.

    ``send`` and ``recv`` raise Silent after ``timeout_s`` without progress, and OSError or EOFError when the link is
    lost. ``has_mark``: the output begins after ``MARK``. ``release`` is called once, on closing.
    """

    def __init__(
        self,
        transport: Transport,
        channel: Channel,
        *,
        timeout_s: float,
        has_mark: bool = False,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.timeout_s = timeout_s
        self.errors_kept = _KEPT_ERRORS
        self.greeting = b""
        self.process: int | None = None
        self._transport = transport
        self._channel = channel
        self._release: Callable[[], None] | None = release
        self._awaits_mark = has_mark
        self._errors = bytearray()
        self._moved = threading.Event()
        wake = _Wake(self._moved)
        channel.settimeout(0.0)
        channel.in_buffer.set_event(wake)
        channel.in_stderr_buffer.set_event(wake)

    @property
    def is_open(self) -> bool:
        """Return whether more bytes may arrive."""
        return not self._channel.closed and not self._channel.eof_received and self._transport.is_active()

    @property
    def is_cut(self) -> bool:
        """Return whether the link is lost."""
        return self._transport.is_cut

    @property
    def exit_code(self) -> int | None:
        """Return the command's exit code: -1 after a signal, None while it runs or after the link was lost."""
        if self._channel.exit_status != -1 or (self._channel.closed and not self.is_cut):
            return int(self._channel.exit_status)
        return None

    @property
    def errors(self) -> bytes:
        """Return the end of the command's stderr so far."""
        self._drain_errors()
        return bytes(self._errors)

    def execute(self, command: str, timeout_s: float) -> None:
        """Start a command of ``build_command`` in a session channel."""
        execute(self._channel, command, timeout_s)

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of ``data``, and keep what the command writes to stderr meanwhile."""
        view = memoryview(data).cast("B")
        deadline = time.monotonic() + self.timeout_s
        while view:
            sent = self.send_some(view)
            if sent:
                view, deadline = view[sent:], time.monotonic() + self.timeout_s
                continue
            self._drain_errors()
            if time.monotonic() > deadline:
                raise Silent(f"the host took no data for {self.timeout_s:g} s")
            self._await_room()

    def send_some(self, view: memoryview) -> int:
        """Send as much as the peer accepts now, and return the byte count. Raises OSError where it closed its input."""
        try:
            # At most one packet: bytes beyond it would be copied again for the next packet.
            sent = self._channel.send(bytes(view[: min(SLICE_BYTES, self._channel.out_max_packet_size)]))
        except TimeoutError:
            return 0
        if sent == 0:
            raise ConnectionError("the peer accepts no more data")
        return sent

    def _await_room(self) -> None:
        """Wait until the peer may accept more, at most ``_FULL_PAUSE_S``; a fixed pause would slow the transfer."""
        channel = self._channel
        with channel.out_buffer_cv:
            if channel.out_window_size == 0 and not channel.closed:
                channel.out_buffer_cv.wait(_FULL_PAUSE_S)

    def finish(self) -> None:
        """Shut down the sending direction."""
        with contextlib.suppress(OSError, EOFError):
            self._channel.shutdown_write()

    def recv(self, most_bytes: int = SLICE_BYTES) -> bytes:
        """Return the next bytes; empty at the end. Raises Silent, and ConnectionError where the link is lost."""
        deadline = time.monotonic() + self.timeout_s
        while True:
            found = self.recv_some(most_bytes)
            if found:
                return found
            if found is None:
                if self.is_cut:
                    raise ConnectionError("the connection was closed")
                return b""
            self.wait(deadline - time.monotonic())
            if time.monotonic() > deadline:
                raise Silent(f"no answer within {self.timeout_s:g} s")

    def recv_some(self, most_bytes: int = SLICE_BYTES) -> bytes | None:
        """Return the bytes that have arrived, possibly none; None at the end. Raises NoShell."""
        while True:
            self._drain_errors()
            if not self._channel.recv_ready():
                is_over = self._channel.eof_received or self._channel.closed or self.is_cut
                # Bytes may have arrived between the two checks.
                if not is_over or self._channel.recv_ready():
                    return b""
                if self._awaits_mark and not self.is_cut:
                    raise NoShell(self._last_words())
                return None
            found = self._channel.recv(most_bytes)
            if self._awaits_mark:
                found = self._skip_greeting(found)
            if found:
                return found

    def _skip_greeting(self, found: bytes) -> bytes:
        self.greeting += found
        parts = split_greeting(self.greeting)
        if parts is not None:
            self.greeting, self.process, rest = parts
            self._awaits_mark = False
            return rest
        if len(self.greeting) > _MOST_GREETING:
            raise NoShell("garbage")
        return b""

    def wait(self, timeout_s: float) -> None:
        """Wait until bytes may have arrived, at most ``timeout_s``."""
        self._moved.wait(max(0.0, timeout_s))
        self._moved.clear()

    def wait_exit(self) -> int:
        """Wait for the end and return the exit code. Raises Silent, and ConnectionError where the link is lost."""
        deadline = time.monotonic() + self.timeout_s
        while self.exit_code is None:
            if self.is_cut:
                raise ConnectionError("the connection was closed")
            if time.monotonic() > deadline:
                raise Silent(f"no exit code within {self.timeout_s:g} s")
            self.wait(min(1.0, deadline - time.monotonic()))
        return self.exit_code

    def close(self) -> None:
        """Close the channel. Idempotent."""
        with contextlib.suppress(Exception):
            self._channel.close()
        release, self._release = self._release, None
        if release is not None:
            release()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _last_words(self) -> str:
        otherwise = f"nothing (exit code {self._channel.exit_status})"
        return last_line(self.greeting + b"\n" + self.errors, otherwise)[:200]

    def _drain_errors(self) -> None:
        while self._channel.recv_stderr_ready():
            self._errors += self._channel.recv_stderr(SLICE_BYTES)
            del self._errors[: -self.errors_kept]


# paramiko raises socket.timeout, which has been TimeoutError since Python 3.10.
assert socket.timeout is TimeoutError

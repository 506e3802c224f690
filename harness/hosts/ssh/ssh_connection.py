"""The ``Connection`` over SSH: one transport with at most eight channels, which reconnects after a loss."""

from __future__ import annotations

import contextlib
import errno
import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import paramiko
from paramiko.channel import Channel

from harness.bench.protocol.atomic import replace_file
from harness.hosts.connection import (
    MOST_ERROR_BYTES,
    MOST_FETCHED_BYTES,
    MOST_OUTPUT_BYTES,
    Completed,
    Output,
    OutputTooLong,
    last_line,
    no_answer,
    not_written,
)
from harness.hosts.ssh.command import build_command, kill_command
from harness.hosts.ssh.exchange import GONE, communicate, get_command, put_command, send_file
from harness.hosts.ssh.identities import KeyRing
from harness.hosts.ssh.jump_hosts import JumpHosts
from harness.hosts.ssh.link import Link, connect, is_worth_again, make_jump_hosts
from harness.hosts.ssh.route import Route, ssh_command
from harness.hosts.ssh.ssh_errors import LOST, describe
from harness.hosts.ssh.stream import NoShell, Silent, Stream
from harness.hosts.ssh.transport import CHANNEL_TIMEOUT_S, Patience, Transport
from harness.values.errors import HostNotReady, HostUnreachable

MOST_CHANNELS = 8
"""The most channels at once; sshd's default limit is ten sessions per connection (MaxSessions)."""

RECONNECT_S = 20.0
"""How long one call tries to reconnect a lost link, in seconds; a caller that can wait longer calls again."""

STALL_S = 60.0
"""A transfer without progress for this time, in seconds, has failed."""

_FIRST_PAUSE_S, _MOST_PAUSE_S = 0.2, 5.0
_FIRST_TRIES = 4
_KILL_S = 5.0


class ChannelRefused(ConnectionRefusedError):
    """Raised when the host's sshd works but refuses to open a socket."""


class SSHConnection:
    """A connection over SSH; implements ``harness.hosts.connection.Connection``, and opens streams. Thread-safe.

    It connects at the first call. A call on a lost link reconnects, with growing pauses, for at most ``RECONNECT_S``
    and not beyond its own deadline. A call during which the link is lost raises HostUnreachable and is not repeated.
    ``on_lost(why, silent_s)`` is called when a link is lost, ``silent_s`` seconds after the last message of the host,
    and ``on_back()`` when it is connected again. ``jump_hosts`` are shared with other connections; without them this
    connection opens its own.
    """

    def __init__(
        self,
        route: Route,
        ring: KeyRing,
        *,
        jump_hosts: JumpHosts[Link] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.host = route.host
        self.route = route
        self.on_lost: Callable[[str, float], None] | None = None
        self.on_back: Callable[[], None] | None = None
        self._ring = ring
        self._jump_hosts = make_jump_hosts() if jump_hosts is None else jump_hosts
        self._patience = patience
        self._link: Link | None = None
        self._has_been_up = False
        self._connecting = threading.Lock()
        self._channels = threading.BoundedSemaphore(MOST_CHANNELS)

    def open(self) -> None:
        """Connect now; the user may be asked for a passphrase. Raises HostUnreachable, HostNotReady."""
        self._live(None)

    # -- commands ----------------------------------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        timeout_s: float = 60.0,
        most_bytes: int = MOST_OUTPUT_BYTES,
        sink: IO[bytes] | None = None,
    ) -> Completed:
        """Run one command to its end; see ``Connection.run``. After its deadline it is killed on the host."""
        deadline = time.monotonic() + timeout_s
        with self._lost_while(f"running {argv[0]}"), self._start(argv, timeout_s, deadline) as stream:
            stream.errors_kept = MOST_ERROR_BYTES
            output = Output(self.host, argv[0], most_bytes, sink)
            try:
                return communicate(stream, input or b"", output, deadline)
            except (Silent, OutputTooLong) as error:
                self._end(stream)
                if isinstance(error, OutputTooLong):
                    raise
                raise no_answer(self.host, argv[0], timeout_s) from None

    def open_channel(self, argv: Sequence[str], *, timeout_s: float = STALL_S) -> Stream:
        """Start a command and return its stream, whose waits end after ``timeout_s``. The caller must close it."""
        with self._lost_while(f"starting {argv[0]}"):
            return self._start(argv, timeout_s, time.monotonic() + timeout_s)

    def open_unix(self, path: str, *, timeout_s: float = STALL_S) -> Stream:
        """Open a stream to a Unix socket on the host through sshd. Raises ConnectionRefusedError where sshd refuses."""
        deadline = time.monotonic() + timeout_s
        with self._lost_while(f"opening {path}"):
            return self._open(lambda link, rest_s: link.open_unix(path, rest_s), timeout_s, deadline, has_mark=False)

    # -- files -------------------------------------------------------------------------------------------------

    def put(self, source: Path | bytes, target: str, *, mode: int = 0o644) -> None:
        """Write a file atomically and flush it to the disk. Raises HostNotReady where it cannot be written."""
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        argv = put_command(target, mode, size)
        with self._lost_while(f"writing {target}"), self._start(argv, STALL_S, time.monotonic() + STALL_S) as stream:
            send_file(stream, source)
            while stream.recv():
                pass
            code, errors = stream.wait_exit(), stream.errors
        if code != 0:
            raise not_written(self.host, target, last_line(errors))

    def get(self, source: str, target: Path) -> None:
        """Fetch one file, atomically. Raises FileNotFoundError, HostNotReady, and OutputTooLong above the limit."""
        argv = get_command(source)
        with replace_file(target, mode=0o644) as file:
            code, errors = self._fetch(argv, source, file)
            if code == GONE:
                raise FileNotFoundError(errno.ENOENT, "no such file on the host", source)
            if code != 0:
                hint = "check that this user may read it"
                raise HostNotReady(f"{source} could not be read: {last_line(errors)}", where=self.host, hint=hint)

    def _fetch(self, argv: Sequence[str], source: str, file: IO[bytes]) -> tuple[int, bytes]:
        with self._lost_while(f"reading {source}"), self._start(argv, STALL_S, time.monotonic() + STALL_S) as stream:
            stream.finish()
            output = Output(self.host, source, MOST_FETCHED_BYTES, file)
            while found := stream.recv():
                output.take(found)
            return stream.wait_exit(), stream.errors

    def close(self) -> None:
        """Close the connection; programs on the host continue. A later call connects again."""
        with self._connecting:
            link, self._link = self._link, None
            self._has_been_up = False
        if link is not None:
            link.close()

    # -- channels and the link ---------------------------------------------------------------------------------

    def _start(self, argv: Sequence[str], timeout_s: float, deadline: float) -> Stream:
        command = build_command(argv)
        stream = self._open(Transport.open_command, timeout_s, deadline, has_mark=True)
        try:
            stream.execute(command, max(0.1, deadline - time.monotonic()))
        except BaseException:
            stream.close()
            raise
        return stream

    def _end(self, stream: Stream) -> None:
        """Kill a command that did not end in time, by a second command: SSH's signals do not reach root's programs."""
        if stream.process is not None and not stream.is_cut:
            deadline = time.monotonic() + _KILL_S
            with contextlib.suppress(*LOST), self._start(kill_command(stream.process), _KILL_S, deadline) as killer:
                killer.recv()
                killer.wait_exit()

    def _open(
        self, open_one: Callable[[Transport, float], Channel], timeout_s: float, deadline: float, *, has_mark: bool
    ) -> Stream:
        """Open a channel, on a new link if necessary; retrying is safe because no command has started."""
        if not self._channels.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise Silent(f"all {MOST_CHANNELS} channels are in use")
        try:
            pause_s = _FIRST_PAUSE_S
            while True:
                link = self._live(deadline)
                try:
                    rest_s = min(CHANNEL_TIMEOUT_S, max(0.1, deadline - time.monotonic()))
                    channel = open_one(link.transport, rest_s)
                    break
                except paramiko.ChannelException as error:
                    # The server may still count a session that was closed a moment ago (MaxSessions).
                    if not has_mark:
                        raise ChannelRefused(error.text) from error
                    if time.monotonic() + pause_s > deadline:
                        raise
                except LOST:
                    if link.is_alive or time.monotonic() + pause_s > deadline:
                        raise
                pause_s = _pause(pause_s)
        except BaseException:
            self._channels.release()
            raise
        return Stream(link.transport, channel, timeout_s=timeout_s, has_mark=has_mark, release=self._channels.release)

    def _live(self, deadline: float | None) -> Link:
        """Return the link, reconnected if it was lost; ``deadline`` None: without a time limit."""
        rest_s = math.inf if deadline is None else max(0.0, deadline - time.monotonic())
        if not self._connecting.acquire(timeout=min(rest_s, 600.0)):
            raise Silent("still connecting")
        try:
            if self._link is not None and not self._link.is_alive:
                self._drop()
            if self._link is None:
                self._link = self._connect(rest_s)
                was_up, self._has_been_up = self._has_been_up, True
                if was_up and self.on_back is not None:
                    self.on_back()
            return self._link
        finally:
            self._connecting.release()

    def _connect(self, rest_s: float) -> Link:
        end = time.monotonic() + min(rest_s, RECONNECT_S if self._has_been_up else math.inf)
        pause_s, tries = _FIRST_PAUSE_S, 0
        while True:
            tries += 1
            try:
                return connect(
                    self.route, self._ring, self._jump_hosts, self._patience, within_s=end - time.monotonic()
                )
            except HostUnreachable as error:
                is_again = self._has_been_up or (tries < _FIRST_TRIES and is_worth_again(error))
                if not is_again or time.monotonic() + pause_s > end:
                    raise
            pause_s = _pause(pause_s)

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            if self.on_lost is not None:
                self.on_lost(link.why_cut(), link.silent_s)
            link.close()

    @contextlib.contextmanager
    def _lost_while(self, doing: str) -> Iterator[None]:
        """Context manager: turn the exceptions of a lost link into HostUnreachable, and NoShell into HostNotReady."""
        try:
            yield
        except ChannelRefused:
            raise
        except NoShell as error:
            hint = f"try `{ssh_command(self.route)} true`"
            message = f"the login shell of {self.route.user} runs no commands; it printed: {error}"
            raise HostNotReady(message, where=self.host, hint=hint) from error
        except LOST as error:
            if self._connecting.acquire(timeout=1.0):
                try:
                    if self._link is not None and not self._link.is_alive:
                        self._drop()
                finally:
                    self._connecting.release()
            hint = "check that the host is on and in the network; the same command continues from here"
            raise HostUnreachable(
                f"the connection was lost while {doing}: {describe(error)}", where=self.host, hint=hint
            ) from error


def _pause(pause_s: float) -> float:
    """Sleep for a random part of a pause, and return the next pause, twice as long up to a limit."""
    time.sleep(pause_s * random.uniform(0.5, 1.0))
    return min(pause_s * 2, _MOST_PAUSE_S)

"""Signs of life: outages of a host, each reported once, and the heartbeats of the lock held on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from harness.hosts.connection import Connection
from harness.hosts.local import LocalConnection
from harness.hosts.lock import Lock
from harness.hosts.slurm.connection import SlurmConnection
from harness.values.event import Event, LinkBack, LinkLost

_BEAT_S = 45.0
"""Seconds between heartbeats. With polls at most 30 s apart, at least two fall within ``lock.STALE_AFTER_S``."""


class Outage:
    """The outages of one host. Any thread may begin or end one; each is reported once."""

    def __init__(self, host: str, emit: Callable[[Event], None]) -> None:
        self._host = host
        self._emit = emit
        self._mutex = threading.Lock()
        self._since: datetime | None = None

    def begin(self, reason: str, silent_s: float = 0.0) -> None:
        """Report that the host does not answer; it last answered ``silent_s`` seconds ago. Once per outage."""
        with self._mutex:
            if self._since is not None:
                return
            self._since = since = datetime.now(UTC) - timedelta(seconds=silent_s)
        self._emit(LinkLost(self._host, _text(since), reason))

    def end(self) -> None:
        """Report that the host answers again; do nothing without an outage."""
        with self._mutex:
            since, self._since = self._since, None
        if since is not None:
            seconds = (datetime.now(UTC) - since).total_seconds()
            self._emit(LinkBack(self._host, _text(since), round(seconds, 1)))

    def watch(self, connection: Connection) -> None:
        """Let an SSH connection begin and end outages by itself; local connections cannot be lost."""
        if isinstance(connection, SlurmConnection):
            connection = connection.login
        if isinstance(connection, LocalConnection):
            return
        from harness.hosts.ssh import SSHConnection

        if isinstance(connection, SSHConnection):
            connection.on_lost, connection.on_back = self.begin, self.end


class Heartbeat:
    """Sends the heartbeats of a lock, at most one every 45 seconds.

    ``give_sign`` is called after each heartbeat: the controller's own sign of life.
    """

    def __init__(self, held: Lock, give_sign: Callable[[], None] = lambda: None) -> None:
        self._held = held
        self._give_sign = give_sign
        self._last = time.monotonic()

    def beat(self) -> None:
        """Send a heartbeat if one is due. Raises HostLocked if somebody else holds the lock now."""
        if time.monotonic() - self._last > _BEAT_S:
            self._last = time.monotonic()
            self._held.beat()
            self._give_sign()


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")

"""Signs of life, both ways: when a host was away, each outage told once; and the heartbeats of the lock held on it."""

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
"""A poll apart from the next at the most is half a minute: three signs of life within ``lock.STALE_AFTER_S``."""


class Outage:
    """One host's outage. Whoever notices first begins it, whoever hears of the host again ends it."""

    def __init__(self, host: str, emit: Callable[[Event], None]) -> None:
        self._host = host
        self._emit = emit
        self._mutex = threading.Lock()
        self._since: datetime | None = None

    def begin(self, reason: str, silent_s: float = 0.0) -> None:
        """Tell that the host does not answer, and was last heard ``silent_s`` ago; once until it answers again."""
        with self._mutex:
            if self._since is not None:
                return
            self._since = since = datetime.now(UTC) - timedelta(seconds=silent_s)
        self._emit(LinkLost(self._host, _text(since), reason))

    def end(self) -> None:
        """Tell that the host answers, where it was away."""
        with self._mutex:
            since, self._since = self._since, None
        if since is not None:
            seconds = (datetime.now(UTC) - since).total_seconds()
            self._emit(LinkBack(self._host, _text(since), round(seconds, 1)))

    def watch(self, connection: Connection) -> None:
        """Let a connection that can be lost begin and end the outage by itself."""
        if isinstance(connection, SlurmConnection):
            connection = connection.login
        if isinstance(connection, LocalConnection):
            return
        from harness.hosts.ssh import SSHConnection

        if isinstance(connection, SSHConnection):
            connection.on_lost, connection.on_back = self.begin, self.end


class Heartbeat:
    """Gives a lock its signs of life: one every 45 seconds, however often it is asked.

    ``give_sign`` is called each time that the host answered: the controller's own sign of life.
    """

    def __init__(self, held: Lock, give_sign: Callable[[], None] = lambda: None) -> None:
        self._held = held
        self._give_sign = give_sign
        self._last = time.monotonic()

    def beat(self) -> None:
        """Give a sign of life where one is due. Raises HostLocked where somebody else holds the lock by now."""
        if time.monotonic() - self._last > _BEAT_S:
            self._last = time.monotonic()
            self._held.beat()
            self._give_sign()


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")

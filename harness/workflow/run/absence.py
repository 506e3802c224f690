"""When a host was away: from its last sign of life until it answers again, each told once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from harness.hosts.connection import Connection
from harness.values.event import Event, LinkBack, LinkLost


class Absence:
    """One host's absence. Whoever notices first begins it, whoever hears of the host again ends it."""

    def __init__(self, host: str, emit: Callable[[Event], None]) -> None:
        self._host = host
        self._emit = emit
        self._mutex = threading.Lock()
        self._since: datetime | None = None

    def begin(self, reason: str, silent_s: float = 0.0) -> None:
        """The host does not answer, and was last heard ``silent_s`` ago."""
        with self._mutex:
            if self._since is not None:
                return
            self._since = since = datetime.now(UTC) - timedelta(seconds=silent_s)
        self._emit(LinkLost(self._host, _text(since), reason))

    def end(self) -> None:
        """The host answers."""
        with self._mutex:
            since, self._since = self._since, None
        if since is not None:
            seconds = (datetime.now(UTC) - since).total_seconds()
            self._emit(LinkBack(self._host, _text(since), round(seconds, 1)))


def watch_link(connection: Connection, absence: Absence) -> None:
    """Be told by a connection that can be lost."""
    from harness.hosts.local import LocalConnection

    if not isinstance(connection, LocalConnection):
        from harness.hosts.ssh import SSHConnection

        if isinstance(connection, SSHConnection):
            connection.on_lost, connection.on_back = absence.begin, absence.end


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")

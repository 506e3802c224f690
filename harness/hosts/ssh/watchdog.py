"""The watchdog: one thread that asks silent peers for an answer, and closes the links of those that do not answer."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref

from harness.hosts.ssh.transport import Transport

_LOOK_S = 0.5


class Watchdog:
    """A watchdog for transports; its thread runs while there are any."""

    def __init__(self, look_s: float = _LOOK_S) -> None:
        self._look_s = look_s
        self._watched: weakref.WeakSet[Transport] = weakref.WeakSet()
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, transport: Transport) -> None:
        """Watch a transport from now on, and close it when its peer's answer is overdue."""
        transport.packetizer.heard_at = time.monotonic()
        with self._mutex:
            self._watched.add(transport)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="ssh-watchdog", daemon=True)
                self._thread.start()

    def _look(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(self._look_s)
            with self._mutex:
                living = [one for one in self._watched if one.is_active()]
                if not living:
                    self._thread = None
                    return
            for transport in living:
                # Writing and closing may block where the peer, or a jump host, is frozen.
                if transport.packetizer.is_overdue:
                    threading.Thread(target=_close, args=(transport,), daemon=True).start()
                elif transport.packetizer.is_silent:
                    transport.packetizer.asked_at = time.monotonic()
                    threading.Thread(target=_ask, args=(transport,), daemon=True).start()
            del living


def _ask(transport: Transport) -> None:
    with contextlib.suppress(Exception):
        transport.ask()


def _close(transport: Transport) -> None:
    with contextlib.suppress(Exception):
        transport.packetizer.close()
    with contextlib.suppress(Exception):
        transport.close()


WATCHDOG = Watchdog()
"""The watchdog of this process."""

"""Limit the number of transfers at once, and let the smallest go first, so that measuring begins early."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.values.defaults import DEFAULT_TRANSFERS
from harness.values.errors import HostNotReady

_LOOK_S = 0.5
_PATIENCE_S = 5.0


def refuse_stopped(stop: threading.Event, what: str, host: str) -> None:
    """Raise HostNotReady where the transfer of ``what`` to a host must stop; files that arrived are kept."""
    if stop.is_set():
        hint = "the same command continues with what is missing"
        raise HostNotReady(f"stopped before {what} was complete", where=host, hint=hint)


class TransferSlots:
    """Slots for at most ``limit`` transfers at a time; of those that wait, the smallest is next."""

    def __init__(self, limit: int = DEFAULT_TRANSFERS) -> None:
        if limit < 1:
            raise ValueError("the limit of transfers must be at least 1")
        self._free = limit
        self._waiting: list[tuple[int, int]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()

    @contextmanager
    def take(self, size: int, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Context manager: hold a slot for ``size`` bytes; ``on_wait`` is called regularly while waiting, may raise."""
        ticket = (size, next(self._order))
        with self._changed:
            heapq.heappush(self._waiting, ticket)
            try:
                while not (self._free and self._waiting[0] == ticket):
                    self._changed.wait(_LOOK_S)
                    if on_wait is not None:
                        on_wait()
                self._free -= 1
            finally:
                self._waiting.remove(ticket)
                heapq.heapify(self._waiting)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()


@contextmanager
def waiting_for(mutex: threading.Lock, on_wait: Callable[[], None]) -> Iterator[None]:
    """Context manager: hold a mutex; ``on_wait`` is called regularly while waiting for it, and may raise."""
    while not mutex.acquire(timeout=_PATIENCE_S):
        on_wait()
    try:
        yield
    finally:
        mutex.release()

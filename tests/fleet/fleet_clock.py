"""A clock that does not wait: hours pass as soon as nobody has anything to do before they are over.

Threads that take part wait on the clock instead of the machine. When all of them wait, time jumps to the earliest of
what they wait for, and that one goes on: one thread at a time, always in the same order, so that a session of a
thousand hosts runs twice alike.
"""

from __future__ import annotations

import datetime as dates
import heapq
import importlib
import itertools
import pkgutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Protocol

BEGIN = dates.datetime(2026, 1, 5, 6, 0, tzinfo=dates.UTC)
"""When simulated time begins."""


class Clock(Protocol):
    """What a simulated host needs of time."""

    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class _Waiter:
    """A thread that waits; its gate opens when its moment has come."""

    __slots__ = ("gate", "is_over")

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.is_over = False


class SimulatedClock:
    """Time of the threads that take part; ``enter`` before such a thread starts, ``leave`` when it ends."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._now = 0.0
        self._waiting: list[tuple[float, int, _Waiter]] = []
        self._order = itertools.count()
        self._running = 0

    def monotonic(self) -> float:
        """Simulated seconds since the beginning."""
        return self._now

    def now(self) -> dates.datetime:
        """The simulated moment."""
        return BEGIN + dates.timedelta(seconds=self._now)

    def enter(self, threads: int = 1) -> None:
        """So many threads more take part, and run."""
        with self._mutex:
            self._running += threads

    def leave(self) -> None:
        """The calling thread takes part no longer."""
        with self._mutex:
            self._running -= 1
            self._go_on()

    def sleep(self, seconds: float) -> None:
        """Wait for simulated seconds."""
        self.pause(seconds, _Waiter())

    def pause(self, seconds: float, waiter: _Waiter) -> None:
        """Wait so long, or until somebody ``wake``s the waiter."""
        with self._mutex:
            self._put(self._now + max(0.0, seconds), waiter)
            self._running -= 1
            self._go_on()
        waiter.gate.acquire()

    def wake(self, waiter: _Waiter) -> None:
        """End a wait now."""
        with self._mutex:
            if not waiter.is_over:
                self._put(self._now, waiter)
                if self._running == 0:
                    self._go_on()

    def _put(self, moment: float, waiter: _Waiter) -> None:
        heapq.heappush(self._waiting, (moment, next(self._order), waiter))

    def _go_on(self) -> None:
        """Where nobody runs, time jumps to whoever waits for the least."""
        while self._running == 0 and self._waiting:
            moment, _, waiter = heapq.heappop(self._waiting)
            if waiter.is_over:
                continue
            self._now = max(self._now, moment)
            waiter.is_over = True
            self._running += 1
            waiter.gate.release()


class SimulatedEvent:
    """``threading.Event`` on a simulated clock."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._is_set = False
        self._waiters: set[_Waiter] = set()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        for waiter in tuple(self._waiters):
            self._clock.wake(waiter)

    def wait(self, timeout: float) -> bool:
        if self._is_set:
            return True
        waiter = _Waiter()
        self._waiters.add(waiter)
        self._clock.pause(timeout, waiter)
        self._waiters.discard(waiter)
        return self._is_set


def simulated_threads(clock: SimulatedClock) -> Callable[[Callable[[], None], int], list[threading.Thread]]:
    """``harness.workflow.many_hosts.start_threads``, of threads that live on a simulated clock."""

    def start(work: Callable[[], None], count: int) -> list[threading.Thread]:
        def live() -> None:
            try:
                clock.sleep(0)  # in line, so that the order is always the same
                work()
            finally:
                clock.leave()

        threads = [threading.Thread(target=live) for _ in range(count)]
        clock.enter(count)
        for thread in threads:
            thread.start()
        return threads

    return start


def simulated_time(clock: SimulatedClock) -> ModuleType:
    """The module ``time`` as the controller sees it; what measures cost stays real."""
    fake = ModuleType("time")
    fake.__dict__.update(time.__dict__)
    fake.__dict__.update(
        monotonic=clock.monotonic, sleep=clock.sleep, time=lambda: BEGIN.timestamp() + clock.monotonic()
    )
    return fake


def simulated_datetime(clock: SimulatedClock) -> type[dates.datetime]:
    """The class ``datetime`` with another ``now``."""

    class Datetime(dates.datetime):
        @classmethod
        def now(cls, tz: dates.tzinfo | None = None) -> Any:
            return clock.now() if tz is None else clock.now().astimezone(tz)

    return Datetime


@contextmanager
def living_in(clock: SimulatedClock, *, real: tuple[str, ...] = ("harness.hosts.ssh",)) -> Iterator[None]:
    """The whole controller lives in simulated time, but for modules whose names begin as ``real`` says."""
    fake_time, fake_datetime = simulated_time(clock), simulated_datetime(clock)
    kept: list[tuple[ModuleType, str, object]] = []
    for module in _controller():
        if module.__name__.startswith(real):
            continue
        for name, found, fake in (("time", time, fake_time), ("datetime", dates.datetime, fake_datetime)):
            if getattr(module, name, None) is found:
                kept.append((module, name, found))
                setattr(module, name, fake)
    try:
        yield
    finally:
        for module, name, before in kept:
            setattr(module, name, before)


def _controller() -> list[ModuleType]:
    """Every module of the controller; the payload lives on hosts."""
    package = importlib.import_module("harness")
    names = [found.name for found in pkgutil.walk_packages(package.__path__, "harness.", onerror=lambda _name: None)]
    return [importlib.import_module(name) for name in names if not name.startswith("harness.bench")]

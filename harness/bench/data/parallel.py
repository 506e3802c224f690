"""Distribute many small pieces of work over the CPUs of a job, with progress. Standard library only."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

FEW = 32
"""Up to this many pieces, starting a pool costs more than it saves."""

_PR_SET_PDEATHSIG = 1


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    return max(1, len(os.sched_getaffinity(0)))


def spread(
    work: Callable[[Sequence[Item]], list[Result]],
    items: Sequence[Item],
    *,
    cpus: int | None = None,
    piece: int = 16,
) -> Iterator[tuple[int, list[Result]]]:
    """Run ``work`` on slices of at most ``piece`` items; yield (start, results) as they finish, in any order.

    ``work`` must be a module-level function, since it is sent to other processes. With one CPU or few items it runs in
    this process. A worker that dies raises BrokenProcessPool instead of hanging.
    """
    starts = range(0, len(items), piece)
    processes = min(usable_cpus() if cpus is None else max(1, cpus), len(starts))
    if processes <= 1 or len(items) <= FEW:
        for start in starts:
            yield start, work(items[start : start + piece])
        return
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"), initializer=_follow_parent)
    try:
        pieces = ((start, items[start : start + piece]) for start in starts)
        yield from _drain(pool, work, pieces, 3 * processes)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _drain(
    pool: ProcessPoolExecutor,
    work: Callable[[Sequence[Item]], list[Result]],
    pieces: Iterator[tuple[int, Sequence[Item]]],
    most: int,
) -> Iterator[tuple[int, list[Result]]]:
    """Keep at most ``most`` pieces in flight, so that memory does not grow with the number of items."""
    flying: dict[Future[list[Result]], int] = {}
    while True:
        while len(flying) < most and (following := next(pieces, None)) is not None:
            flying[pool.submit(work, following[1])] = following[0]
        if not flying:
            return
        done, _ = wait(flying, return_when=FIRST_COMPLETED)
        for future in done:
            yield flying.pop(future), future.result()


def _follow_parent() -> None:
    """Ignore Ctrl-C, which the parent handles, and arrange to be killed when the parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Pace:
    """A progress counter that calls ``report(done, total)`` at most every ``seconds``, and at the end."""

    def __init__(self, report: Callable[[int, int], None] | None, total: int, seconds: float = 0.5) -> None:
        self._report = report
        self._total = total
        self._seconds = seconds
        self._last = -seconds
        self.done = 0

    def add(self, count: int) -> None:
        """Count ``count`` more items as done."""
        self.done += count
        now = time.monotonic()
        if self._report and (now - self._last >= self._seconds or self.done >= self._total):
            self._last = now
            self._report(self.done, self._total)

"""Watch the worker processes of Keras and Grain: a killed one loses its batch, and Keras would wait for it."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from multiprocessing.process import BaseProcess

from ..launcher.cgroup import find_own
from ..protocol.failure import BenchmarkFailure
from .interface import LoaderContext

PERIOD_S = 0.2
_ENDED_AS_USUAL = (None, 0, -signal.SIGTERM)
"""Exit codes of running workers, and of those that their pool has ended."""


def watch_workers(context: LoaderContext) -> threading.Event:
    """Watch this process's workers until the event is set; a lost one ends this process (``context.give_up``).

    Python's pool silently replaces a dead worker, and drops its task. A worker is lost if its exit code differs from
    those at the pool's end (0, or SIGTERM): killed for memory if the cgroup counted a kill, otherwise for another
    reason.
    """
    stop = threading.Event()
    threading.Thread(target=_watch, args=(context, stop), name="watch-workers", daemon=True).start()
    return stop


def _watch(context: LoaderContext, stop: threading.Event) -> None:
    seen: set[BaseProcess] = set()
    kills = count_kills()
    while not stop.wait(PERIOD_S):
        seen |= set(multiprocessing.active_children())
        lost = [worker for worker in seen if worker.exitcode not in _ENDED_AS_USUAL]
        seen = {worker for worker in seen if worker.exitcode is None}
        is_killed = (count_kills() or 0) > (kills or 0)
        if (lost or is_killed) and context.give_up is not None:
            context.give_up(_failure(is_killed))


def _failure(is_killed: bool) -> BenchmarkFailure:
    if is_killed:
        return BenchmarkFailure("oom", "a worker process was killed at the memory limit, and its batch is lost")
    return BenchmarkFailure("error", "a worker process ended unexpectedly, and its batch is lost: see the log")


def count_kills() -> int | None:
    """Return the number of OOM kills in this job's cgroup so far; None if there is no cgroup."""
    own = find_own()
    return None if own is None else own.read().oom_kills

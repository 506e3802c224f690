"""Watches the worker processes of Keras: one that is killed takes its batch with it, and Keras would wait for ever."""

from __future__ import annotations

import threading
from typing import Any

from ..cgroup import find_own
from ..failure import BenchmarkFailure
from .interface import LoaderContext

PERIOD_S = 0.2


def watch_workers(context: LoaderContext) -> threading.Event:
    """Look at Keras' process pools until the event is set; a lost worker ends this process (``context.give_up``).

    Python's pool silently replaces a worker that died, and drops its task. Of a pool with open tasks, a worker that
    is no longer among its processes was lost: killed for memory where the cgroup counted a kill, else ended otherwise.
    """
    stop = threading.Event()
    threading.Thread(target=_watch, args=(context, stop), name="watch-workers", daemon=True).start()
    return stop


def _watch(context: LoaderContext, stop: threading.Event) -> None:
    from keras.src.trainers.data_adapters import py_dataset_adapter

    seen: dict[int, set[int]] = {}
    kills = count_kills()
    while not stop.wait(PERIOD_S):
        lost = [pool for pool in list(py_dataset_adapter._DATA_POOLS) if _has_lost(pool, seen)]
        is_killed = (count_kills() or 0) > (kills or 0)
        if (lost or is_killed) and context.give_up is not None:
            context.give_up(_failure(is_killed))


def _has_lost(pool: Any, seen: dict[int, set[int]]) -> bool:
    now = {process.pid for process in list(pool._pool)}
    before = seen.get(id(pool), set())
    seen[id(pool)] = now
    return bool(pool._cache) and bool(before - now)


def _failure(is_killed: bool) -> BenchmarkFailure:
    if is_killed:
        return BenchmarkFailure(
            "oom", "a worker process was killed at the memory limit; Keras would wait for it for ever"
        )
    return BenchmarkFailure(
        "error", "a worker process ended in the middle; Keras would wait for it for ever: see the log"
    )


def count_kills() -> int | None:
    """OOM kills in this job's cgroup so far."""
    own = find_own()
    return None if own is None else own.read().oom_kills

"""Task ``rehearse``: each loader setting in small on the real data, to see how much memory it takes and how fast it is.

``python -m bench.proof.rehearsal JOB_FOLDER``; ``settings`` of the request are cases that stand for others, each with
its ``key``, its ``images`` and how many ``batches`` its cases deliver. What is left in ``dataset.json``: ``settings``
by key, each the fields of ``rehearse`` or the ``reason`` why there are none.

What a limit ends a program by is the most that it holds at any moment, so memory is watched all the time, not only
between batches. And most of what a program holds beside its cache comes with its batches (``arenas.py``): seen with
2.21 on two CPUs at 224 px, 20 MB a batch from 206 to 850 MB, most of it after the first epoch. So passes go on until
there were as many batches as the cases deliver, or ``PATIENCE_S`` are over.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from ..data.task import Job, run_task
from ..loaders.budgets import LEAST_RAM_BYTES
from ..loaders.interface import CHANNELS
from ..measure import invocation
from ..measure.event_log import Epoch, Journal
from ..measure.measure_request import MeasureRequest, read_request
from ..measure.usage import list_children, read_anon_bytes, read_private_bytes
from .apart import Setting, run_apart, run_settings

LOOK_S = 0.004
"""From one look at memory to the next."""
PATIENCE_S = 8.0
"""So long, after the first pass, passes go on for the sake of memory; one later pass there always is. As long as a
setting has taken less, it is run again, ``RUNS`` times at most."""
RUNS = 3
"""Which arena a batch is taken from is chance: the mean of some runs is closer to the next one than one run is."""
_BATCHES_IN_WORK = 3.0
"""Batches that tf.data and its consumer hold at once where memory is scarce."""


class MemoryWatch:
    """The most anonymous memory that this process and those that it started have held; looked at by a thread."""

    def __init__(self) -> None:
        self._peak = 0
        self._beside = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def take(self) -> int:
        """Return the most since the last call, in bytes."""
        self._beside = sum(map(read_private_bytes, list_children()))
        self._look()
        peak, self._peak = self._peak, 0
        return peak

    def _look(self) -> None:
        self._peak = max(self._peak, (read_anon_bytes() or 0) + self._beside)

    def _look_on(self) -> None:
        while not self._is_over.wait(LOOK_S):
            self._look()

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()


class Trace(Journal):
    """A journal that notes with each batch how many images came before its end and the most memory since the last."""

    def __init__(self, path: Path, watch: MemoryWatch) -> None:
        super().__init__(path)
        self.points: list[tuple[int, int]] = []
        self.epochs: list[Epoch] = []
        self._watch = watch
        self._done = 0

    def report_step(self, step: int, images: int) -> None:
        """Note a point."""
        self.points.append((self._done + images, self._watch.take()))

    def end_epoch(self, epoch: Epoch) -> None:
        """Keep the figures of a whole epoch."""
        self._done += epoch["images"]
        self.epochs.append(epoch)


class Run(TypedDict):
    """Bytes that a program held before its first batch, and (images so far, most bytes) of each batch."""

    start_bytes: int
    points: list[tuple[int, int]]


class Rehearsed(TypedDict):
    """What was found of one setting; the controller reads it into a ``Rehearsal``."""

    images: int
    batches_wanted: int
    first_s: float
    steady_s: float
    cache_bytes: int | None
    runs: list[Run]


def rehearse(folder: Path, images: int, batches: int) -> Rehearsed:
    """Run one setting on its first ``images`` images, in at least two passes and until there were so many ``batches``.

    Returns ``images`` and ``batches_wanted``; ``first_s`` and ``steady_s``, seconds an image of the first and of a
    later pass; ``cache_bytes``, of a cache's files, else None; ``runs``, one here: ``start_bytes``, what the program
    held before its first batch, and ``points``, (images so far, most bytes since the point before) for each batch.
    """
    request = replace(read_request(folder), max_images=images, is_reused=False, page_cache="cold-start")
    with MemoryWatch() as watch:
        manifest = invocation.read_data(request)
        invocation.import_tensorflow(request, folder)
        # A limit that is just enough: what tf.data keeps ahead where there is plenty is no need.
        cache_bytes = invocation.memory_cache_bytes(request, manifest.sizes)
        least = (read_anon_bytes() or 0) + cache_bytes + 2 * max(LEAST_RAM_BYTES, _in_work_bytes(request) // 2)
        bench = invocation.build(replace(request, limit_bytes=least), manifest, folder)
        invocation.warm_up(bench)
        start_bytes = watch.take()
        trace = Trace(folder / "trace.jsonl", watch)
        trace.enter_phase("measure")
        run_passes(bench, trace, max(2, -(-batches // bench.loader.steps)))
        first, *steady = trace.epochs
        count = bench.loader.images
        found: Rehearsed = {
            "images": count,
            "batches_wanted": batches,
            "first_s": (first["seconds"] + (first["flush_s"] or 0.0)) / count,
            "steady_s": min(epoch["seconds"] for epoch in steady) / count,
            "cache_bytes": invocation.measure_cache(bench.loader),
            "runs": [{"start_bytes": start_bytes, "points": trace.points}],
        }
        trace.close()
        bench.loader.close()
    return found


class _Enough(Exception):
    """Raised out of an epoch's end when there were passes enough."""


def run_passes(bench: invocation.Bench, trace: Trace, most: int) -> None:
    """Run at most so many passes, and at least two; none is begun after ``PATIENCE_S``, counted from the second."""
    begun = time.monotonic()

    def publish(epoch: Epoch) -> None:
        nonlocal begun
        trace.end_epoch(epoch)
        if len(trace.epochs) == 1:
            begun = time.monotonic()
        elif time.monotonic() - begun > PATIENCE_S:
            raise _Enough

    with contextlib.suppress(_Enough):
        invocation.run_epochs(bench, trace, most, publish)


def _in_work_bytes(request: MeasureRequest) -> int:
    height, width = request.image_size
    return round(_BATCHES_IN_WORK * request.batch_size * height * width * CHANNELS * 4)


def task(job: Job) -> Mapping[str, object]:
    """Rehearse each setting in a process of its own; one that fails leaves its reason."""
    return {"images": None, "settings": run_settings(job, _rehearse_often)}


def _rehearse_often(setting: Setting) -> Mapping[str, object] | str:
    """Run a setting, and again while that is quick; times are those of the first run. A text says why it failed."""

    def work() -> Rehearsed:
        return rehearse(setting.folder, setting.count("images"), setting.count("batches"))

    begun = time.monotonic()
    found = run_apart(setting, work)
    while not isinstance(found, str) and len(found["runs"]) < RUNS and time.monotonic() - begun < PATIENCE_S:
        again = run_apart(setting, work)
        if isinstance(again, str):
            break
        found["runs"] += again["runs"]
    return found


if __name__ == "__main__":
    ended = run_task(task, sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)

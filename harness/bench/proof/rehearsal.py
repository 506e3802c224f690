"""Run task ``rehearse``, the trial runs: each loader setting on a few images, for its memory and speed.

``python -m bench.proof.rehearsal JOB_FOLDER``. ``settings`` of the request are cases that represent others, each with
its ``key``, its ``images`` and the number of ``batches`` that its cases deliver. The result in ``dataset.json`` is
``settings`` by key, each with the fields of ``rehearse`` or the ``reason`` why there are none.

A limit ends a program by its highest memory use at any moment, so memory is watched all the time, not only between
batches. And most of a program's memory besides its cache grows with its batches (the controller's ``arenas.py``): seen
with 2.21 on two CPUs at 224 px, 20 MB per batch from 206 to 850 MB, most of it after the first epoch. So passes go on
until they delivered as many batches as the cases do, or ``PATIENCE_S`` are over.
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
"""Seconds between two readings of memory."""
PATIENCE_S = 8.0
"""Time limit after the first pass for further passes, whose purpose is memory; at least one later pass is made. A
setting that takes less time is run again, at most ``RUNS`` times in all."""
RUNS = 3
"""The arena from which a batch is allocated is random: a mean over runs predicts the next run better than one run."""
_BATCHES_IN_WORK = 3.0
"""Batches that tf.data and its consumer hold at once if memory is scarce."""


class MemoryWatch:
    """The highest anonymous memory of this process and its children, watched by a thread."""

    def __init__(self) -> None:
        self._peak = 0
        self._beside = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def take(self) -> int:
        """Return the highest memory since the last call, in bytes."""
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
    """An event log that keeps for each batch the images so far and the highest memory since the last batch."""

    def __init__(self, path: Path, watch: MemoryWatch) -> None:
        super().__init__(path)
        self.points: list[tuple[int, int]] = []
        self.epochs: list[Epoch] = []
        self._watch = watch
        self._done = 0

    def report_step(self, step: int, images: int) -> None:
        """Keep a point (images so far, highest memory in bytes)."""
        self.points.append((self._done + images, self._watch.take()))

    def end_epoch(self, epoch: Epoch) -> None:
        """Keep the figures of a complete epoch."""
        self._done += epoch["images"]
        self.epochs.append(epoch)


class Run(TypedDict):
    """The bytes that a program held before its first batch, and (images so far, highest bytes) of each batch."""

    start_bytes: int
    points: list[tuple[int, int]]


class Rehearsed(TypedDict):
    """The results of one setting; the controller reads them into a ``Rehearsal``."""

    images: int
    batches_wanted: int
    first_s: float
    steady_s: float
    cache_bytes: int | None
    runs: list[Run]


def rehearse(folder: Path, images: int, batches: int) -> Rehearsed:
    """Run one setting on its first ``images`` images, in at least two passes and until ``batches`` batches came.

    Returns ``images`` and ``batches_wanted``; ``first_s`` and ``steady_s``, seconds per image of the first and of a
    later pass; ``cache_bytes``, the size of a cache's files, else None; ``runs``, one here: ``start_bytes``, the memory
    before the first batch, and ``points``, (images so far, highest bytes since the point before) for each batch.
    """
    request = replace(read_request(folder), max_images=images, is_reused=False, page_cache="cold-start")
    with MemoryWatch() as watch:
        manifest = invocation.read_data(request)
        invocation.import_tensorflow(request, folder)
        # A limit that is just enough: with more, tf.data would prefetch more than it needs.
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
    """Raised at the end of an epoch when enough passes were made."""


def run_passes(bench: invocation.Bench, trace: Trace, most: int) -> None:
    """Run two to ``most`` passes; none is begun when ``PATIENCE_S`` have passed since the end of the first."""
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
    """Make a trial run of each setting in its own process; a failing one leaves its reason."""
    return {"images": None, "settings": run_settings(job, _rehearse_often)}


def _rehearse_often(setting: Setting) -> Mapping[str, object] | str:
    """Run a setting, and again while that is quick; times are from the first run. Return a text if it failed."""

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

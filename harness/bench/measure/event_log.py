"""The benchmark's journal, ``events.jsonl``: line by line, so that a killed run says how far it came."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TypedDict

PROGRESS_INTERVAL_S = 0.5
PROGRESS_GROWTH = 1.05
"""A line also whenever the run has seen so many times the images of the last line: a run that fills its memory and is
killed within half a second says how far it came too. Some 300 lines in a run of a million images."""


class Epoch(TypedDict):
    """One whole epoch, as a record keeps it; None is what was not measured."""

    index: int
    images: int
    steps: int
    seconds: float
    first_batch_s: float | None
    bytes_read: int | None
    bytes_needed: int | None
    cpu_s: float
    flush_s: float | None
    other_decoder: dict[str, int] | None
    anon_bytes: int | None


class Journal:
    """Appends events to a file. ``t`` is seconds of monotonic time since ``start`` (a value of ``time.monotonic``).

    Each line is ``{"event": …, "t": …, …}`` and reaches the kernel before the next
    step starts, so that SIGKILL loses none. ``phase``, ``epoch`` and ``step`` are where
    the benchmark is now; a failure is reported with them.
    """

    def __init__(self, path: Path, start: float | None = None) -> None:
        self.start = time.monotonic() if start is None else start
        self.phase: str | None = None
        self.epoch: int | None = None
        self.step: int | None = None
        self._stream = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - closed by close()
        self._last_progress = float("-inf")
        self._before = self._seen = self._said = 0

    def enter_phase(self, name: str, **fields: object) -> None:
        """A new phase begins: import, build, fill, warmup, measure, flush."""
        self.phase = name
        self._write("phase", name=name, **fields)

    def return_to_phase(self, name: str) -> None:
        """Back in a phase that was entered before: its line stays the only one."""
        self.phase = name

    def begin_epoch(self, index: int) -> None:
        """Epoch ``index`` (from 1) is about to start; no line is written."""
        self.epoch, self.step = index, 0
        self._before, self._last_progress = self._seen, float("-inf")

    def report_step(self, step: int, images: int) -> None:
        """``images`` came in this epoch up to ``step`` (from 1).

        Written for the first step, then twice a second, and when the run's images grew by ``PROGRESS_GROWTH``.
        """
        self.step, self._seen = step, self._before + images
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_INTERVAL_S or self._seen >= PROGRESS_GROWTH * self._said:
            self._last_progress, self._said = now, self._seen
            self._write("progress", epoch=self.epoch, step=step, images=images, phase=self.phase)

    def end_epoch(self, epoch: Epoch) -> None:
        """One whole epoch."""
        self._write("epoch", **epoch)

    def finish(self, **fields: str | float | None) -> None:
        """All ended well."""
        self._write("done", **fields)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _write(self, event: str, **fields: object) -> None:
        line = {"event": event, "t": round(time.monotonic() - self.start, 6), **fields}
        self._stream.write(json.dumps(line) + "\n")

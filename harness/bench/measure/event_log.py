"""The benchmark's event log, ``events.jsonl``, written line by line, so that a killed run shows how far it came."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TypedDict

PROGRESS_INTERVAL_S = 0.5
PROGRESS_GROWTH = 1.05
"""A progress line is also written when the images seen have grown by this factor since the last line: even a run that
is killed for memory within half a second shows how far it came. Some 300 lines in a run of a million images."""


class Epoch(TypedDict):
    """One complete epoch, as in a record; None for what was not measured."""

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
    """A log that appends events to a file. ``t`` is in seconds of monotonic time since ``start`` (``time.monotonic``).

    Each line is ``{"event": …, "t": …, …}`` and reaches the kernel before the next step starts, so that SIGKILL loses
    none. ``phase``, ``epoch`` and ``step`` are the benchmark's current position; a failure is reported with them.
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
        """Begin a new phase and log it: import, build, fill, warmup, measure, flush."""
        self.phase = name
        self._write("phase", name=name, **fields)

    def return_to_phase(self, name: str) -> None:
        """Return to a phase that was logged before, without another line."""
        self.phase = name

    def begin_epoch(self, index: int) -> None:
        """Begin epoch ``index`` (from 1); no line is written."""
        self.epoch, self.step = index, 0
        self._before, self._last_progress = self._seen, float("-inf")

    def report_step(self, step: int, images: int) -> None:
        """Report that ``images`` images came in this epoch up to ``step`` (from 1).

        A line is written for the first step, then twice a second, and whenever images grew by ``PROGRESS_GROWTH``.
        """
        self.step, self._seen = step, self._before + images
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_INTERVAL_S or self._seen >= PROGRESS_GROWTH * self._said:
            self._last_progress, self._said = now, self._seen
            self._write("progress", epoch=self.epoch, step=step, images=images, phase=self.phase)

    def end_epoch(self, epoch: Epoch) -> None:
        """Log a complete epoch."""
        self._write("epoch", **epoch)

    def finish(self, **fields: str | float | None) -> None:
        """Log that the benchmark succeeded."""
        self._write("done", **fields)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _write(self, event: str, **fields: object) -> None:
        line = {"event": event, "t": round(time.monotonic() - self.start, 6), **fields}
        self._stream.write(json.dumps(line) + "\n")

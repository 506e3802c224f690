"""Measure an epoch, in the same way for loading and training. Standard library only."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..protocol.failure import BenchmarkFailure
from .event_log import Epoch, Journal
from .usage import Usage, read_all_anon_bytes, read_usage


class Meter:
    """A meter of epochs of ``images`` images each.

    ``prepare(index)`` runs before an epoch's clock starts (page cache). ``settle(index)`` runs after it and returns the
    seconds of a flush or None. ``publish`` receives each complete epoch. ``needed(index)`` returns the bytes that an
    epoch must have read; ``is_counted``: the kernel counts reads from storage here. ``others()`` returns how many
    images another decoder than the loader's own has read so far, by reason; None if it has no other.
    """

    def __init__(
        self,
        journal: Journal,
        images: int,
        *,
        prepare: Callable[[int], None],
        settle: Callable[[int], float | None],
        publish: Callable[[Epoch], None],
        needed: Callable[[int], int | None] = lambda _index: None,
        is_counted: bool = True,
        others: Callable[[], dict[str, int] | None] = lambda: None,
    ) -> None:
        self._journal = journal
        self._expected = images
        self._prepare = prepare
        self._settle = settle
        self._publish = publish
        self._needed = needed
        self._is_counted = is_counted
        self._others = others
        self._index = 0
        self._start_clock()

    def _start_clock(self) -> None:
        self._images = self._steps = 0
        self._first_batch_s: float | None = None
        self._others_before = self._others() or {}
        self._before: Usage = read_usage()
        self._begun = time.perf_counter()

    def begin(self) -> None:
        """Begin the next epoch; its clock starts last."""
        self._index += 1
        self._prepare(self._index)
        self._journal.begin_epoch(self._index)
        self._start_clock()

    def step(self, images: int) -> None:
        """Record a batch; ``images`` were delivered in this epoch so far."""
        if self._first_batch_s is None:
            self._first_batch_s = time.perf_counter() - self._begun
        self._steps += 1
        self._images = images
        self._journal.report_step(self._steps, images)

    def end(self) -> None:
        """End the epoch. Raises BenchmarkFailure if it delivered more or fewer images than the data set has."""
        seconds = time.perf_counter() - self._begun
        after = read_usage()
        if self._images != self._expected:
            raise BenchmarkFailure(
                "error",
                f"epoch {self._index} delivered {self._images} of {self._expected} images: its figures are invalid",
            )
        others, anon_bytes = self._others(), read_all_anon_bytes()
        flush_s = self._settle(self._index)
        epoch: Epoch = {
            "index": self._index,
            "images": self._images,
            "steps": self._steps,
            "seconds": seconds,
            "first_batch_s": self._first_batch_s,
            "bytes_read": _difference(after.bytes_read, self._before.bytes_read) if self._is_counted else None,
            "bytes_needed": self._needed(self._index),
            "cpu_s": after.cpu_s - self._before.cpu_s,
            "flush_s": flush_s,
            "other_decoder": None if others is None else _grown(others, self._others_before),
            "anon_bytes": anon_bytes,
        }
        self._publish(epoch)


def _difference(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


def _grown(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in after.items() if count > before.get(name, 0)}

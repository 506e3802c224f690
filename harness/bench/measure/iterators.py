"""tf.data's iterators are taken down outside the clock.

Where nothing holds an iterator that is at its end, Python takes it down at once: within its own epoch's clock in
loading, within the next one's in ``model.fit``. That may wait, without any CPU time, for as long as the iterator lived:
seen with 2.21, 2.5 s after an epoch of 2.6 s and 10.1 s after one of 10.3 s, in some of ten epochs, and never with
autotuning off. (It fits its thread, TensorFlow's ``Model::OptimizeLoop``, which sleeps for a period that doubles each
time, from 10 ms to 60 s, if that now and then misses that it is told to end.) So an epoch of a small set took twice its
time, with idle cores. Nothing is delivered meanwhile, and in an epoch of many minutes it is nothing: it is no part of
what an epoch takes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class HeldIterators:
    """The iterators that were made since the last release, and in the time before it."""

    def __init__(self) -> None:
        self._newer: list[Any] = []
        self._older: list[Any] = []

    def add(self, iterator: Any) -> None:
        """One more that was made."""
        self._newer.append(iterator)

    def release_older(self) -> None:
        """An epoch begins: let go of those from before the last one. ``model.fit`` holds an epoch's own, and a spare
        one, until the first step of the next epoch."""
        self._newer, self._older = [], self._newer

    def release(self) -> None:
        """Let go of all."""
        self._newer, self._older = [], []


@contextmanager
def hold_iterators() -> Iterator[HeldIterators]:
    """Within it each iterator of a tf.data data set is held, whoever makes it, those for several GPUs too.

    None is where TensorFlow is not loaded.
    """
    held = HeldIterators()
    tf = sys.modules.get("tensorflow")
    if tf is None:
        yield held
        return
    from tensorflow.python.distribute.input_lib import DistributedDataset

    with _holding(tf.data.Dataset, held), _holding(DistributedDataset, held):
        try:
            yield held
        finally:
            held.release()


@contextmanager
def _holding(kind: Any, held: HeldIterators) -> Iterator[None]:
    """Within it the iterators of a kind of data set are held."""
    make = kind.__iter__

    def make_and_hold(dataset: Any) -> Any:
        iterator = make(dataset)
        held.add(iterator)
        return iterator

    kind.__iter__ = make_and_hold
    try:
        yield
    finally:
        kind.__iter__ = make

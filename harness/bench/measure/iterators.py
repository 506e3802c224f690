"""Keep the teardown of tf.data's iterators out of the measured time.

Python tears down an iterator as soon as no reference to it is left: in loading within the clock of its own epoch, in
``model.fit`` within the next one's. The teardown may wait, without using CPU time, for as long as the iterator lived:
seen with 2.21, 2.5 s after an epoch of 2.6 s and 10.1 s after one of 10.3 s, in some of ten epochs, and never with
autotuning off. (A likely cause is TensorFlow's ``Model::OptimizeLoop``, a thread that sleeps for a period that doubles
each time, from 10 ms to 60 s, and may sometimes miss the notification to stop.) So an epoch of a small set took twice
its time, with idle cores. No image is delivered meanwhile, and in an epoch of many minutes the wait does not matter, so
it is not counted as part of an epoch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class HeldIterators:
    """The iterators that were made since the last release, and those made before it."""

    def __init__(self) -> None:
        self._newer: list[Any] = []
        self._older: list[Any] = []

    def add(self, iterator: Any) -> None:
        """Hold one more iterator."""
        self._newer.append(iterator)

    def release_older(self) -> None:
        """Release the iterators from before the last epoch; called at the start of an epoch.

        ``model.fit`` uses an epoch's own iterator, and a spare one, until the first step of the next epoch.
        """
        self._newer, self._older = [], self._newer

    def release(self) -> None:
        """Release all iterators."""
        self._newer, self._older = [], []


@contextmanager
def hold_iterators() -> Iterator[HeldIterators]:
    """Hold each tf.data iterator that is made within the block, including those for several GPUs.

    Yields an object that holds none if TensorFlow is not loaded.
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
    """Hold the iterators of one kind of data set that are made within the block."""
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

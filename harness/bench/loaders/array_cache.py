"""``cache: array``: finished batches are written record by record while the first epoch runs, and gathered afterwards.

Each epoch has an order of its own, for any record is read as easily as the next one. Batches are gathered by as many
readers as there are CPUs, into memory that is used again when nobody holds a batch any more.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from .cache_writers import find_prefix, refuse_unwhole
from .decoding import scale
from .interface import CHANNELS, SCALE, LoaderContext
from .record_file import Blocks, RecordFile, Records
from .store import Store

READ_AHEAD = 4
"""Batches, beside the one that each reader works on."""


class Gatherer:
    """Makes batches of a file's records; ``is_scaled``: of uint8 as float32 from 0 to 1."""

    def __init__(self, file: RecordFile, context: LoaderContext, *, is_scaled: bool) -> None:
        self._file = file
        self._shape = (*context.image_size, CHANNELS)
        self._element = context.element
        self.dtype = "float32" if is_scaled else context.element
        self._is_scaled = is_scaled
        values = context.batch_size * int(np.prod(self._shape))
        self._blocks = Blocks(values * np.dtype(self.dtype).itemsize)
        self._labels = np.array(context.labels, np.int32)
        self._all = np.arange(len(context.paths))
        self._random = np.random.default_rng(context.seed) if context.shuffle else None
        self._mutex = threading.Lock()

    def order(self) -> NDArray[Any]:
        """The numbers of all images: without ``shuffle`` as they come, else in another order each time.

        In each run the orders are the same.
        """
        with self._mutex:
            return self._all if self._random is None else self._random.permutation(self._all)

    def gather(self, numbers: NDArray[Any]) -> tuple[Records, NDArray[Any]]:
        """One batch: the records of these numbers, and their labels."""
        batch = self._blocks.take((len(numbers), *self._shape), self.dtype)
        if not self._is_scaled:
            self._file.read_into(batch, numbers)
            return batch, self._labels[numbers]
        record = np.empty((1, *self._shape), self._element)  # small enough to stay in the processor's cache
        for place in range(len(numbers)):
            self._file.read_into(record, numbers[place : place + 1])
            np.copyto(batch[place], record[0])
            np.multiply(batch[place], np.float32(SCALE), out=batch[place])
        return batch, self._labels[numbers]


def keep_array(filling: Any, context: LoaderContext, parallel: Any, *, is_scaled: bool) -> tuple[Any, Store]:
    """The data set of (images, labels) in batches, and its files.

    ``filling`` are batches of (images, numbers in the manifest's order), as they are kept. An epoch that begins while
    the file is not whole comes from it, and writes it; any later one comes from the file. ``is_scaled``: what comes
    out is scaled, which the file is not.

    An epoch is set up as cheaply as can be, for that takes as long as reading hundreds of images: what it does not take
    is not set up, and orders and labels are NumPy's.
    """
    prefix = find_prefix(context)
    shape = (*context.image_size, CHANNELS)
    file = RecordFile(prefix, len(context.paths), shape, context.element)
    gatherer = Gatherer(file, context, is_scaled=is_scaled)
    labels = tf.constant(context.labels, tf.int32)
    readers = None if parallel is None else context.workers or context.cpus

    def write(images: Any, numbers: Any) -> tuple[Any, Any]:
        numbers = tf.numpy_function(file.write, (images, numbers), numbers.dtype)
        numbers.set_shape((None,))
        return (scale(images) if is_scaled else images), tf.gather(labels, numbers)

    def gather(numbers: Any) -> tuple[Any, Any]:
        images, kept_labels = tf.numpy_function(gatherer.gather, (numbers,), (gatherer.dtype, tf.int32))
        images.set_shape((None, *shape))
        kept_labels.set_shape((None,))
        return images, kept_labels

    def order(_: Any) -> Any:
        numbers = tf.numpy_function(gatherer.order, (), tf.int64)
        numbers.set_shape((None,))
        return numbers

    def choose(_: Any) -> Any:
        is_whole = tf.numpy_function(file.open, (), tf.bool)
        chosen = tf.where(is_whole, *map(tf.data.experimental.to_variant, (kept, written)))
        return tf.data.experimental.from_variant(chosen, kept.element_spec)

    numbers = tf.data.Dataset.from_tensors(0).map(order).rebatch(context.batch_size)
    kept = numbers.map(gather, num_parallel_calls=readers)
    written = filling.map(write)
    store = Store(prefix, check=lambda _: file.is_whole())
    refuse_unwhole(store, context)
    return tf.data.Dataset.from_tensors(0).flat_map(choose), store

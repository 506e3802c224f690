"""``cache: array``: finished batches are written record by record while the first epoch runs, and gathered afterwards.

Each epoch has an order of its own, for any record is read as easily as the next one. Batches are gathered by as many
readers as there are CPUs, into memory that is used again when nobody holds a batch any more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

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

    def gather(self, numbers: Any) -> Records:
        """One batch: the records of these numbers."""
        batch = self._blocks.take((len(numbers), *self._shape), self.dtype)
        if not self._is_scaled:
            self._file.read_into(batch, numbers)
            return batch
        record = np.empty((1, *self._shape), self._element)  # small enough to stay in the processor's cache
        for place in range(len(numbers)):
            self._file.read_into(record, numbers[place : place + 1])
            np.copyto(batch[place], record[0])
            np.multiply(batch[place], np.float32(SCALE), out=batch[place])
        return batch


def keep_array(filling: Any, context: LoaderContext, parallel: Any, *, is_scaled: bool) -> tuple[Any, Store]:
    """The data set of (images, labels) in batches, and its files.

    ``filling`` are batches of (images, numbers in the manifest's order), as they are kept. An epoch that begins while
    the file is not whole comes from it, and writes it; any later one comes from the file. ``is_scaled``: what comes
    out is scaled, which the file is not.
    """
    prefix = find_prefix(context)
    shape = (*context.image_size, CHANNELS)
    file = RecordFile(prefix, len(context.paths), shape, context.element)
    gatherer = Gatherer(file, context, is_scaled=is_scaled)
    labels = tf.constant(context.labels, tf.int32)

    def write(images: Any, numbers: Any) -> tuple[Any, Any]:
        numbers = tf.numpy_function(file.write, (images, numbers), numbers.dtype)
        numbers.set_shape((None,))
        return (scale(images) if is_scaled else images), tf.gather(labels, numbers)

    def gather(numbers: Any) -> tuple[Any, Any]:
        images = tf.numpy_function(gatherer.gather, (numbers,), gatherer.dtype)
        images.set_shape((None, *shape))
        return images, tf.gather(labels, numbers)

    def choose(_: Any) -> Any:
        is_whole = tf.numpy_function(file.open, (), tf.bool)
        is_whole.set_shape(())
        return tf.fill([steps], tf.cast(is_whole, tf.int64))

    steps = -(-len(context.paths) // context.batch_size)
    # Within a function of its own: it is set up where an epoch writes, which takes as long as reading a hundred images.
    written = tf.data.Dataset.from_tensors(0).flat_map(lambda _: filling.map(write))
    readers = None if parallel is None else context.workers or context.cpus
    kept = order_numbers(context).map(gather, num_parallel_calls=readers)
    source = tf.data.Dataset.from_tensors(0).map(choose).unbatch()
    store = Store(prefix, check=lambda _: file.is_whole())
    refuse_unwhole(store, context)
    return tf.data.Dataset.choose_from_datasets([written, kept], source), store


def order_numbers(context: LoaderContext) -> Any:
    """The numbers of all images in batches: in another order each epoch, the same in each run; else as they come."""
    count = len(context.paths)
    if not context.shuffle:
        return tf.data.Dataset.range(count).batch(context.batch_size)
    seeds = tf.data.Dataset.random(seed=context.seed, rerandomize_each_iteration=True).batch(2).take(1)
    orders = seeds.map(lambda seed: tf.random.experimental.stateless_shuffle(tf.range(count), seed))
    return orders.rebatch(context.batch_size)

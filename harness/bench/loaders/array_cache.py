"""Implement ``cache: array``: batches are written record by record in the first epoch, and gathered afterwards.

Each epoch has its own order, since any record can be read as easily as the next one. Batches are gathered by one reader
per CPU, into memory that is reused once no reference to its batch is left.
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
"""Batches that are prefetched besides the one that each reader works on."""


class Gatherer:
    """A maker of batches from a file's records; ``is_scaled``: uint8 records become float32 from 0 to 1."""

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
        """Return the numbers of all images in the order of an epoch: as stored, or with ``shuffle`` a new permutation.

        The sequence of permutations depends on the seed alone.
        """
        with self._mutex:
            return self._all if self._random is None else self._random.permutation(self._all)

    def gather(self, numbers: NDArray[Any]) -> tuple[Records, NDArray[Any]]:
        """Return one batch: the records with these numbers, and their labels."""
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
    """Return a data set of (images, labels) in batches that uses the array cache, and the cache's files.

    ``filling`` yields batches of (images, numbers in the manifest's order), in the form to be cached. An epoch that
    begins while the file is incomplete uses ``filling`` and writes the file; later ones read the file. ``is_scaled``:
    images are scaled after the cache.

    Starting an epoch is kept cheap, for it costs as much time as reading hundreds of images: parts that an epoch does
    not use are not started, and orders and labels are NumPy arrays.
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

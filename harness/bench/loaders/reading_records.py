"""Read TFRecord files as a data set's source: sequentially, file by file, as suits tf.data best."""

from __future__ import annotations

import random
from itertools import accumulate
from typing import Any

import tensorflow as tf

from ..protocol.loader_registry import keeps_order
from ..protocol.specs import NEW_ORDER
from .interface import LoaderContext

READERS = 16
"""Most files that are read at once."""
BUFFERED = 8
"""Batches of encoded images in the shuffle buffer, as many as in ``image_dataset_from_directory``."""


def read_records(context: LoaderContext, parallel: Any) -> tuple[Any, str]:
    """Return a data set of (encoded image, int32 label), and a description of its order.

    ``parallel`` is None or AUTOTUNE. Records cannot be permuted image by image, so files are permuted, and then images
    within a buffer. A cache freezes the order of its first pass, which then depends on the seed. The cache ``array``
    does not, and gets the image's number in place of its label.
    """
    counts = context.stored
    firsts = dict(zip(counts, accumulate(counts.values(), initial=0), strict=False))
    stored = [(name, firsts[name], count) for name, count in counts.items()]
    is_frozen = keeps_order(context.cache)
    if context.shuffle and is_frozen:
        random.Random(context.seed).shuffle(stored)
    names, first, count = map(list, zip(*stored, strict=True))
    files = tf.data.Dataset.from_tensor_slices((names, first, count))
    if context.shuffle and not is_frozen:
        files = files.shuffle(len(stored), seed=context.seed, reshuffle_each_iteration=True)
    cycle = 1 if parallel is None else min(READERS, len(stored))
    if context.cache == "array":
        records = files.interleave(_open_numbered, cycle_length=cycle, num_parallel_calls=parallel)
        parse = _make_parse(context)
        pairs = records.map(lambda number, record: (parse(record)[0], number), num_parallel_calls=parallel)
    else:
        records = files.interleave(_open, cycle_length=cycle, num_parallel_calls=parallel)
        pairs = records.map(_make_parse(context), num_parallel_calls=parallel)
    if not context.shuffle:
        return pairs, "by file and record" if cycle == 1 else "by record, of all files in turn"
    pairs = pairs.shuffle(records_buffer(context), seed=context.seed, reshuffle_each_iteration=not is_frozen)
    order = f"files permuted, then a buffer of {BUFFERED} batches"
    if context.cache == "array":
        return pairs, f"{order}; after the first epoch {NEW_ORDER}"
    if context.shuffle_buffer is not None and not is_frozen:
        return pairs, name_order(context, "files permuted")
    frozen = f"{order}; frozen by the cache"
    if context.shuffle_buffer is not None:
        return pairs, name_order(context, frozen)
    return pairs, frozen if is_frozen else order


def records_buffer(context: LoaderContext) -> int:
    """Return how many encoded images are buffered after reading; the requested buffer follows a cache if any."""
    is_asked = context.shuffle_buffer is not None and context.cache == "none"
    return context.shuffle_buffer or 1 if is_asked else BUFFERED * context.batch_size


def name_order(context: LoaderContext, before: str) -> str:
    """Return the description of an order after a shuffle buffer of the requested size, applied to ``before``."""
    size = context.shuffle_buffer or 0
    return NEW_ORDER if size >= len(context.paths) else f"{before}, then a buffer of {size:,} images"


def _open(name: Any, _first: Any, count: Any) -> Any:
    return tf.data.TFRecordDataset(name).take(tf.cast(count, tf.int64))


def _open_numbered(name: Any, first: Any, count: Any) -> Any:
    """Return a data set of (number in the manifest's order, record)."""
    numbered = _open(name, first, count).enumerate(tf.cast(first, tf.int64))
    return numbered.map(lambda number, record: (tf.cast(number, tf.int32), record))


def _make_parse(context: LoaderContext) -> Any:
    features = context.features
    assert features is not None
    is_text = isinstance(features.labels[0], str)
    spec = {
        features.image: tf.io.FixedLenFeature((), tf.string),
        features.label: tf.io.FixedLenFeature((), tf.string if is_text else tf.int64),
    }
    table = None
    if is_text or features.labels != tuple(range(len(features.labels))):
        keys = tf.constant(features.labels, tf.string if is_text else tf.int64)
        values = tf.range(len(features.labels), dtype=tf.int64)
        table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), -1)

    def parse(record: Any) -> tuple[Any, Any]:
        found = tf.io.parse_single_example(record, spec)
        label = found[features.label] if table is None else table.lookup(found[features.label])
        return found[features.image], tf.cast(label, tf.int32)

    return parse

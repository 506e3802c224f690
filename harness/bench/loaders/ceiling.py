"""Implement ``ceiling``: one batch, decoded once and repeated, which gives the model limit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tensorflow as tf

from .decoding import describe_decoder, make_decode, scale, to_uint8
from .interface import Loader, LoaderContext
from .tfdata import make_options
from .tfrecords import read_place


def make(context: LoaderContext) -> Loader:
    """Make a loader of as many images as the data set has, all from its first batch; a short last batch stays short."""
    count = len(context.paths)
    size = min(context.batch_size, count)
    first = replace(context, paths=context.paths[:size], labels=context.labels[:size])
    decode, finish = make_decode(first), scale if context.is_scaled else to_uint8
    images = tf.stack([finish(decode(tf.constant(read_place(path)))) for path in first.files])
    labels = tf.constant(first.labels, tf.int32)
    dataset = _repeat(images, labels, count // size)
    if count % size:
        dataset = dataset.concatenate(_repeat(images[: count % size], labels[: count % size], 1))
    dataset = dataset.prefetch(tf.data.AUTOTUNE).with_options(make_options(context))
    return Loader(
        dataset=dataset,
        images=count,
        batch_size=size,
        element_spec=dataset.element_spec,
        order="one batch, repeated",
        decoder=describe_decoder(first),
    )


def _repeat(images: Any, labels: Any, times: int) -> Any:
    return tf.data.Dataset.from_tensors((images, labels)).repeat(times)

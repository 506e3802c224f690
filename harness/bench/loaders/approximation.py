"""Measure how far approximate pixels are from exact ones, on the case's own images at its own size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import tensorflow as tf

from .cache_writers import encode_again
from .decoding import make_decode, to_uint8
from .interface import LoaderContext, PixelError
from .tfrecords import read_place

SAMPLE = 32
"""Number of images, spread evenly over the set."""


def is_approximate(context: LoaderContext) -> bool:
    """Return whether the case's pixels differ from those of exact decoding."""
    return context.decoding != "exact" or (context.cache == "tfrecord-resized" and context.element == "encoded")


def measure_error(context: LoaderContext) -> PixelError | None:
    """Return the mean and largest difference from exact decoding, from 0 to 255; None if the case is exact.

    Takes tens of milliseconds, before the clock starts.
    """
    if not is_approximate(context):
        return None
    exact, other = make_decode(replace(context, decoding="exact")), make_decode(context)
    total = len(context.files)
    chosen = [context.files[index * total // min(SAMPLE, total)] for index in range(min(SAMPLE, total))]
    means, largest = [], 0.0
    for path in chosen:
        data = tf.constant(read_place(path))
        found = other(data)
        if context.cache == "tfrecord-resized" and context.element == "encoded":
            found = encode_again(to_uint8(found))
        error = np.abs(np.asarray(found, np.float32) - np.asarray(exact(data), np.float32))
        means.append(float(error.mean()))
        largest = max(largest, float(error.max()))
    return {"mean": round(sum(means) / len(means), 3), "largest": round(largest, 1), "images": len(chosen)}

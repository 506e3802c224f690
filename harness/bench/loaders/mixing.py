"""Measure how well an order is mixed: how far images move from their stored order, and which stay neighbours.

The effect of a tf.data shuffle buffer does not depend on what it holds, so the same operation is run on numbers.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import tensorflow as tf

_AT_ONCE = 65_536


class Mixing(TypedDict):
    """How well an order is mixed. ``buffer`` is in images; ``displacement`` is the mean move as a share of the set.

    ``neighbours_kept`` is the share of images that are followed by the same image as in the stored order. A full
    permutation moves an image by a third of the set in the mean, and keeps two neighbours.
    """

    buffer: int
    displacement: float
    neighbours_kept: float


def measure_mixing(images: int, buffer: int, seed: int) -> Mixing:
    """Shuffle ``images`` numbers with a buffer of the given size and measure the result; 0 or 1: no shuffling."""
    numbers = tf.data.Dataset.range(images)
    if buffer > 1:
        numbers = numbers.shuffle(min(buffer, images), seed=seed)
    order = np.concatenate(list(numbers.batch(_AT_ONCE).as_numpy_iterator()))
    steps = np.abs(np.diff(order))
    return {
        "buffer": min(buffer, images),
        "displacement": float(np.abs(order - np.arange(images)).mean() / images),
        "neighbours_kept": float((steps == 1).mean()) if len(steps) else 1.0,
    }

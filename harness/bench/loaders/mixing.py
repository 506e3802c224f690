"""How well an order is mixed: how far images move from the order in which they are stored, and which stay neighbours.

What a buffer of tf.data does to an order does not depend on what it holds: the same operation is run on numbers.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import tensorflow as tf

_AT_ONCE = 65_536


class Mixing(TypedDict):
    """``buffer`` is in images. ``displacement``: how far an image moves, in the mean, as a share of the set.

    ``neighbours_kept``: the share of images whose next one is their neighbour in the order in which they are stored.
    A full permutation moves an image by a third of the set, and keeps two neighbours.
    """

    buffer: int
    displacement: float
    neighbours_kept: float


def measure_mixing(images: int, buffer: int, seed: int) -> Mixing:
    """Mix ``images`` numbers in a buffer of so many; 0 or 1: their order stays."""
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

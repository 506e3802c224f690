"""Augmentation after the cache: other pixels each epoch, whatever is kept."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from .interface import CHANNELS, LoaderContext

PAD_SHARE = 16
"""flip-crop shifts an image by up to a sixteenth of its sides, as the small-image benchmarks do (4 of 32 pixels)."""


def augment(dataset: Any, context: LoaderContext, parallel: Any) -> Any:
    """``flip-crop``: half of the images mirrored, each cut at random from itself with reflected borders.

    The random numbers come from ``Dataset.random`` with the case's seed: others in each epoch, the same in each run.
    """
    if context.augment == "none":
        return dataset
    numbers = tf.data.Dataset.random(seed=context.seed, rerandomize_each_iteration=True).batch(2)
    height, width = context.image_size
    pad_y, pad_x = max(1, height // PAD_SHARE), max(1, width // PAD_SHARE)

    def change(pair: tuple[Any, Any], seed: Any) -> tuple[Any, Any]:
        image, label = pair
        image = tf.image.stateless_random_flip_left_right(image, seed)
        image = tf.pad(image, ((pad_y, pad_y), (pad_x, pad_x), (0, 0)), mode="REFLECT")
        return tf.image.stateless_random_crop(image, (height, width, CHANNELS), seed), label

    return tf.data.Dataset.zip((dataset, numbers)).map(change, num_parallel_calls=parallel)

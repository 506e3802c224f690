"""Augment images after the cache, so that pixels differ in each epoch whatever is cached."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from .interface import CHANNELS, LoaderContext

PAD_SHARE = 16
"""flip-crop shifts an image by up to 1/16 of its sides, as is usual for small images (4 of 32 pixels)."""


def augment(dataset: Any, context: LoaderContext, parallel: Any) -> Any:
    """Apply ``flip-crop``: mirror half of the images, and crop each at random after padding it by reflection.

    Random numbers come from ``Dataset.random`` with the case's seed: they differ by epoch, and repeat in each run.
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

"""Implement ``keras-pydataset``, which Keras' documentation recommends over a generator, with one worker per CPU."""

from __future__ import annotations

import math
import random
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..protocol.specs import NEW_ORDER
from .interface import CHANNELS, Loader, LoaderContext
from .keras_sequence import SequenceLoader
from .pixels import STAGES, make_batch, read_image


class ImageBatches(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """A sequence of batches of images by number, with a new permutation of all images in each epoch."""

    def __init__(self, context: LoaderContext) -> None:
        super().__init__(workers=context.worker_count, use_multiprocessing=False)
        self._context = context
        self._files = context.files
        self._order = list(range(len(self._files)))
        self._numbers = random.Random(context.seed)
        self._permute()

    def _permute(self) -> None:
        if self._context.shuffle:
            self._order = self._order.copy()
            self._numbers.shuffle(self._order)

    def __len__(self) -> int:
        return math.ceil(len(self._files) / self._context.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        size = self._context.batch_size
        chosen = self._order[index * size : (index + 1) * size]
        images = make_batch([read_image(self._files[number], self._context) for number in chosen], self._context)
        return images, np.array([self._context.labels[number] for number in chosen], np.int32)

    def on_epoch_end(self) -> None:
        """Permute the images for the next epoch."""
        self._permute()


def make(context: LoaderContext) -> Loader:
    """Make the loader: PIL decodes in threads, since it releases the GIL."""
    height, width = context.image_size
    return SequenceLoader(
        dataset=ImageBatches(context),
        images=len(context.paths),
        batch_size=context.batch_size,
        element_spec=(
            tf.TensorSpec((None, height, width, CHANNELS), context.deliver),
            tf.TensorSpec((None,), tf.int32),
        ),
        order=NEW_ORDER if context.shuffle else "by path",
        decoder="PIL",
        takes_budgets=False,
        workers=context.worker_count,
        stages=context.stages_of(STAGES),
    )

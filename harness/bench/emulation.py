"""An emulated accelerator: a model whose step computes nothing, and lasts as long as a named device would need.

The step blocks a thread of TensorFlow's (asleep, without Python's lock), as a step on a GPU blocks its caller:
meanwhile the input pipeline reads, decodes and prefetches for real. So a host without a GPU can still show which
pipelines would keep one busy. Whatever it measures is *emulated*, and said so.
"""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .failure import BenchmarkFailure
from .training import ImageCount


class EmulatedModel(keras.Model):  # type: ignore[misc] # Keras has no types
    """Blocks ``images / images_per_second`` or ``step_seconds`` in each training step; its outputs mean nothing."""

    def bind(self, images_per_second: float | None, step_seconds: float | None) -> None:
        """Set the pace (one of the two is given) and compile."""
        self._images_per_second = images_per_second
        self._step_seconds = step_seconds
        self.counter = ImageCount()
        self.compile(optimizer="sgd", jit_compile=False)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One batch: the images must have come, then the step's time passes, then they are counted."""
        images, labels = data[0], data[1]
        count = tf.shape(images)[0]
        waited = tf.numpy_function(self._block, [count], tf.int64, stateful=True)
        with tf.control_dependencies([waited]):
            labels = tf.identity(labels)
        self.counter.update_state(labels, None)
        return {"images": self.counter.result()}

    def _block(self, count: Any) -> Any:
        begun = time.perf_counter()
        pace = self._images_per_second
        seconds = float(count) / pace if pace else float(self._step_seconds or 0.0)
        left = seconds - (time.perf_counter() - begun)
        if left > 0:
            time.sleep(left)
        return np.int64(count)


def build_emulated(setting: dict[str, Any], image_size: tuple[int, int], classes: int) -> EmulatedModel:
    """The model for a case's ``model`` setting."""
    pace, step = setting.get("images_per_second"), setting.get("step_seconds")
    if pace is None and step is None:
        like = setting.get("like")
        raise BenchmarkFailure("error", f"the emulated accelerator has no pace (like: {like}): give images_per_second")
    inputs = keras.Input((*image_size, 3))
    outputs = keras.layers.Dense(classes)(keras.layers.Flatten()(inputs[:, :1, :1, :]))
    model = EmulatedModel(inputs, outputs)
    model.bind(pace, step)
    return model

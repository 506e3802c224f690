"""Emulate an accelerator: a model whose step computes nothing and takes as long as it would on a named device.

The device has its own clock: it works on a batch from the moment at which it is free, for as long as it needs. The call
of a step sleeps (without the GIL) until the device takes the batch; one batch is in work meanwhile, as on a GPU, whose
steps the host queues while it computes. So the host's work between two steps delays the device only if it takes longer
than a step, and an input pipeline reads, decodes and prefetches for real while the caller sleeps. Nothing is traced and
no TensorFlow thread is occupied: a step costs the host some tenths of a millisecond (``benchmarks/emulated.py``). So a
host without a GPU can show which pipelines would keep one busy. Results are labelled *emulated*.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import keras

from ..protocol.failure import BenchmarkFailure
from .measure_request import ModelSetting


class Device:
    """The clock of an accelerator; either ``images_per_second`` or ``step_seconds`` is given."""

    def __init__(self, images_per_second: float | None, step_seconds: float | None) -> None:
        self._images_per_second = images_per_second
        self._step_seconds = step_seconds
        self._free_at = time.perf_counter()

    def take(self, images: int) -> None:
        """Hand over a batch; return when the device begins with it."""
        pace = self._images_per_second
        begins_at = max(self._free_at, time.perf_counter())
        self._free_at = begins_at + (images / pace if pace else float(self._step_seconds or 0.0))
        _sleep_until(begins_at)

    def wait(self) -> None:
        """Block until the device has finished all batches."""
        _sleep_until(self._free_at)


def _sleep_until(moment: float) -> None:
    left = moment - time.perf_counter()
    if left > 0:
        time.sleep(left)


class EmulatedModel(keras.Model):  # type: ignore[misc] # Keras has no types
    """A model whose ``fit`` hands batches to the device and counts their images; its outputs mean nothing."""

    def bind(self, device: Device) -> None:
        """Set the device and compile."""
        self.device = device
        self._images = 0
        self.compile(optimizer="sgd", jit_compile=False)

    def make_train_function(self, force: bool = False) -> None:
        """Set the training step: wait for a batch, then for the device to take it."""
        del force
        self.train_function = self._step

    def _step(self, batches: Iterator[Any]) -> dict[str, int]:
        images = int(next(batches)[0].shape[0])
        self.device.take(images)
        self._images += images
        return {"images": self._images}

    def reset_metrics(self) -> None:
        """Reset the count of images at the start of an epoch."""
        super().reset_metrics()
        self._images = 0

    def wait_for_device(self) -> None:
        """Wait until the device has finished the epoch's last batch."""
        self.device.wait()


def build_emulated(setting: ModelSetting, image_size: tuple[int, int], classes: int) -> EmulatedModel:
    """Build the model for a case's ``model`` setting. Raises BenchmarkFailure if it has no speed."""
    pace, step = setting.images_per_second, setting.step_seconds
    if pace is None and step is None:
        message = f"the emulated accelerator has no speed (like: {setting.like}): give images_per_second"
        raise BenchmarkFailure("error", message)
    inputs = keras.Input((*image_size, 3))
    outputs = keras.layers.Dense(classes)(keras.layers.Flatten()(inputs[:, :1, :1, :]))
    model = EmulatedModel(inputs, outputs)
    model.bind(Device(pace, step))
    return model

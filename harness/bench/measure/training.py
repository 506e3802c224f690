"""Measure training: ``model.fit`` on a loader's data set, observed by a callback."""

from __future__ import annotations

import time
from typing import Any

import keras
import tensorflow as tf

from ..loaders.interface import Loader
from .iterators import HeldIterators, hold_iterators
from .meter import Meter


class ImageCount(keras.metrics.Metric):  # type: ignore[misc] # Keras has no types
    """A metric of the images that the training step received in this epoch; a short last batch counts its own size.

    Each copy of the model has its own count. Keras logs the mean over the copies, so each reports its count times the
    number of copies; the mean is then the sum.
    """

    def __init__(self) -> None:
        super().__init__(name="images")
        self.count = self.add_variable(shape=(), initializer="zeros", dtype="int64", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the images of one batch."""
        del y_pred, sample_weight
        self.count.assign_add(keras.ops.cast(keras.ops.shape(y_true)[0], "int64"))

    def result(self) -> Any:
        """Return the images so far."""
        count = tf.convert_to_tensor(self.count.value)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas == 1 or tf.distribute.in_cross_replica_context():
            return count
        return tf.cast(count, tf.float64) * replicas


class EpochRecorder(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """A callback that drives a meter. Keras asks for a batch after ``on_train_batch_begin``, within its step."""

    def __init__(self, meter: Meter, loader: Loader, held: HeldIterators) -> None:
        super().__init__()
        self._held = held
        self._meter = meter
        self._loader = loader

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clock; Keras makes the epoch's iterator after this, and only then releases the last one."""
        self._held.release_older()
        self._meter.begin()
        self._loader.fill()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Report the step and the images seen so far to the meter."""
        self._meter.step(round((logs or {})["images"]))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop the clock, once an emulated accelerator has finished the last batch."""
        if hasattr(self.model, "wait_for_device"):
            self.model.wait_for_device()
        self._meter.end()


def compile_model(model: Any, xla: bool | None = None) -> None:
    """Compile a model as is usual: Adam, cross-entropy of integer labels, accuracy; with the count of images.

    ``xla`` None leaves to Keras whether XLA compiles the step.
    """
    model.compile(
        optimizer=keras.optimizers.Adam(),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy", ImageCount()],
        jit_compile="auto" if xla is None else xla,
    )


def warm_up(loader: Loader, model: Any | None) -> float:
    """Trace (and on a GPU compile) what an epoch will run, with zeros of the loader's element spec; return the seconds.

    The loader's data is not read. Both batch shapes of an epoch are traced, the full and the short last one; variables
    of the model and its optimizer are restored.
    """
    begun = time.perf_counter()
    sizes = find_batch_sizes(loader)
    zeros = tf.data.Dataset.from_tensor_slices(sizes).map(lambda size: _make_zeros(loader.element_spec, size))
    if model is None:
        for _batch in zeros:
            pass
        return time.perf_counter() - begun
    with model.distribute_strategy.scope():
        model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    before = [variable.value.numpy() for variable in variables]
    model.fit(zeros, epochs=1, verbose=0, shuffle=False)
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)
    return time.perf_counter() - begun


def find_batch_sizes(loader: Loader) -> list[int]:
    """Return the different batch sizes of an epoch: the full one, and that of a short last batch."""
    full, rest = divmod(loader.images, loader.batch_size)
    return ([loader.batch_size] if full else []) + ([rest] if rest else [])


def _make_zeros(spec: Any, size: Any) -> tuple[Any, ...]:
    """Return one batch of ``size`` zeros, made by TensorFlow, to keep the allocator as in a program without a warm-up.

    After a single array from a Python generator it is not: glibc then returns the memory of tf.data's batches to the
    kernel and requests it again, 100 page faults per image, 10 to 15 % of CPU time in every measured epoch (128 px,
    ``benchmarks/overhead.py``).
    """
    return tuple(
        tf.ensure_shape(tf.zeros(tf.concat([[size], part.shape[1:]], 0), part.dtype), part.shape) for part in spec
    )


def train(model: Any, loader: Loader, epochs: int, meter: Meter) -> None:
    """Run ``model.fit`` over all epochs in one call, as users do, so that the cost of a call is paid once.

    ``shuffle`` of ``fit`` would permute batches of a Keras iterator, but each loader has its own order already.
    """
    with hold_iterators() as held:
        recorder = EpochRecorder(meter, loader, held)
        model.fit(loader.dataset, epochs=epochs, verbose=0, shuffle=False, callbacks=[recorder])

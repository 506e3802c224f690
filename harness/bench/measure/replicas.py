"""Train on several GPUs at once: one copy of the model on each, and every batch split among them.

This is ``tf.distribute.MirroredStrategy`` with ``model.fit``: one input pipeline for all, whose batches (of
``batch_size`` images in all) Keras splits among the copies and prefetches to each; gradients are summed.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any


def list_devices() -> list[str]:
    """Return the names of the GPUs that TensorFlow uses."""
    import tensorflow as tf

    return [device.name for device in tf.config.list_logical_devices("GPU")]


def replicas_scope(gpus: int) -> AbstractContextManager[Any]:
    """Return a context in which a model is made and compiled for ``gpus`` GPUs; it does nothing for one or none."""
    if gpus < 2:
        return nullcontext()
    import tensorflow as tf

    scope: AbstractContextManager[Any] = tf.distribute.MirroredStrategy(list_devices()).scope()
    return scope


def count_replicas(model: Any) -> int:
    """Return how many copies of a model are trained at once."""
    return int(model.distribute_strategy.num_replicas_in_sync)

"""Training on several GPUs at once: a copy of the model on each, every batch shared among them.

``tf.distribute.MirroredStrategy``, as ``model.fit`` takes it: one input pipeline for all, whose batches (of
``batch_size`` images in all) Keras has split among the copies and sent ahead to each; gradients are summed over them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any


def list_devices() -> list[str]:
    """The names of the GPUs that TensorFlow has."""
    import tensorflow as tf

    return [device.name for device in tf.config.list_logical_devices("GPU")]


def replicas_scope(gpus: int) -> AbstractContextManager[Any]:
    """Within it a model is made and compiled for so many GPUs; nothing is changed for one or none."""
    if gpus < 2:
        return nullcontext()
    import tensorflow as tf

    scope: AbstractContextManager[Any] = tf.distribute.MirroredStrategy(list_devices()).scope()
    return scope


def count_replicas(model: Any) -> int:
    """How many copies of a model are trained at once."""
    return int(model.distribute_strategy.num_replicas_in_sync)

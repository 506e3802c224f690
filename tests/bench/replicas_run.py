"""Trains on two logical CPU devices as on two GPUs, and alone; what came of it as JSON. Such devices are for ever."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.update(TF_CPP_MIN_LOG_LEVEL="2", KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1")
import keras
import numpy as np
import tensorflow as tf
from bench_images import Made, make_images

from harness.bench.measure import replicas, training
from harness.bench.measure.event_log import Journal
from harness.bench.measure.invocation import make_loader
from harness.bench.measure.meter import Meter

DEVICES = ["/CPU:0", "/CPU:1"]
EPOCHS = 2


def train(made: Made, folder: Path, name: str, gpus: int) -> dict[str, Any]:
    """Train a small model with a loader on so many devices."""
    traces = [0]
    epochs: list[Any] = []
    update = training.ImageCount.update_state

    def count_traces(self: Any, *arguments: Any, **options: Any) -> None:
        traces[0] += 1
        update(self, *arguments, **options)

    training.ImageCount.update_state = count_traces  # type: ignore[method-assign]
    try:
        with replicas.replicas_scope(gpus):
            first = keras.initializers.GlorotUniform(seed=7)
            top = keras.layers.Dense(4, "softmax", kernel_initializer=first)
            layers = [keras.Input((32, 32, 3)), keras.layers.Flatten(), top]
            model = keras.Sequential(layers)
            training.compile_model(model)
        loader = make_loader(name, made.context(folder / f"{name}-{gpus}", shuffle=False))
        begun = [variable.value.numpy() for variable in model.variables]
        training.warm_up(loader, model)
        kept = all(np.array_equal(old, new.value.numpy()) for old, new in zip(begun, model.variables, strict=True))
        traced = traces[0]
        meter = Meter(
            Journal(folder / "events.jsonl"),
            len(made.manifest),
            prepare=lambda _: None,
            settle=lambda _: None,
            publish=epochs.append,
        )
        training.train(model, loader, EPOCHS, meter)
    finally:
        training.ImageCount.update_state = update  # type: ignore[method-assign]
    return {
        "replicas": replicas.count_replicas(model),
        "images": [epoch["images"] for epoch in epochs],
        "steps": [epoch["steps"] for epoch in epochs],
        "is_put_back": kept,
        "traced_again": traces[0] - traced,
        "weights": [float(np.sum(np.abs(variable.value.numpy()))) for variable in model.trainable_variables],
        "is_finite": all(bool(np.isfinite(one.value.numpy()).all()) for one in model.variables),
    }


def main(folder: Path) -> None:
    """Loaders with a short last batch on two devices; with even batches on two and on one."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * len(DEVICES))
    replicas.list_devices = lambda: DEVICES
    odd, even = make_images(folder / "odd"), make_images(folder / "even", count=12)
    found = {name: train(odd, folder, name, 2) for name in ("keras-pydataset", "ceiling")}
    print(json.dumps({"odd": found, "even": [train(even, folder, "tfdata", gpus) for gpus in (1, 2)]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

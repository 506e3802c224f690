"""``keras-idg``: Keras ImageDataGenerator as it comes: PIL, one thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from .class_folders import find_class_folders
from .interface import CHANNELS, SCALE, Loader, LoaderContext, refuse_other_files

_PIL_NAMES = {"nearest": "nearest", "bilinear-antialias": "bilinear"}  # PIL's bilinear filter is antialiased


class KerasIteratorLoader(Loader):
    """A loader whose ``dataset`` is a Keras iterator: an indexed sequence that permutes itself after each epoch."""

    def batches(self) -> Iterator[tuple[Any, Any]]:
        """One epoch, in the way of ``model.fit``: by index, then ``on_epoch_end``."""
        for index in range(self.steps):
            yield self.dataset[index]
        self.dataset.on_epoch_end()


def make(context: LoaderContext) -> Loader:
    """``flow_from_directory`` for a folder with one folder per class, ``flow_from_dataframe`` for a COCO pair."""
    generator = tf.keras.preprocessing.image.ImageDataGenerator(rescale=SCALE)
    settings: dict[str, Any] = {
        "target_size": context.image_size,
        "batch_size": context.batch_size,
        "shuffle": context.shuffle,
        "seed": context.seed,
        "class_mode": "sparse",
        "classes": list(context.classes),
        "interpolation": _PIL_NAMES[context.interpolation],
    }
    if context.kind == "folder":
        where, settings["classes"] = find_class_folders(context)
        iterator = generator.flow_from_directory(where, **settings)
    else:
        where = context.folder
        iterator = generator.flow_from_dataframe(_make_frame(context), directory=where, **settings)
    refuse_other_files("keras-idg", iterator.n, context, where)
    height, width = context.image_size
    spec = (tf.TensorSpec((None, height, width, CHANNELS), tf.float32), tf.TensorSpec((None,), tf.float32))
    return KerasIteratorLoader(
        dataset=iterator,
        images=iterator.n,
        batch_size=context.batch_size,
        element_spec=spec,
        order="a new permutation of all images each epoch" if context.shuffle else "by path",
        decoder="PIL",
        takes_budgets=False,
    )


def _make_frame(context: LoaderContext) -> Any:
    import pandas as pd

    names = [context.classes[label] for label in context.labels]
    return pd.DataFrame({"filename": [path.replace("/", os.sep) for path in context.paths], "class": names})

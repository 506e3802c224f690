"""Implement the loaders of Keras' ImageDataGenerator: with its defaults (PIL, one thread), threads or processes."""

from __future__ import annotations

import math
import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..protocol.specs import NEW_ORDER
from .class_folders import find_class_folders
from .interface import CHANNELS, SCALE, Loader, LoaderContext, refuse_other_files
from .keras_sequence import SequenceLoader
from .workers import watch_workers

STAGES = ("read", "decode", "resize", "scale", "batch")
_PIL_NAMES = {"nearest": "nearest", "bilinear-antialias": "bilinear"}  # PIL's bilinear filter is antialiased


def make(context: LoaderContext) -> Loader:
    """Make ``keras-idg``: one thread, with Keras' defaults."""
    return build(context)


def make_threads(context: LoaderContext) -> Loader:
    """Make ``keras-idg-threads``: Keras 3 takes workers only as properties of the iterator, not in ``fit``."""
    loader = build(context)
    permute_first(loader, context)
    loader.dataset.workers = loader.workers = context.worker_count
    return loader


def make_processes(context: LoaderContext) -> Loader:
    """Make ``keras-idg-processes``, whose processes are watched, since a killed one would hang it."""
    loader = build(context)
    permute_first(loader, context)
    loader.dataset.workers = loader.workers = context.worker_count
    loader.dataset.use_multiprocessing = True
    loader.watch = watch_workers(context)
    return loader


def permute_first(loader: SequenceLoader, context: LoaderContext) -> None:
    """Permute the order of the first epoch before there are workers.

    Keras permutes it when the first batch is requested. Two workers that ask at once would permute it twice, each would
    take its batch from another permutation, and the first epoch would repeat some images and omit others.
    """
    np.random.seed(context.seed % 2**32)  # Keras draws the order from NumPy's global state
    loader.dataset.on_epoch_end()


def build(context: LoaderContext) -> SequenceLoader:
    """Make the iterator by ``flow_from_directory`` for class folders, else by ``flow_from_dataframe``."""
    as_asked = {"rescale": SCALE} if context.is_scaled else {"dtype": "uint8"}
    generator = tf.keras.preprocessing.image.ImageDataGenerator(**as_asked)
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
    if "batch" not in context.running(STAGES):
        iterator = PartialBatches(iterator, generator, context)
    height, width = context.image_size
    spec = (tf.TensorSpec((None, height, width, CHANNELS), context.deliver), tf.TensorSpec((None,), tf.float32))
    return SequenceLoader(
        dataset=iterator,
        images=len(context.paths),
        batch_size=context.batch_size,
        element_spec=spec,
        order=NEW_ORDER if context.shuffle else "by path",
        decoder="PIL",
        takes_budgets=False,
        stages=context.stages_of(STAGES),
    )


class PartialBatches(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """What an iterator of ImageDataGenerator does with an image, call by call, up to a stage.

    The iterator cannot stop there itself. A batch is only the number of its images, so that nothing large passes a pipe
    between processes.
    """

    def __init__(self, iterator: Any, generator: Any, context: LoaderContext) -> None:
        super().__init__()
        self._files = list(iterator.filepaths)
        self._generator = generator
        self._context = context

    def __len__(self) -> int:
        return math.ceil(len(self._files) / self._context.batch_size)

    def __getitem__(self, index: int) -> int:
        size = self._context.batch_size
        files = self._files[index * size : (index + 1) * size]
        for file in files:
            self._load(file)
        return len(files)

    def _load(self, file: str) -> None:
        until, size = self._context.until, self._context.image_size
        if until == "read":
            with open(file, "rb") as stream:
                stream.read()
            return
        wanted = None if until == "decode" else size
        image = keras.utils.load_img(file, target_size=wanted, interpolation=_PIL_NAMES[self._context.interpolation])
        if until == "decode":
            image.load()
        elif until == "scale":
            self._generator.standardize(self._generator.random_transform(keras.utils.img_to_array(image)))


def _make_frame(context: LoaderContext) -> Any:
    import pandas as pd

    names = [context.classes[label] for label in context.labels]
    return pd.DataFrame({"filename": [path.replace("/", os.sep) for path in context.paths], "class": names})

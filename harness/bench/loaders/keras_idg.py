"""Keras ImageDataGenerator: as it comes (PIL, one thread), with threads, and with processes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import tensorflow as tf

from ..protocol.specs import NEW_ORDER
from .class_folders import find_class_folders
from .interface import CHANNELS, SCALE, Loader, LoaderContext, refuse_other_files
from .keras_sequence import SequenceLoader
from .workers import watch_workers

_PIL_NAMES = {"nearest": "nearest", "bilinear-antialias": "bilinear"}  # PIL's bilinear filter is antialiased


def make(context: LoaderContext) -> Loader:
    """``keras-idg``: one thread, as it comes."""
    return build(context)


def make_threads(context: LoaderContext) -> Loader:
    """``keras-idg-threads``: Keras 3 takes workers only as properties of the iterator (``fit`` has no argument)."""
    loader = build(context)
    permute_first(loader, context)
    loader.dataset.workers = context.cpus
    return loader


def make_processes(context: LoaderContext) -> Loader:
    """``keras-idg-processes``: the same with processes, watched, for a killed one would hang it."""
    loader = build(context)
    permute_first(loader, context)
    loader.dataset.workers = context.cpus
    loader.dataset.use_multiprocessing = True
    loader.watch = watch_workers(context)
    return loader


def permute_first(loader: SequenceLoader, context: LoaderContext) -> None:
    """Make the first epoch's order before there are workers.

    Keras makes it when the first batch is asked for: two workers that ask at once make two orders, each takes its batch
    from another one, and the first epoch repeats images and leaves others out.
    """
    np.random.seed(context.seed % 2**32)  # the numbers that Keras draws the order from
    loader.dataset.on_epoch_end()


def build(context: LoaderContext) -> SequenceLoader:
    """``flow_from_directory`` for a folder with one folder per class, ``flow_from_dataframe`` for the others."""
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
    return SequenceLoader(
        dataset=iterator,
        images=iterator.n,
        batch_size=context.batch_size,
        element_spec=spec,
        order=NEW_ORDER if context.shuffle else "by path",
        decoder="PIL",
        takes_budgets=False,
    )


def _make_frame(context: LoaderContext) -> Any:
    import pandas as pd

    names = [context.classes[label] for label in context.labels]
    return pd.DataFrame({"filename": [path.replace("/", os.sep) for path in context.paths], "class": names})

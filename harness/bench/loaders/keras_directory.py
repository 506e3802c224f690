"""Implement ``keras-directory``: ``keras.utils.image_dataset_from_directory`` and the scaling of Keras' guide."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from .class_folders import find_class_folders
from .decoding import to_uint8
from .interface import CHANNELS, SCALE, Loader, LoaderContext, refuse_other_files
from .tfdata import make_options

BUFFERED = 8
"""Batches of decoded images in Keras' own shuffle buffer."""
STAGES = ("read", "decode", "resize", "batch", "scale")


def make(context: LoaderContext) -> Loader:
    """Make the loader from a folder with one folder per class; a COCO pair is read through its tree of links.

    Keras shuffles the list of files once, and then within a buffer of eight batches. It decodes with TensorFlow's
    default (a faster, less exact DCT), which no argument changes.
    """
    where, names = find_class_folders(context)
    dataset = keras.utils.image_dataset_from_directory(
        where,
        labels="inferred",
        label_mode="int",
        class_names=names,
        batch_size=context.batch_size,
        image_size=context.image_size,
        shuffle=context.shuffle,
        seed=context.seed,
        interpolation=context.interpolation,
        verbose=False,
    )
    refuse_other_files("keras-directory", len(dataset.file_paths), context, where)
    if "batch" not in context.running(STAGES):
        dataset = _load_files(dataset.file_paths, context)
    elif context.until != "batch":
        finish = _scale if context.is_scaled else _to_uint8
        dataset = dataset.map(finish, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    dataset = dataset.with_options(make_options(context))
    return Loader(
        dataset=dataset,
        images=len(context.paths),
        batch_size=context.batch_size,
        element_spec=dataset.element_spec,
        order="files permuted once, then a buffer of eight batches" if context.shuffle else "by path",
        decoder="tf.io.decode_image, default DCT",
        stages=STAGES,
        workers=context.workers,
        buffer=BUFFERED * context.batch_size if context.shuffle else None,
    )


def _load_files(files: list[str], context: LoaderContext) -> Any:
    """Do what Keras' function does with each file, up to a stage, since that function cannot stop there itself."""

    def load(path: Any) -> Any:
        data = tf.io.read_file(path)
        if context.until == "read":
            return data
        image = tf.image.decode_image(data, channels=CHANNELS, expand_animations=False)
        if context.until == "decode":
            return image
        return tf.image.resize(image, context.image_size, method=context.interpolation)

    return tf.data.Dataset.from_tensor_slices(files).map(load, num_parallel_calls=tf.data.AUTOTUNE)


def _to_uint8(images: Any, labels: Any) -> tuple[Any, Any]:
    return to_uint8(images), labels


def _scale(images: Any, labels: Any) -> tuple[Any, Any]:
    return tf.cast(images, tf.float32) * SCALE, labels

"""``tfdata``: tf.data with AUTOTUNE: parallel map, cache, batch, prefetch."""

from __future__ import annotations

import os
import random
from typing import Any

import tensorflow as tf

from ..failure import BenchmarkFailure
from .interface import CHANNELS, SCALE, Loader, LoaderContext

_JPEG_OP = (".jpg", ".jpeg", ".png", ".gif")  # decode_jpeg reads these; BMP only decode_image


def make(context: LoaderContext) -> Loader:
    """Paths, shuffled → read, decode, resize and scale in parallel → cache → batch → prefetch.

    Without a cache the list of paths is shuffled whole before each epoch. A cache
    keeps decoded float32 images (as the article did) and freezes the order in which they came: the list is then
    permuted once, by the seed, and every later epoch has the same order. A shuffle
    buffer behind the cache would hold images and so cost the memory that is measured here.
    """
    dataset, order = _order_files(context)
    dataset = dataset.map(make_decoder(context), num_parallel_calls=tf.data.AUTOTUNE)
    if context.cache == "memory":
        dataset = dataset.cache()
    elif context.cache == "file":
        if context.cache_prefix is None:
            raise BenchmarkFailure("error", "a file cache was asked for, but the job has no folder for it")
        dataset = dataset.cache(context.cache_prefix)
    dataset = dataset.batch(context.batch_size).prefetch(tf.data.AUTOTUNE).with_options(make_options(context))
    return Loader(
        dataset=dataset,
        images=len(context.paths),
        batch_size=context.batch_size,
        element_spec=dataset.element_spec,
        order=order,
        decoder=describe_decoder(context),
        cache_prefix=context.cache_prefix if context.cache == "file" else None,
    )


def _order_files(context: LoaderContext) -> tuple[Any, str]:
    """A data set of (path, label), and how it is ordered."""
    files, labels = context.files, list(context.labels)
    if not context.shuffle:
        return _pair(files, labels), "by path"
    if context.cache == "none":
        shuffled = _pair(files, labels).shuffle(len(files), seed=context.seed, reshuffle_each_iteration=True)
        return shuffled, "a new permutation of all images each epoch"
    order = list(range(len(files)))
    random.Random(context.seed).shuffle(order)
    return _pair([files[i] for i in order], [labels[i] for i in order]), "one permutation, frozen by the cache"


def _pair(files: list[str], labels: list[int]) -> Any:
    return tf.data.Dataset.from_tensor_slices((tf.constant(files), tf.constant(labels, tf.int32)))


def make_decoder(context: LoaderContext) -> Any:
    """A function (path, label) -> (image (height, width, 3) float32 from 0 to 1, label).

    ``nearest`` takes the same pixels as PIL's where ``(x + 1/2) × width / target`` meets no whole number (targets 128,
    256, 512: difference 0.00 on photographs). At 224 it does in every seventh column of common sizes, where rounding
    decides for one neighbour or the other: 7 % of the pixels, 0.8 grey levels in the mean.
    """
    method, has_antialias = _parse_interpolation(context.interpolation)
    height, width = context.image_size
    uses_jpeg_op = _uses_jpeg_op(context)
    dct_method = "" if context.is_native else "INTEGER_ACCURATE"

    def decode(path: Any, label: Any) -> tuple[Any, Any]:
        data = tf.io.read_file(path)
        if uses_jpeg_op:
            image = tf.io.decode_jpeg(data, channels=CHANNELS, dct_method=dct_method)
        else:
            image = tf.io.decode_image(data, channels=CHANNELS, expand_animations=False)
        image = tf.image.resize(image, (height, width), method=method, antialias=has_antialias)
        image.set_shape((height, width, CHANNELS))
        return tf.cast(image, tf.float32) * SCALE, label

    return decode


def describe_decoder(context: LoaderContext) -> str:
    """What decodes: for equal pixels with the exact DCT, as PIL does; for native ones with TensorFlow's default."""
    if not _uses_jpeg_op(context):
        return "tf.io.decode_image, default DCT"
    return f"tf.io.decode_jpeg, {'default' if context.is_native else 'INTEGER_ACCURATE'} DCT"


def _uses_jpeg_op(context: LoaderContext) -> bool:
    return all(os.path.splitext(path)[1].lower() in _JPEG_OP for path in context.paths)


def _parse_interpolation(name: str) -> tuple[str, bool]:
    return ("bilinear", True) if name == "bilinear-antialias" else (name, False)


def make_options(context: LoaderContext) -> Any:
    """Order and budgets, as ``tf.data.Options``."""
    options = tf.data.Options()
    options.deterministic = context.deterministic
    budgets = context.budgets
    if budgets is not None and budgets.ram_budget_bytes is not None:
        options.autotune.ram_budget = budgets.ram_budget_bytes
        options.autotune.cpu_budget = budgets.cpu_budget
        options.threading.private_threadpool_size = budgets.threadpool_size
    return options

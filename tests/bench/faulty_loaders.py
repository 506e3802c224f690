"""Loaders as users write them, each with one fault; ``sound`` and ``late`` have none. Run by the proof of same work."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import tensorflow as tf

CACHES = ("none", "memory", "file")
AUTO = tf.data.AUTOTUNE


def _decode(path: Any) -> Any:
    return tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE")


def _scale(image: Any) -> Any:
    return tf.cast(image, tf.float32) / 255


def _files(context: Any) -> Any:
    files = tf.data.Dataset.from_tensor_slices((context.files, list(context.labels)))
    return files.shuffle(len(context.files), seed=context.seed) if context.shuffle else files


def _images(context: Any, files: Any = None, method: str = "nearest") -> Any:
    """(image from 0 to 1, label), one at a time."""

    def load(path: Any, label: Any) -> Any:
        return _scale(tf.image.resize(_decode(path), context.image_size, method=method)), label

    return (_files(context) if files is None else files).map(load, num_parallel_calls=AUTO)


def _batches(context: Any, change: Any = None) -> Any:
    images = _images(context)
    if change is not None:
        images = images.map(lambda image, label: (change(image), label))
    return images.batch(context.batch_size).prefetch(AUTO)


def sound(context: Any) -> Any:
    return _batches(context)


def cached(context: Any) -> Any:
    """Caches where it is told to."""
    images = _images(context)
    return (images.cache() if context.cache == "memory" else images).batch(context.batch_size).prefetch(AUTO)


def late(context: Any) -> Any:
    """No fault: it reads more than an epoch ahead, from one iterator that is never taken down."""
    from harness.bench.loaders.interface import Loader

    files = tf.data.Dataset.from_tensor_slices((context.files, list(context.labels)))
    steps = -(-len(context.files) // context.batch_size)
    batches = _images(context, files).batch(context.batch_size)
    endless = iter(batches.repeat().prefetch(2 * steps))

    class Late(Loader):
        def batches(self) -> Any:
            for _ in range(steps):
                yield next(endless)

    return Late(batches, len(context.files), context.batch_size, batches.element_spec, "by path", "TensorFlow's")


def mapped(context: Any) -> Any:
    """No fault: it holds all its files mapped for as long as it lives, and reads them each time."""
    maps = [np.memmap(path, np.uint8, "r") for path in context.files]
    steps = -(-len(maps) // context.batch_size)
    size, height_width = context.batch_size, context.image_size

    def epoch() -> Any:
        for step in range(steps):
            some = range(step * size, min(len(maps), (step + 1) * size))
            images = [tf.io.decode_jpeg(maps[i].tobytes(), channels=3, dct_method="INTEGER_ACCURATE") for i in some]
            small = [_scale(tf.image.resize(image, height_width, method="nearest")) for image in images]
            yield np.stack(small), np.array([context.labels[i] for i in some], np.int32)

    spec = (tf.TensorSpec((None, *height_width, 3)), tf.TensorSpec((None,), tf.int32))
    return tf.data.Dataset.from_generator(epoch, output_signature=spec)


def drops_last(context: Any) -> Any:
    return _images(context).batch(context.batch_size, drop_remainder=True)


def drops_one(context: Any) -> Any:
    return _images(context, tf.data.Dataset.from_tensor_slices((context.files[1:], list(context.labels[1:])))).batch(8)


def repeats_one(context: Any) -> Any:
    files, labels = [*context.files, context.files[4]], [*context.labels, context.labels[4]]
    return _images(context, tf.data.Dataset.from_tensor_slices((files, labels))).batch(8)


def half_twice(context: Any) -> Any:
    total = len(context.files)
    files = tf.data.Dataset.from_tensor_slices((context.files, list(context.labels)))
    return _images(context, files.take(total // 2 + 1).repeat().take(total)).batch(8)


def at_random(context: Any) -> Any:
    total = len(context.files)
    return _images(context, _files(context).repeat().shuffle(total, seed=3).take(total)).batch(8)


def drops_last_unseen(context: Any) -> Any:
    """From a generator: TensorFlow itself stumbles over the number of batches."""
    height, width = context.image_size
    spec = (tf.TensorSpec((None, height, width, 3)), tf.TensorSpec((None,), tf.int32))
    return tf.data.Dataset.from_generator(lambda: iter(drops_last(context)), output_signature=spec)


def never_ends(context: Any) -> Any:
    return (
        _images(context).repeat().batch(8).apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    )


def shifts_labels(context: Any) -> Any:
    labels = [context.labels[-1], *context.labels[:-1]]
    return _images(context, tf.data.Dataset.from_tensor_slices((context.files, labels))).batch(8)


def counts_from_one(context: Any) -> Any:
    return _images(context).map(lambda image, label: (image, label + 1)).batch(8)


def other_classes(context: Any) -> Any:
    table = tf.constant([1, 0, 2, 3, 4])
    return _images(context).map(lambda image, label: (image, table[label])).batch(8)


def one_hot(context: Any) -> Any:
    return _images(context).map(lambda image, label: (image, tf.one_hot(label, len(context.classes)))).batch(8)


def other_filter(context: Any) -> Any:
    return _images(context, method="bilinear").batch(8)


def to_255(context: Any) -> Any:
    return _batches(context, lambda image: image * 255)


def as_bytes(context: Any) -> Any:
    return _batches(context, lambda image: tf.cast(image * 255, tf.uint8))


def from_minus_one(context: Any) -> Any:
    return _batches(context, lambda image: image * 2 - 1)


def standardised(context: Any) -> Any:
    return _batches(context, tf.image.per_image_standardization)


def scaled_twice(context: Any) -> Any:
    return _batches(context, lambda image: image / 255)


def blue_first(context: Any) -> Any:
    return _batches(context, lambda image: image[..., ::-1])


def mirrored(context: Any) -> Any:
    return _batches(context, tf.image.flip_left_right)


def mirrored_at_random(context: Any) -> Any:
    return _batches(context, lambda image: tf.image.random_flip_left_right(image, seed=3))


def upside_down(context: Any) -> Any:
    return _batches(context, tf.image.flip_up_down)


def grey(context: Any) -> Any:
    return _batches(context, lambda image: tf.image.grayscale_to_rgb(tf.image.rgb_to_grayscale(image)))


def half_decoded(context: Any) -> Any:
    def load(path: Any, label: Any) -> Any:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, ratio=2)
        return _scale(tf.image.resize(image, context.image_size, method="nearest")), label

    return _files(context).map(load).batch(8)


def half_enlarged(context: Any) -> Any:
    height, width = context.image_size
    half = (height // 2, width // 2)
    return _batches(context, lambda x: tf.image.resize(tf.image.resize(x, half, method="nearest"), (height, width)))


def half_sized(context: Any) -> Any:
    height, width = context.image_size
    return _batches(context, lambda image: tf.image.resize(image, (height // 2, width // 2), method="nearest"))


def cropped(context: Any) -> Any:
    def load(path: Any, label: Any) -> Any:
        image = tf.image.central_crop(_decode(path), 0.8)
        return _scale(tf.image.resize(image, context.image_size, method="nearest")), label

    return _files(context).map(load).batch(8)


def cut_out(context: Any) -> Any:
    def load(path: Any, label: Any) -> Any:
        return _scale(tf.image.resize_with_crop_or_pad(_decode(path), *context.image_size)), label

    return _files(context).map(load).batch(8)


def padded(context: Any) -> Any:
    def load(path: Any, label: Any) -> Any:
        return _scale(tf.image.resize_with_pad(_decode(path), *context.image_size, method="nearest")), label

    return _files(context).map(load).batch(8)


def brighter(context: Any) -> Any:
    return _batches(context, lambda image: image * 0.7 + 0.1)


def turned_shape(context: Any) -> Any:
    return _batches(context, lambda image: tf.transpose(image, (1, 0, 2)))


def hidden_memory(context: Any) -> Any:
    """Declared as nothing."""
    return _images(context).cache().batch(context.batch_size).prefetch(AUTO)


def hidden_table(context: Any) -> Any:
    """Its own cache, of whole epochs."""
    kept: list[Any] = []

    def epoch() -> Any:
        if not kept:
            kept.extend((np.asarray(images), np.asarray(labels)) for images, labels in sound(context))
        yield from kept

    height, width = context.image_size
    spec = (tf.TensorSpec((None, height, width, 3)), tf.TensorSpec((None,), tf.int32))
    return tf.data.Dataset.from_generator(epoch, output_signature=spec)


def hidden_half(context: Any) -> Any:
    """A cache for the first half alone."""
    files = tf.data.Dataset.from_tensor_slices((context.files, list(context.labels)))
    half = len(context.files) // 2
    kept = _images(context, files.take(half)).cache()
    return kept.concatenate(_images(context, files.skip(half))).batch(8)


def fails_to_batch(context: Any) -> Any:
    return _files(context).map(lambda path, label: (_scale(_decode(path)), label)).batch(8)


def fails_by_shape(context: Any) -> Any:
    return _batches(
        context, lambda image: tf.ensure_shape(tf.image.resize(image, tf.shape(image)[:2] // 2), (64, 96, 3))
    )


def fails_by_type(context: Any) -> Any:
    def epoch() -> Any:
        yield from zip(context.files, context.labels, strict=True)

    return tf.data.Dataset.from_generator(
        epoch, output_signature=(tf.TensorSpec((None, 64, 96, 3)), tf.TensorSpec((None,), tf.int32))
    )


def fails_in_python(context: Any) -> Any:
    def look_up(_path: Any) -> Any:
        names: dict[str, Any] = {}
        return names["\t\x1b[31mcolour"]

    def load(path: Any, label: Any) -> Any:
        return tf.py_function(look_up, [path], tf.float32), label

    return _files(context).map(load).batch(8)


def fails_at_once(_context: Any) -> Any:
    raise SystemExit("no licence")


def misses_a_file(context: Any) -> Any:
    files = [*context.files[1:], context.files[0] + ".gone"]
    return _images(context, tf.data.Dataset.from_tensor_slices((files, list(context.labels)))).batch(8)


def wrong_pairs(context: Any) -> Any:
    return _images(context).map(lambda image, label: (image, label, label)).batch(8)


def ends_nowhere(context: Any) -> Any:
    """A loader of its own class: TensorFlow does not count its batches."""
    from harness.bench.loaders.interface import Loader

    batches = _batches(context)

    class Endless(Loader):
        def batches(self) -> Any:
            while True:
                yield from batches

    return Endless(batches, len(context.files), context.batch_size, batches.element_spec, "by path", "TensorFlow's")


def keyed_by_time(context: Any) -> Any:
    """No fault: it keeps what it has decoded, and looks at each file's time of change before it uses it."""
    kept: dict[str, tuple[int, Any]] = {}

    def read(path: str) -> Any:
        changed = os.stat(path).st_mtime_ns
        if path not in kept or kept[path][0] != changed:
            image = _scale(tf.image.resize(_decode(path), context.image_size, method="nearest"))
            kept[path] = changed, np.asarray(image)
        return kept[path][1]

    def epoch() -> Any:
        size, files = context.batch_size, context.files
        for start in range(0, len(files), size):
            images = np.stack([read(path) for path in files[start : start + size]])
            yield images, np.array(context.labels[start : start + size], np.int32)

    height, width = context.image_size
    spec = (tf.TensorSpec((None, height, width, 3)), tf.TensorSpec((None,), tf.int32))
    return tf.data.Dataset.from_generator(epoch, output_signature=spec)


def fixed_file(context: Any) -> Any:
    """A cache file that is found again whatever the data are."""
    return _images(context).cache(os.path.join(os.path.dirname(context.cache_prefix), "mine")).batch(8)


def keyed_file(context: Any) -> Any:
    """No fault: its cache file is where it is told to be."""
    return _images(context).cache(context.cache_prefix).batch(8)


def exhausts_memory(_context: Any) -> Any:
    raise MemoryError("no memory")

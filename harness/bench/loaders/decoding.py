"""Turn a file's bytes into an image of the requested size: equal pixels in every loader, or marked approximate.

All values of ``decoding`` except ``exact`` (integer DCT, smooth chroma upsampling, as PIL bit for bit) are approximate:

* ``fast-dct``: TensorFlow's default, a less exact DCT;
* ``plain-upscaling``: chroma is upsampled by repetition;
* ``scaled``: if an image is at least 2 (4, 8) times the target, libjpeg decodes it at 1/2 (1/4, 1/8) of its size;
* ``cropped``: only the central square is decoded and resized, so the picture differs, as crops in training do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from ..protocol.failure import BenchmarkFailure
from ..protocol.image_formats import SOME_READ
from .interface import CHANNELS, SCALE, LoaderContext

_JPEG_SUFFIXES = (".jpg", ".jpeg")
_OTHER_SUFFIXES = tuple(SOME_READ.values())
_RATIOS = (8, 4, 2, 1)

Decode = Callable[[Any], Any]


def make_decode(context: LoaderContext) -> Decode:
    """Return a function bytes -> image of the target size, values 0 to 255; uint8 for ``nearest``, else float32.

    ``nearest`` picks the same pixels as PIL unless ``(x + 1/2) × width / target`` is a whole number (targets 128, 256,
    512: difference 0.00 on photographs). At 224 that happens in every seventh column of common sizes, and rounding
    decides between two neighbours: 7 % of the pixels differ, by 0.8 of 255 in the mean.
    """
    decode, resize = make_plain_decode(context), make_resize(context)
    return lambda data: resize(decode(data))


def make_resize(context: LoaderContext) -> Callable[[Any], Any]:
    """Return a function that resizes a decoded image to the target size."""
    method, has_antialias = _parse_interpolation(context.interpolation)
    height, width = context.image_size

    def resize(image: Any) -> Any:
        if method == "nearest":
            image = pick_nearest(image, (height, width))
        else:
            image = tf.image.resize(image, (height, width), method=method, antialias=has_antialias)
        return tf.ensure_shape(image, (height, width, CHANNELS))

    return resize


def pick_nearest(image: Any, size: tuple[int, int]) -> Any:
    """Return the pixels at ``(i + 1/2) × side / target``, in integers: equal to the yardstick's bit for bit.

    ``tf.image.resize(image, size, method="nearest")`` picks the same except where it rounds (nowhere at 128, 256, 512
    px), in twice the CPU time: it divides and copies for each pixel. Here all indices are computed at once, and whole
    rows are taken first, so that the pixels of a column are then close in memory.
    """
    shape = tf.shape(image)
    rows, columns = ((2 * tf.range(target) + 1) * shape[axis] // (2 * target) for axis, target in enumerate(size))
    return tf.gather(tf.gather(image, rows), columns, axis=1)


def make_plain_decode(context: LoaderContext) -> Decode:
    """Return a function bytes -> image of the size at which it was decoded.

    ``decode_jpeg`` also reads PNGs and goes by content, not by suffix, so pixels are exact in any case. If a set has
    files of other formats, files that are not JPEGs go to ``decode_image``.
    """
    options = {"channels": CHANNELS, "dct_method": _dct_method(context)}
    if context.decoding == "plain-upscaling":
        options["fancy_upscaling"] = False
    if context.decoding == "scaled":
        _refuse_others(context)
        return _make_scaled(context.image_size, options)
    if context.decoding == "cropped":
        _refuse_others(context)
        return lambda data: tf.io.decode_and_crop_jpeg(data, _central_square(data), **options)
    if not any(path.lower().endswith(_OTHER_SUFFIXES) for path in context.paths):
        return lambda data: tf.io.decode_jpeg(data, **options)
    return lambda data: tf.cond(
        tf.io.is_jpeg(data), lambda: tf.io.decode_jpeg(data, **options), lambda: _decode_other(data)
    )


def _decode_other(data: Any) -> Any:
    """Decode a BMP, GIF (its first frame), WebP or PNG."""
    image = tf.io.decode_image(data, channels=CHANNELS, expand_animations=False)
    return tf.ensure_shape(image, (None, None, CHANNELS))


def _refuse_others(context: LoaderContext) -> None:
    """Raise BenchmarkFailure if a data set has files other than JPEGs, by their names."""
    other = next((path for path in context.paths if not path.lower().endswith(_JPEG_SUFFIXES)), None)
    if other is not None:
        raise BenchmarkFailure("data", f"decoding `{context.decoding}` reads only JPEGs, and {other} is not one")


def _make_scaled(size: tuple[int, int], options: dict[str, Any]) -> Decode:
    height, width = size

    def decode(data: Any) -> Any:
        shape = tf.io.extract_jpeg_shape(data)
        fitting = tf.minimum(shape[0] // height, shape[1] // width)
        branch = tf.reduce_sum(tf.cast(fitting < tf.constant(_RATIOS[:-1]), tf.int32))
        return tf.switch_case(
            branch, [lambda ratio=ratio: tf.io.decode_jpeg(data, ratio=ratio, **options) for ratio in _RATIOS]
        )

    return decode


def _central_square(data: Any) -> Any:
    """Return (y, x, height, width) of the central square."""
    shape = tf.io.extract_jpeg_shape(data)
    side = tf.minimum(shape[0], shape[1])
    return tf.stack([(shape[0] - side) // 2, (shape[1] - side) // 2, side, side])


def scale(image: Any) -> Any:
    """Convert pixels (0 to 255) of any type to float32 from 0 to 1; uint8 in one pass, with bit-identical results."""
    if image.dtype == tf.uint8:
        return tf.quantization.dequantize(tf.bitcast(image, tf.quint8), 0.0, 1.0)
    return tf.cast(image, tf.float32) * SCALE


def to_uint8(image: Any) -> Any:
    """Convert pixels (0 to 255) to uint8: unchanged for uint8 (``nearest``), else rounded, by at most 0.5."""
    return image if image.dtype == tf.uint8 else tf.saturate_cast(tf.round(image), tf.uint8)


def describe_decoder(context: LoaderContext) -> str:
    """Return the decoder's name and DCT: exact as PIL's for equal pixels, TensorFlow's default for native ones."""
    dct = _dct_method(context) or "default"
    extra = "" if context.decoding in ("exact", "fast-dct") else f", {context.decoding}"
    return f"tf.io.decode_jpeg, {dct} DCT{extra}"


def _dct_method(context: LoaderContext) -> str:
    if context.decoding == "fast-dct":
        return "INTEGER_FAST"
    return "" if context.is_native else "INTEGER_ACCURATE"


def _parse_interpolation(name: str) -> tuple[str, bool]:
    return ("bilinear", True) if name == "bilinear-antialias" else (name, False)

"""From a file's bytes to an image of the asked size: the same pixels in every loader, or said to be others.

``decoding`` beside ``exact`` (integer DCT, smooth upscaling of colours: to the bit what PIL gives) are approximate:

* ``fast-dct``: TensorFlow's default, a less exact DCT;
* ``plain-upscaling``: colours are upscaled by repeating them;
* ``scaled``: where an image is at least twice (4, 8 times) the target, libjpeg decodes it at half (…) the size;
* ``cropped``: only the central square is decoded, and then resized: another picture, as crops of training are.
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
    """A function bytes -> image of the target size in grey levels: uint8 with ``nearest``, float32 with others.

    ``nearest`` takes the same pixels as PIL's where ``(x + 1/2) × width / target`` meets no whole number (targets 128,
    256, 512: difference 0.00 on photographs). At 224 it does in every seventh column of common sizes, where rounding
    decides for one neighbour or the other: 7 % of the pixels, 0.8 grey levels in the mean.
    """
    decode, resize = make_plain_decode(context), make_resize(context)
    return lambda data: resize(decode(data))


def make_resize(context: LoaderContext) -> Callable[[Any], Any]:
    """A function image as it was decoded -> image of the target size."""
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
    """The pixels at ``(i + 1/2) × side / target``, in whole numbers: the yardstick's to the bit.

    ``tf.image.resize(image, size, method="nearest")`` takes the same but where it rounds (nowhere at 128, 256, 512 px),
    in twice the CPU time: it divides and calls a copy for each pixel. Here all places are computed at once, and the
    rows are taken first, whole: of what is left, a column's pixels lie near each other.
    """
    shape = tf.shape(image)
    rows, columns = ((2 * tf.range(target) + 1) * shape[axis] // (2 * target) for axis, target in enumerate(size))
    return tf.gather(tf.gather(image, rows), columns, axis=1)


def make_plain_decode(context: LoaderContext) -> Decode:
    """A function bytes -> image of the size that it was decoded at.

    ``decode_jpeg`` reads PNGs, too, and goes by the content: whatever a file is called, its pixels are exact. Where a
    set has other files, those that are no JPEGs are given to ``decode_image``.
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
    """A BMP, GIF, WebP or PNG, of a GIF the first picture."""
    image = tf.io.decode_image(data, channels=CHANNELS, expand_animations=False)
    return tf.ensure_shape(image, (None, None, CHANNELS))


def _refuse_others(context: LoaderContext) -> None:
    """Raise where a data set has other files than JPEGs, by their names."""
    other = next((path for path in context.paths if not path.lower().endswith(_JPEG_SUFFIXES)), None)
    if other is not None:
        raise BenchmarkFailure("data", f"decoding `{context.decoding}` reads JPEGs only, and {other} is none")


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
    """(y, x, height, width)."""
    shape = tf.io.extract_jpeg_shape(data)
    side = tf.minimum(shape[0], shape[1])
    return tf.stack([(shape[0] - side) // 2, (shape[1] - side) // 2, side, side])


def scale(image: Any) -> Any:
    """Grey levels of any type to float32 from 0 to 1; of uint8 in one pass, the same numbers to the bit."""
    if image.dtype == tf.uint8:
        return tf.quantization.dequantize(tf.bitcast(image, tf.quint8), 0.0, 1.0)
    return tf.cast(image, tf.float32) * SCALE


def to_uint8(image: Any) -> Any:
    """Grey levels as uint8: unchanged where they are (``nearest``), else rounded (by at most half a level)."""
    return image if image.dtype == tf.uint8 else tf.saturate_cast(tf.round(image), tf.uint8)


def describe_decoder(context: LoaderContext) -> str:
    """What decodes: for equal pixels with the exact DCT, as PIL does; for native ones with TensorFlow's default."""
    dct = _dct_method(context) or "default"
    extra = "" if context.decoding in ("exact", "fast-dct") else f", {context.decoding}"
    return f"tf.io.decode_jpeg, {dct} DCT{extra}"


def _dct_method(context: LoaderContext) -> str:
    if context.decoding == "fast-dct":
        return "INTEGER_FAST"
    return "" if context.is_native else "INTEGER_ACCURATE"


def _parse_interpolation(name: str) -> tuple[str, bool]:
    return ("bilinear", True) if name == "bilinear-antialias" else (name, False)

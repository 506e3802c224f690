"""Decoding with PIL and picking pixels with numpy: what the loaders in plain Python share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from .interface import CHANNELS, SCALE, LoaderContext
from .tfrecords import read_place

STAGES = ("read", "decode", "resize", "batch", "scale")
"""Of the loaders that use ``read_image`` and ``make_batch``."""
_PIL_FILTERS = {"nearest": Image.Resampling.NEAREST, "bilinear-antialias": Image.Resampling.BILINEAR}


def read_image(path: str, context: LoaderContext) -> Any:
    """The image at ``path``, resized: (height, width, 3) uint8. As ImageDataGenerator does it.

    Where ``until`` of the context asks for no more: its bytes, or the decoded image.
    """
    if context.until == "read":
        return read_place(path)
    height, width = context.image_size
    with Image.open(path if context.features is None else BytesIO(read_place(path))) as image:
        decoded = image.convert("RGB")
        if context.until == "decode":
            return decoded
        resized = decoded.resize((width, height), _PIL_FILTERS[context.interpolation])
    return np.asarray(resized)


def is_batched(context: LoaderContext) -> bool:
    """Whether images are put into one array: not where ``until`` of the context ends before that."""
    return "batch" in context.running(STAGES)


def make_batch(images: list[Any], context: LoaderContext) -> Any:
    """One array of images, of the type that is to be delivered; as far as ``until`` of the context goes."""
    return finish_batch(np.stack(images), context) if is_batched(context) else images


def list_images(pairs: Sequence[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    """A batch, of (image, label) pairs, whose images are not put into one array."""
    return [image for image, _ in pairs], [number for _, number in pairs]


def finish_batch(images: Any, context: LoaderContext) -> Any:
    """Scale an array of uint8 images, where the context asks for it and ``until`` goes so far."""
    return scale_batch(images) if context.is_scaled and context.until != "batch" else images


def scale_batch(images: Any) -> Any:
    """uint8 images to float32 from 0 to 1."""
    return np.multiply(images, np.float32(SCALE), dtype=np.float32)


_PIXEL = np.dtype((np.void, CHANNELS))


def pick_nearest(image: Any, size: tuple[int, int]) -> Any:
    """The pixels that PIL's and TensorFlow's ``nearest`` take: those at ``(i + 1/2) × side / target``."""
    height, width = size
    pixels = image.reshape(image.shape[0], -1).view(_PIXEL)  # (height, width), a pixel an item: three times as fast
    picked = pixels[_indices(image.shape[0], height)[:, None], _indices(image.shape[1], width)]
    return picked.view(np.uint8).reshape(height, width, CHANNELS)


@cache
def _indices(side: int, target: int) -> Any:
    return ((np.arange(target) + 0.5) * side / target).astype(np.intp)

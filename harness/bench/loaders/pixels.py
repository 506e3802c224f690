"""Decoding with PIL and picking pixels with numpy: what the loaders in plain Python share."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from .interface import CHANNELS, SCALE, LoaderContext
from .tfrecords import read_place

_PIL_FILTERS = {"nearest": Image.Resampling.NEAREST, "bilinear-antialias": Image.Resampling.BILINEAR}


def read_image(path: str, context: LoaderContext) -> Any:
    """The image at ``path``, resized: (height, width, 3) uint8. As ImageDataGenerator does it."""
    height, width = context.image_size
    with Image.open(path if context.features is None else BytesIO(read_place(path))) as image:
        resized = image.convert("RGB").resize((width, height), _PIL_FILTERS[context.interpolation])
    return np.asarray(resized)


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

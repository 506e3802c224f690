"""A set of images that carry their own index in their pixels, and the reader that finds it again.

The upper half of each picture is a band of blocks: the eight bits of its index, and below them their complement,
dark for 0 and bright for 1; means over blocks survive JPEG and any resizing. The lower half is texture
from which the wrong filter, a shifted crop or another picture shows. Widths and heights are odd, so that no
sample point of ``nearest`` falls between two pixels.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .listing import list_tfrecord
from .manifest import Manifest, write_manifest
from .protocol import write_json
from .synthesis import mix, random_bytes
from .tfrecords import FORMAT, Features, pack_record

Pixels = NDArray[np.float32]

COUNT = 27
"""With batches of eight the last one is short: a loader that drops it is caught."""
CLASSES = ("ant", "bee", "cow", "dog", "elk")
BITS = 8
DARK, BRIGHT = 40, 215
PICTURES = "pictures"


def label_of(index: int) -> int:
    """The label of a picture; neighbours in any order differ often."""
    return (3 * index + index // len(CLASSES)) % len(CLASSES)


def size_of(index: int) -> tuple[int, int]:
    """(height, width) of a picture: odd, and each its own."""
    return 97 + 2 * (index % 9), 129 + 2 * (index * 5 % 11)


def draw(index: int, seed: int) -> NDArray[np.uint8]:
    """One picture, (height, width, 3)."""
    height, width = size_of(index)
    middle = height // 2
    picture = np.empty((height, width, 3), np.uint8)
    bits = [(index >> bit) & 1 for bit in range(BITS)]
    for row, values in enumerate((bits, [1 - bit for bit in bits])):
        top, bottom = row * middle // 2, (row + 1) * middle // 2
        for column, bit in enumerate(values):
            left, right = column * width // BITS, (column + 1) * width // BITS
            picture[top:bottom, left:right] = BRIGHT if bit else DARK
    key = mix(seed, index)
    rows = height - middle
    grain = random_bytes(key, rows * width).reshape(rows, width, 1) >> np.uint8(1)
    tint = random_bytes(mix(key, 1), 3) >> np.uint8(2)
    picture[middle:] = 32 + grain + tint
    return picture


def make_indexed(folder: str, dataset: str, kind: str, seed: int, count: int = COUNT) -> Manifest:
    """Write the set, as a folder of classes or flat as a COCO pair's images, with its manifest.

    As TFRecord files ``folder`` holds two of them, and the pictures lie flat in ``pictures`` beside it: the manifest
    that is given names these, the one that is written the places in the records.
    """
    if kind == "tfrecord":
        return _make_records(Path(folder), Path(dataset), seed, count)
    rows = []
    for index in range(count):
        name = CLASSES[label_of(index)]
        path = f"{name}/{index:03d}.jpg" if kind == "folder" else f"{index:03d}.jpg"
        data = BytesIO()
        picture = draw(index, seed)
        Image.fromarray(picture).save(data, "JPEG", quality=95, subsampling=0)
        target = os.path.join(folder, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as stream:
            stream.write(data.getvalue())
        digest = hashlib.sha256(data.getvalue()).hexdigest()
        rows.append((path, label_of(index), picture.shape[1], picture.shape[0], len(data.getvalue()), digest))
    rows.sort(key=lambda row: row[0].encode())
    paths, labels, widths, heights, sizes, digests = (tuple(column) for column in zip(*rows, strict=True))
    manifest = Manifest(paths, labels, widths, heights, sizes, digests, CLASSES)
    write_manifest(Path(dataset), manifest)
    return manifest


_FEATURES = Features("image", "label", tuple(range(len(CLASSES))))


def _make_records(folder: Path, dataset: Path, seed: int, count: int) -> Manifest:
    pictures = folder.parent / PICTURES
    flat = make_indexed(str(pictures), str(dataset.parent / "flat"), "coco", seed, count)
    folder.mkdir(parents=True, exist_ok=True)
    half = len(flat) // 2
    for number, span in enumerate((range(half), range(half, len(flat)))):
        packed = [pack_record((pictures / flat.paths[i]).read_bytes(), flat.labels[i], _FEATURES) for i in span]
        (folder / f"indexed.tfrecord-{number:05d}-of-00002").write_bytes(b"".join(packed))
    listing = list_tfrecord(folder)
    write_manifest(dataset, replace(flat, paths=listing.paths))
    write_json(dataset / FORMAT, asdict(_FEATURES))
    return flat


def read_index(image: Pixels) -> int | None:
    """The index in an image of any size, values from 0 to 1; None where bits and complement disagree."""
    height, width = image.shape[:2]
    middle = height // 2
    rows = []
    for row in range(2):
        top, bottom = row * middle // 2, (row + 1) * middle // 2
        inner = slice(top + (bottom - top) // 4, bottom - (bottom - top) // 4)
        values = []
        for column in range(BITS):
            left, right = column * width // BITS, (column + 1) * width // BITS
            edge = (right - left) // 4
            values.append(float(image[inner, left + edge : right - edge].mean()) > 0.5)
        rows.append(values)
    if any(bit == other for bit, other in zip(*rows, strict=True)):
        return None
    return sum(1 << bit for bit, value in enumerate(rows[0]) if value)


def reference(path: str, size: tuple[int, int], interpolation: str, *, is_cropped: bool = False) -> Pixels:
    """A picture, or its central square, as PIL decodes it and as this module resizes it.

    (height, width, 3), values from 0 to 1.
    """
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), np.float32)
    if is_cropped:
        side = min(pixels.shape[:2])
        top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
        pixels = pixels[top : top + side, left : left + side]
    weigh = FILTERS[interpolation]
    rows, columns = weigh(pixels.shape[0], size[0]), weigh(pixels.shape[1], size[1])
    resized: Pixels = np.einsum("yh,hwc,xw->yxc", rows, pixels, columns, optimize=True) / np.float32(255)
    return resized.astype(np.float32)


def _weigh_nearest(source: int, target: int) -> Pixels:
    """Weights (target, source): the pixel in which the sample point lies, ``floor((i + 1/2) · source / target)``."""
    weights = np.zeros((target, source), np.float32)
    for i in range(target):
        weights[i, min(source - 1, int((i + 0.5) * source / target))] = 1
    return weights


def _weigh_bilinear(source: int, target: int) -> Pixels:
    """The two pixels beside the sample point, by distance; the first and last repeated beyond the edge."""
    weights = np.zeros((target, source), np.float32)
    for i in range(target):
        point = (i + 0.5) * source / target - 0.5
        low = int(np.floor(point))
        for pixel, weight in ((low, 1 - (point - low)), (low + 1, point - low)):
            weights[i, min(max(pixel, 0), source - 1)] += weight
    return weights


def _weigh_antialias(source: int, target: int) -> Pixels:
    """A triangle as wide as the reduction, normalised: what PIL calls bilinear."""
    scale = max(1.0, source / target)
    centres = (np.arange(target)[:, None] + 0.5) * source / target
    weights = np.maximum(0.0, 1 - np.abs(np.arange(source)[None, :] + 0.5 - centres) / scale)
    normalised: Pixels = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised


FILTERS: dict[str, Callable[[int, int], Pixels]] = {
    "nearest": _weigh_nearest,
    "bilinear": _weigh_bilinear,
    "bilinear-antialias": _weigh_antialias,
}
"""The filters of ``interpolation``: weights by (source, target)."""

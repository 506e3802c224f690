"""A set of images that carry their index in their pixels, and the reader that finds it again.

The upper half of each picture is a band of blocks: the eight bits of its index, and below them their complement,
dark for 0 and bright for 1; means over blocks survive JPEG and any resizing. The lower half is coloured texture that
reveals a wrong filter, a shifted crop, exchanged channels or another picture. Widths and heights are odd, so that no
sample point of ``nearest`` falls between two pixels.

The contents of the set's files can be exchanged (``IndexedSet.show``): what a loader delivers afterwards shows whether
it read the files again.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..loaders.manifest import Manifest, write_manifest
from ..loaders.tfrecords import FORMAT, Features, pack_record
from ..protocol.protocol import write_json
from .listing import list_tfrecord
from .synthesis import mix, random_bytes

Pixels = NDArray[np.float32]

COUNT = 27
"""With batches of eight the last one is short: a loader that drops it is detected."""
STRIDE = 32
"""Place ``n`` of the set shows picture ``n``, and in generation ``g`` picture ``n + g * STRIDE``."""
GENERATIONS = 2
CLASSES = ("ant", "bee", "cow", "dog", "elk")
BITS = 8
DARK, BRIGHT = 40, 215
_TINTS = tuple(itertools.permutations((0, 32, 64)))
"""Offsets of red, green and blue: far enough apart that exchanged or missing channels show in every picture."""
_AGE_S = 3600.0
"""Age given to the files: a later modification is visible in the modification time, however coarse that is."""


def label_of(index: int) -> int:
    """Return the label of a picture: the same in each generation, and different for most neighbours in any order."""
    place = index % STRIDE
    return (3 * place + place // len(CLASSES)) % len(CLASSES)


def size_of(index: int) -> tuple[int, int]:
    """Return (height, width) of a picture: odd, specific to its place, and the same in each generation."""
    place = index % STRIDE
    return 97 + 2 * (place % 9), 129 + 2 * (place * 5 % 11)


def draw(index: int, seed: int) -> NDArray[np.uint8]:
    """Draw one picture; uint8 of shape (height, width, 3)."""
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
    tint = np.array(_TINTS[mix(key, 1) % len(_TINTS)], np.uint8)
    picture[middle:] = 32 + grain + tint
    return picture


def encode(index: int, seed: int) -> bytes:
    """Encode a picture as JPEG."""
    stream = BytesIO()
    Image.fromarray(draw(index, seed)).save(stream, "JPEG", quality=95, subsampling=0)
    return stream.getvalue()


def pad(jpeg: bytes, length: int) -> bytes:
    """Lengthen a JPEG to ``length`` bytes by inserting a comment; ``length`` must exceed its size by at least four."""
    size = length - len(jpeg)
    return jpeg[:2] + b"\xff\xfe" + (size - 2).to_bytes(2, "big") + b" " * (size - 4) + jpeg[2:]


_FEATURES = Features("image", "label", tuple(range(len(CLASSES))))


class IndexedSet:
    """The set on disk: class folders, a flat folder as in a COCO pair, or two TFRecord files.

    All generations of a place have the same path, label, width, height and number of bytes, and differ in their pixels
    alone: what a loader knows from listing, measuring or opening the files remains valid. ``pictures`` are the JPEGs of
    all generations by index.
    """

    def __init__(self, root: Path, kind: str, seed: int, count: int = COUNT) -> None:
        self.kind = kind
        self.images = root / "images"
        self.dataset = root / "dataset"
        self._is_coco = kind != "folder"
        self.count = count
        self.pictures = _encode_all(count, seed)
        self._made_at = time.time() - _AGE_S
        for path, content in self._contents(0).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.utime(path, (self._made_at, self._made_at))
        self._records = list_tfrecord(self.images).paths if kind == "tfrecord" else None
        write_manifest(self.dataset, self.manifest(0))
        if kind == "tfrecord":
            write_json(self.dataset / FORMAT, asdict(_FEATURES))

    def indices(self, generation: int) -> range:
        """Return the indices of the pictures that the files hold in a generation."""
        return range(generation * STRIDE, generation * STRIDE + self.count)

    def manifest(self, generation: int) -> Manifest:
        """Return the manifest of a generation."""
        rows = []
        for place in range(self.count):
            data = self.pictures[place + generation * STRIDE]
            height, width = size_of(place)
            digest = hashlib.sha256(data).hexdigest()
            rows.append((self._path(place), label_of(place), width, height, len(data), digest))
        rows.sort(key=lambda row: row[0].encode())
        paths, labels, widths, heights, sizes, digests = (tuple(column) for column in zip(*rows, strict=True))
        manifest = Manifest(paths, labels, widths, heights, sizes, digests, CLASSES)
        return manifest if self._records is None else replace(manifest, paths=self._records)

    def show(self, generation: int, *, keep_times: bool = False) -> None:
        """Exchange the contents of the files; ``keep_times`` also keeps their modification times.

        Each file is overwritten in place by one write of the same length: loaders that hold files open or mapped read
        the new contents, as do those that open them, and no reader sees half a file.
        """
        is_old = keep_times or generation == 0
        for path, content in self._contents(generation).items():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                os.pwrite(descriptor, content, 0)
            finally:
                os.close(descriptor)
            os.utime(path, (self._made_at, self._made_at) if is_old else None)

    def _path(self, place: int) -> str:
        return f"{place:03d}.jpg" if self._is_coco else f"{CLASSES[label_of(place)]}/{place:03d}.jpg"

    def _contents(self, generation: int) -> dict[Path, bytes]:
        """Return the contents of a generation's files by path."""
        shown = [self.pictures[place + generation * STRIDE] for place in range(self.count)]
        if self.kind != "tfrecord":
            return {self.images / self._path(place): shown[place] for place in range(self.count)}
        packed = _pack(tuple(shown))
        half = len(packed) // 2
        names = [self.images / f"indexed.tfrecord-{number:05d}-of-00002" for number in range(2)]
        return {names[0]: b"".join(packed[:half]), names[1]: b"".join(packed[half:])}


@functools.cache
def _encode_all(count: int, seed: int) -> dict[int, bytes]:
    """Return the JPEGs of all generations by index; those of one place have equal length."""
    found: dict[int, bytes] = {}
    for place in range(count):
        indices = range(place, GENERATIONS * STRIDE, STRIDE)
        encoded = [encode(index, seed) for index in indices]
        length = max(map(len, encoded)) + 8
        found.update(zip(indices, (pad(data, length) for data in encoded), strict=True))
    return found


@functools.cache
def _pack(shown: tuple[bytes, ...]) -> list[bytes]:
    return [pack_record(data, label_of(place), _FEATURES) for place, data in enumerate(shown)]


def read_index(image: Pixels) -> int | None:
    """Read the index in an image of any size, values from 0 to 1; return None if bits and complement disagree."""
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


def decode(data: bytes) -> Pixels:
    """Decode a picture as PIL does; float32 of shape (height, width, 3), values from 0 to 255."""
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), np.float32)


def resize(pixels: Pixels, size: tuple[int, int], interpolation: str) -> Pixels:
    """Resize pixels (0 to 255) with one of ``FILTERS``; float32 of shape (height, width, 3), values from 0 to 1."""
    rows, columns = (_taps(interpolation, *sides) for sides in zip(pixels.shape, size, strict=False))
    tall = np.sum([pixels[source] * weight[:, None, None] for source, weight in rows], axis=0)
    wide: Pixels = np.sum([tall[:, source] * weight[:, None] for source, weight in columns], axis=0)
    return wide / np.float32(255)


@functools.cache
def _taps(interpolation: str, source: int, target: int) -> list[tuple[NDArray[np.intp], Pixels]]:
    """Return the weights of a filter, a few per target, as (source, weight): a matrix product would start threads."""
    weights = FILTERS[interpolation](source, target)
    count = int((weights > 0).sum(axis=1).max())
    order = np.argsort(-weights, axis=1)[:, :count]
    return [(order[:, tap], np.take_along_axis(weights, order, axis=1)[:, tap]) for tap in range(count)]


def central_square(pixels: Pixels) -> Pixels:
    """Cut out the central square."""
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return pixels[top : top + side, left : left + side]


def _weigh_nearest(source: int, target: int) -> Pixels:
    """Return weights (target, source): the pixel of the sample point, ``floor((i + 1/2) · source / target)``."""
    weights = np.zeros((target, source), np.float32)
    for i in range(target):
        weights[i, min(source - 1, int((i + 0.5) * source / target))] = 1
    return weights


def _weigh_bilinear(source: int, target: int) -> Pixels:
    """Return weights of the two pixels beside the sample point, by distance; edge pixels are repeated outside."""
    weights = np.zeros((target, source), np.float32)
    for i in range(target):
        point = (i + 0.5) * source / target - 0.5
        low = int(np.floor(point))
        for pixel, weight in ((low, 1 - (point - low)), (low + 1, point - low)):
            weights[i, min(max(pixel, 0), source - 1)] += weight
    return weights


def _weigh_antialias(source: int, target: int) -> Pixels:
    """Return weights of a triangle as wide as the reduction, normalised: PIL's bilinear filter."""
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
"""The filters of ``interpolation``: weights (target, source) by (source, target) lengths."""

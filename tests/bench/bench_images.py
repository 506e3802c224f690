"""Small real images that can be told from each other, as a folder of classes or as a COCO pair, with their manifest."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from harness.bench.data.dataset import prepare
from harness.bench.data.listing import list_tfrecord
from harness.bench.loaders.interface import LoaderContext
from harness.bench.loaders.manifest import Manifest, read_manifest, write_manifest
from harness.bench.loaders.tfrecords import Features, pack_record, read_features, read_place

CLASSES = ("cat", "dog", "empty one", "zebra")
ENOUGH_WORKERS = {"grain-processes": 1}
"""Of loaders whose workers each import TensorFlow, which takes seconds, where a test is not about their number."""


@dataclass(frozen=True)
class Made:
    """A data set on disk."""

    kind: str
    folder: Path
    dataset: Path
    manifest: Manifest

    def context(self, scratch: Path, **changes: object) -> LoaderContext:
        scratch.mkdir(exist_ok=True)
        fields: dict[str, Any] = {
            "kind": self.kind,
            "features": read_features(self.dataset) if self.kind == "tfrecord" else None,
            "folder": str(self.folder),
            "paths": self.manifest.paths,
            "labels": self.manifest.labels,
            "classes": self.manifest.classes,
            "scratch": str(scratch),
            "image_size": (32, 32),
            "batch_size": 4,
            "interpolation": "nearest",
            "seed": 5,
        }
        return LoaderContext(**{**fields, **changes})


def make_images(root: Path, kind: str = "folder", count: int = 13) -> Made:
    """``count`` JPEGs (one greyscale) and one PNG in four classes, one of them empty."""
    if kind == "tfrecord":
        return _make_records(root, count)
    folder, dataset = root / "images", root / "dataset"
    names = [f"{index:02d}.{'png' if index == 3 else 'jpg'}" for index in range(count)]
    labels = [(0, 1, 3)[index % 3] for index in range(count)]
    paths = [
        f"{CLASSES[label]}/{name}" if kind == "folder" else name for name, label in zip(names, labels, strict=True)
    ]
    for name in CLASSES if kind == "folder" else ():
        (folder / name).mkdir(parents=True)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for index, (path, label) in enumerate(zip(paths, labels, strict=True)):
        image = _draw(index)
        image.save(folder / path, quality=92)
        data = (folder / path).read_bytes()
        rows.append((path, label, *image.size, len(data), hashlib.sha256(data).hexdigest()))
    rows.sort(key=lambda row: row[0].encode())
    manifest = Manifest(*zip(*rows, strict=True), classes=CLASSES)  # type: ignore[misc]
    write_manifest(dataset, manifest)
    return Made(kind, folder, dataset, manifest)


def _make_records(root: Path, count: int) -> Made:
    """The same images in three TFRecord files, checked as a session checks them."""
    flat = make_images(root / "flat", "coco", count)
    folder, dataset = root / "records", root / "dataset"
    folder.mkdir()
    (folder / "label.labels.txt").write_text("\n".join(CLASSES) + "\n")
    packed = [
        pack_record((flat.folder / path).read_bytes(), label, Features("image", "label"))
        for path, label in zip(flat.manifest.paths, flat.manifest.labels, strict=True)
    ]
    for number in range(3):
        (folder / f"made.tfrecord-{number:05d}-of-00003").write_bytes(b"".join(packed[number::3]))
    prepare(list_tfrecord(folder), dataset, cpus=1)
    return Made("tfrecord", folder, dataset, read_manifest(dataset))


def _draw(index: int) -> Image.Image:
    """Coloured blocks: no two images alike, with edges that a wrong filter shows."""
    numbers = random.Random(index)
    width, height = 40 + 7 * index, 96 - 3 * index
    seeds = np.array([[[numbers.randrange(256) for _ in range(3)] for _ in range(6)] for _ in range(5)], np.uint8)
    image = Image.fromarray(seeds).resize((width, height), Image.Resampling.BOX)
    return image.convert("L") if index == 5 else image


def read_reference(made: Made, size: tuple[int, int], resample: Image.Resampling) -> np.ndarray:
    """The images in the manifest's order as PIL gives them: (images, height, width, 3) float32, grey levels."""
    images = []
    for path in made.manifest.paths:
        with Image.open(BytesIO(read_place(str(made.folder / path)))) as image:
            images.append(np.asarray(image.convert("RGB").resize((size[1], size[0]), resample), np.float32))
    return np.stack(images)

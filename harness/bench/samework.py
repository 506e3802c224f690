"""Task ``samework``: every loader of a session does the same work, proven on a set whose images carry their index.

``python -m bench.samework JOB_FOLDER``; ``variants`` of the request are the cases to try, each with its ``key``
and the ``kind`` of its data. One start of TensorFlow serves all of them. What it leaves in
``dataset.json``: ``variants`` by key, each ``{"is_proven", "problems", "pixel_difference", …}``; a difference
is a mean over a picture, in grey levels.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .indexed import CLASSES, COUNT, FILTERS, PICTURES, Pixels, label_of, make_indexed, read_index, reference
from .manifest import Manifest
from .preparation import Job, run_task
from .protocol import REQUEST, write_json

SIZE = (64, 96)
"""(height, width): not square, so that exchanged sides show."""
BATCH = 8
EPOCHS = 2
"""The second one reads a cache, or comes in another order."""
TOLERANCES = {"nearest": 2.5, "bilinear": 2.0, "bilinear-antialias": 2.0}
"""Grey levels, mean over a picture: TensorFlow's default DCT differs from PIL's by 1.2 to 1.4 here, a wrong filter by
8 and more."""
APPROXIMATE_TOLERANCE = 6.0
"""For approximate decodings, whose error is measured on the case's own images besides: less than a wrong filter's."""
_MOST_NAMED = 4

Batches = Iterable[tuple[Any, Any]]


class Findings:
    """What is wrong with one variant; each kind of fault is told once, with its first examples."""

    def __init__(self) -> None:
        self._examples: dict[str, list[str]] = {}

    def add(self, fault: str, example: str = "") -> None:
        """One more case of a fault."""
        self._examples.setdefault(fault, []).append(example)

    def as_words(self) -> list[str]:
        """One line a fault."""
        lines = []
        for fault, examples in self._examples.items():
            named = [example for example in examples if example]
            more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
            lines.append(f"{fault}: {', '.join(named[:_MOST_NAMED])}{more}" if named else fault)
        return lines


def check_epochs(
    epochs: Iterable[Batches],
    folder: str,
    manifest: Manifest,
    interpolation: str,
    *,
    tolerance: float | None = None,
    is_cropped: bool = False,
) -> dict[str, Any]:
    """Hold what a loader delivered in some epochs to the set: the fields of one variant.

    Images (batch, height, width, 3) float32 from 0 to 1; ``interpolation`` is never ``native``. A set without
    random changes of its pixels is presumed. ``is_cropped``: the central square is what was to be seen.
    """
    paths = {int(Path(path).stem): os.path.join(folder, path) for path in manifest.paths}
    found, worst = Findings(), 0.0
    references: dict[int, dict[str, Pixels]] = {}
    tolerance = TOLERANCES[interpolation] if tolerance is None else tolerance
    if is_cropped:
        references = {
            index: {interpolation: reference(paths[index], SIZE, interpolation, is_cropped=True)} for index in paths
        }
    for number, batches in enumerate(epochs, start=1):
        seen: Counter[int] = Counter()
        for images, labels in batches:
            pictures = _check_batch(np.asarray(images), found)
            if pictures is None:
                continue
            for image, label in zip(pictures, np.asarray(labels), strict=True):
                index = _find_nearest(image, references) if is_cropped else read_index(image)
                if index is None or index not in paths:
                    found.add(
                        f"epoch {number} delivers pictures that are not of the set", "" if index is None else str(index)
                    )
                    continue
                seen[index] += 1
                if int(label) != label_of(index):
                    found.add("wrong labels", f"picture {index} has {_class(int(label))}, is {_class(label_of(index))}")
                if index not in references:
                    references[index] = {name: reference(paths[index], SIZE, name) for name in FILTERS}
                worst = max(worst, _check_pixels(image, references[index], interpolation, tolerance, index, found))
        for index in sorted(paths):
            if seen[index] == 0:
                found.add(f"epoch {number} leaves pictures out", str(index))
            elif seen[index] > 1:
                found.add(f"epoch {number} delivers pictures more than once", f"{index} ({seen[index]} times)")
    return {"problems": found.as_words(), "pixel_difference": round(worst, 3)}


def _check_batch(images: Any, found: Findings) -> Any:
    """Type, shape and range; gives the batch with values from 0 to 1, so that the rest can be read."""
    if images.dtype != np.float32:
        found.add(f"its images are {images.dtype}, not float32")
    if images.ndim != 4 or images.shape[1:] != (*SIZE, 3):
        found.add(f"its images have the shape {images.shape[1:]}, not {(*SIZE, 3)}")
        return None
    if images.shape[0] > BATCH:
        found.add(f"its batches hold {images.shape[0]} images, not {BATCH}")
    top, bottom = float(images.max()), float(images.min())
    if top > 2.0:
        found.add("its values go from 0 to 255, not to 1")
        return images.astype(np.float32) / np.float32(255)
    if top > 1.01 or bottom < -0.01 or top < 0.5:
        found.add(f"its values go from {bottom:.2f} to {top:.2f}, not from 0 to 1")
    return images


def _check_pixels(
    image: Pixels, references: Mapping[str, Pixels], interpolation: str, tolerance: float, index: int, found: Findings
) -> float:
    differences = {name: 255 * float(np.abs(image - pixels).mean()) for name, pixels in references.items()}
    own = differences[interpolation]
    if own > tolerance:
        nearest = min(differences, key=lambda name: differences[name])
        looks = f", as of {nearest}" if differences[nearest] <= TOLERANCES[nearest] else ""
        found.add(f"its pixels are not those of {interpolation}", f"picture {index} {own:.1f} grey levels off{looks}")
    return own


def _find_nearest(image: Pixels, references: Mapping[int, Mapping[str, Pixels]]) -> int:
    """The picture whose central square an image is most like: a crop has lost bits of its index."""
    return min(
        references, key=lambda index: min(float(np.abs(image - one).mean()) for one in references[index].values())
    )


def _class(label: int) -> str:
    return CLASSES[label] if 0 <= label < len(CLASSES) else str(label)


def try_variant(variant: Mapping[str, Any], folder: Path, made: Mapping[str, Manifest], root: Path) -> dict[str, Any]:
    """Run one loader over the set. ``folder`` is its own, ``root`` holds the sets by kind."""
    from . import invocation
    from .measure_request import read_request

    kind = str(variant["kind"])
    data, dataset = str(root / kind / "images"), str(root / kind / "dataset")
    case = {**variant["case"], "mode": "load", "model": None, "image_size": list(SIZE), "batch_size": BATCH}
    case.update(epochs=EPOCHS, max_images=None, augment="none", gpus=0, page_cache="cold-start", memory_limit="none")
    (folder / "cache").mkdir(parents=True)
    paths = {"data": data, "dataset": dataset, "cache": str(folder / "cache")}
    limits: dict[str, Any] = {"memory_bytes": None, "cpus": [], "gpus": []}
    write_json(folder / REQUEST, {"case": case, "data": {"kind": kind}, "limits": limits, "seed": 11, "paths": paths})
    request = read_request(folder)
    manifest = invocation.read_data(request)
    begun = time.monotonic()
    if request.is_reused:
        from dataclasses import replace

        first = invocation.build(replace(request, is_reused=False), manifest, folder).loader
        first.fill()
        for _batch in first.batches():
            pass
        first.close()
    loader = invocation.build(request, manifest, folder).loader
    loader.fill()
    pictures = str(root / kind / PICTURES) if kind == "tfrecord" else data
    is_near = request.decoding != "exact" or (request.cache == "tfrecord-resized" and request.element == "encoded")
    fields = check_epochs(
        (loader.batches() for _ in range(EPOCHS)),
        pictures,
        made[kind],
        request.interpolation,
        tolerance=APPROXIMATE_TOLERANCE if is_near else None,
        is_cropped=request.decoding == "cropped",
    )
    if loader.images != len(manifest):
        fields["problems"].append(f"it says that it has {loader.images} images, the set has {len(manifest)}")
    loader.close()
    return {
        **fields,
        "is_proven": True,
        "is_approximate": is_near,
        "interpolation": request.interpolation,
        "seconds": time.monotonic() - begun,
    }


def task(job: Job) -> dict[str, Any]:
    """Make the sets, start TensorFlow once, try every variant."""
    variants: list[dict[str, Any]] = job.request["variants"]
    root = job.results.parent / "scratch" / "samework"
    job.enter("check")
    kinds = sorted({str(variant["kind"]) for variant in variants})
    seed = int(job.request.get("seed", 0))
    made = {kind: make_indexed(str(root / kind / "images"), str(root / kind / "dataset"), kind, seed) for kind in kinds}
    _start_tensorflow(variants, root)
    results: dict[str, Any] = {}
    for number, variant in enumerate(variants):
        try:
            results[variant["key"]] = try_variant(variant, root / f"variant-{number}", made, root)
        except Exception as error:
            traceback.print_exc()
            words = f"it failed on the set that proves its work: {type(error).__name__}: {str(error)[:300]}"
            results[variant["key"]] = {"is_proven": True, "problems": [words], "pixel_difference": None}
        job.progress(number + 1, len(variants))
    return {"images": COUNT, "variants": results}


def _start_tensorflow(variants: list[dict[str, Any]], root: Path) -> None:
    from .devices import restrict_gpus
    from .environment import leave_out_pandas, prepare_process

    prepare_process(str(root / "keras"))
    if not any(variant["kind"] == "coco" and variant["case"]["loader"].startswith("keras-idg") for variant in variants):
        leave_out_pandas()
    restrict_gpus([])
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


if __name__ == "__main__":
    status = run_task(task, sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # TensorFlow's threads have been seen to crash while an interpreter ends

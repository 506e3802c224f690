"""A COCO pair (or a folder of classes) several times over, as files of their own.

    python benchmarks/enlarge.py coco/train TARGET --annotations coco/instances.json --times 24

TARGET gets ``images/`` and ``annotations.json`` (or the folders of classes), every image ``--times`` times under names
of its own. They are copies, no links: each is read from storage for itself.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--times", type=int, required=True)
    options = parser.parse_args()
    print(enlarge(options.source, options.annotations, options.target, options.times), "images")


def enlarge(source: Path, annotations: Path | None, target: Path, times: int) -> int:
    """Write the set into ``target``, which must not be there yet; how many images it has."""
    from harness.bench.data.dataset import list_path

    listing = list_path(source, annotations)
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    images = part if annotations is None else part / "images"
    for path in listing.paths:
        for number in range(times):
            copy = images / _name(path, number)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(listing.folder / path, copy)
    if annotations is not None:
        written = _enlarge_labels(json.loads(annotations.read_text(encoding="utf-8")), set(listing.paths), times)
        (part / "annotations.json").write_text(json.dumps(written), encoding="utf-8")
    part.replace(target)
    return len(listing.paths) * times


def _name(path: str, number: int) -> str:
    stem, dot, suffix = path.rpartition(".")
    return f"{stem}-{number:03d}{dot}{suffix}"


def _enlarge_labels(labels: dict[str, Any], paths: set[str], times: int) -> dict[str, Any]:
    """The instances JSON of all copies: each image and annotation once a copy, with ids of its own."""
    images = [image for image in labels["images"] if image["file_name"] in paths]
    known = {image["id"] for image in images}
    step = 1 + max((item["id"] for key in ("images", "annotations") for item in labels[key]), default=0)
    outlines = ("segmentation",)
    return {
        "categories": labels["categories"],
        "images": [
            {**image, "id": image["id"] + number * step, "file_name": _name(image["file_name"], number)}
            for number in range(times)
            for image in images
        ],
        "annotations": [
            {key: value for key, value in item.items() if key not in outlines}
            | {"id": item["id"] + number * step, "image_id": item["image_id"] + number * step}
            for number in range(times)
            for item in labels["annotations"]
            if item["image_id"] in known
        ],
    }


if __name__ == "__main__":
    main()

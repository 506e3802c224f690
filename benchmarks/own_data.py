"""The data of a benchmark: a set of the user's, the same several times over, or a generated one."""

from __future__ import annotations

import argparse
from pathlib import Path

from enlarge import enlarge


def add_options(parser: argparse.ArgumentParser, *, images: int) -> None:
    """What data, and where to work. Without a folder, ``images`` photographs of a profile are generated."""
    parser.add_argument("folder", type=Path, nargs="?", help="one folder of images per class, or a COCO pair's images")
    parser.add_argument("--annotations", type=Path, help="the instances JSON of a COCO pair, or a list")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="take every image of FOLDER N times")
    parser.add_argument("--profile", default="coco", help="without FOLDER: what to generate (coco, dogs-and-cats)")
    parser.add_argument("--images", type=int, default=images, help=f"without FOLDER: how many to generate ({images})")
    parser.add_argument("--scratch", type=Path, default=Path("benchmark-scratch"), help="where sets and caches go")


def find_data(options: argparse.Namespace) -> tuple[Path, Path | None]:
    """(folder of images, annotations or None), made in scratch where it must be, and said on stdout by its maker."""
    from harness.bench.data.generate import make

    scratch: Path = options.scratch.resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    if options.folder is None:
        made = scratch / f"{options.profile}-{options.images}"
        make(options.profile, options.images, 1, made)
        pair = made / "annotations.json"
        return (made / "images", pair) if pair.exists() else (made, None)
    folder = options.folder.resolve()
    annotations = None if options.annotations is None else options.annotations.resolve()
    if options.repeat == 1:
        return folder, annotations
    large = scratch / f"{folder.name}-times-{options.repeat}"
    if not large.exists():
        enlarge(folder, annotations, large, options.repeat)
    return (large, None) if annotations is None else (large / "images", large / "annotations.json")

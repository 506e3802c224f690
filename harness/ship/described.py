"""What ``harness data describe`` found out about data sets of this machine, kept for the other commands."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.bench.protocol.atomic import write_file
from harness.ship.dataset_check import KnownData, parse_known
from harness.values.case import digest_of

if TYPE_CHECKING:
    from harness.inventory import DataSet

DESCRIBED_FOLDER = "described"
_FILE = "dataset.json"


def described_folder(
    path: Path, annotations: Path | None = None, features: tuple[str | None, str | None] = (None, None)
) -> Path:
    """Return where the description of a data set of this machine and the hashes of its files are kept.

    ``path`` is its folder of classes or images, or FOLDER/PATTERN of TFRecord files.
    """
    places = [None if place is None else _absolute(place) for place in (path, annotations)]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness"
    return cache / DESCRIBED_FOLDER / digest_of([*places, *features])[:16]


def _absolute(path: Path) -> str:
    """Return a path as ``resolve_path`` writes it on a host: absolute, without ``..``, links left as they are."""
    return os.path.normpath(path.expanduser().absolute())


def usable_folder(folder: Path) -> Path | None:
    """Return the folder, made where it is not there; None where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def keep_description(folder: Path, description: Mapping[str, object]) -> None:
    """Keep a description; that it cannot be kept costs time only."""
    with contextlib.suppress(OSError):
        write_file(folder / _FILE, json.dumps(description))


def read_described(source: DataSet) -> KnownData | None:
    """Return what the last description of an inventory's data set found; its paths are absolute. None without one."""
    place = source.folder or source.images or source.tfrecord
    if place is None:
        return None
    annotations = None if source.annotations is None else Path(source.annotations)
    folder = described_folder(Path(place), annotations, (source.image_feature, source.label_feature))
    try:
        return parse_known((folder / _FILE).read_text(encoding="utf-8"))
    except OSError:
        return None

"""A tree of links, one folder a class: how ``image_dataset_from_directory`` reads a COCO pair."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..data.listing import Listing

LINKS = "links"


def make_links(target: Path, listing: Listing) -> None:
    """Make ``target/<class>/<file>`` for every image, whole or not at all; every class has a folder, empty or not."""
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    folders = [part / class_folder(name) for name in listing.classes]
    for folder in folders:
        folder.mkdir()
    for path, label in zip(listing.paths, listing.labels, strict=True):
        (folders[label] / link_name(path)).symlink_to(listing.folder / path)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def class_folder(name: str) -> str:
    """The folder of a class: its name, wherever that can be a file name that Keras does not pass over as hidden."""
    escaped = _escape(name) if "/" in name or "\0" in name else name
    return "%2E" + escaped[1:] if escaped.startswith(".") else escaped or "%"


def link_name(path: str) -> str:
    """The name of an image's link: its path, with slashes written so that no two paths meet."""
    return _escape(path)


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")

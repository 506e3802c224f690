"""A tree of links, one folder a class: how ``image_dataset_from_directory`` reads a COCO pair."""

from __future__ import annotations

LINKS = "links"


def class_folder(name: str) -> str:
    """The folder of a class: its name, wherever that can be a file name that Keras does not pass over as hidden."""
    escaped = _escape(name) if "/" in name or "\0" in name else name
    return "%2E" + escaped[1:] if escaped.startswith(".") else escaped or "%"


def link_name(path: str) -> str:
    """The name of an image's link: its path, with slashes written so that no two paths meet."""
    return _escape(path)


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")

"""Provide a folder with one folder per class for loaders that require it: the data set's own, or a tree of links."""

from __future__ import annotations

import hashlib
import os

from .interface import LoaderContext

LINKS = "links"
_MOST_NAME_BYTES = 240
"""Most bytes of a name; file systems allow 255."""


def find_class_folders(context: LoaderContext) -> tuple[str, list[str]]:
    """Return (folder, names of its class folders in the order of the classes), with the listed images alone.

    It is the data set's tree of links if one was made, its own folder if that has the form, else a new tree in scratch.
    """
    names = [class_folder(name) for name in context.classes]
    if not context.is_subset:
        own = context.folder if context.kind == "folder" and context.links is None else context.links
        if own is not None and _sub_folders(own) == sorted(names):
            return own, names
    return _make_links(context, names), names


def _sub_folders(folder: str) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except FileNotFoundError:
        return []


def _make_links(context: LoaderContext, names: list[str]) -> str:
    """Make the tree of links; empty classes get an empty folder, so that the numbers of the others do not change."""
    tree = os.path.join(context.scratch, "classes")
    for name in names:
        os.makedirs(os.path.join(tree, name), exist_ok=True)
    for path, label in zip(context.paths, context.labels, strict=True):
        target = os.path.realpath(os.path.join(context.folder, path))
        os.symlink(target, os.path.join(tree, names[label], link_name(path)))
    return tree


def class_folder(name: str) -> str:
    """Return the folder name of a class: its own name, unless that is no file name or Keras would skip it as hidden."""
    escaped = _escape(name) if "/" in name or "\0" in name else name
    return _shorten("%2E" + escaped[1:] if escaped.startswith(".") else escaped or "%")


def link_name(path: str) -> str:
    """Return the name of an image's link: its path with slashes escaped, so that no two paths collide."""
    return _shorten(_escape(path))


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")


def _shorten(name: str) -> str:
    """Replace the start of a name that is too long by its digest; the end keeps the suffix that Keras needs."""
    raw = os.fsencode(name)
    if len(raw) <= _MOST_NAME_BYTES:
        return name
    return hashlib.sha256(raw).hexdigest() + "%" + raw[-100:].decode("utf-8", "ignore").replace("%", "_")

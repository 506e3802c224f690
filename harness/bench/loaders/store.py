"""A cache on disk: its files, whether it is complete, how it is built. Standard library only."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

PART = ".part"
"""Suffix of a cache that is being built; it is renamed when it is complete."""


@dataclass
class Store:
    """The files and folders of a cache, whose paths begin with ``prefix``.

    ``write(path)`` builds the cache at ``path`` if it is built before its first epoch; None if it fills during that
    epoch. ``check(prefix)`` returns whether it is complete.
    """

    prefix: str
    check: Callable[[str], bool] = os.path.exists
    write: Callable[[str], None] | None = None

    def is_whole(self) -> bool:
        """Return whether the cache can be read instead of being filled."""
        return self.check(self.prefix)

    def build(self) -> bool:
        """Write the cache atomically if it is built in advance and does not exist; return whether it was written."""
        if self.write is None or self.is_whole():
            return False
        part = self.prefix + PART
        remove_path(part)
        self.write(part)
        os.replace(part, self.prefix)
        return True

    def files(self) -> list[str]:
        """Return all its files, including incomplete ones."""
        return [file for path in find_paths(self.prefix) for file in walk_files(path)]

    def flush(self) -> None:
        """Sync all files to disk."""
        for path in self.files():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def find_paths(prefix: str) -> list[str]:
    """Return files and folders named ``prefix`` itself, ``<prefix>_…``, ``<prefix>.…`` or ``<prefix>-…``.

    TensorFlow adds data, index, lock and temporary files; a hash of the pipeline follows a hyphen.
    """
    folder, name = os.path.split(prefix)
    try:
        entries = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    marks = (name + "_", name + ".", name + "-")
    return [os.path.join(folder, entry) for entry in entries if entry == name or entry.startswith(marks)]


def walk_files(path: str) -> list[str]:
    """Return the file at ``path``, or all files below it."""
    if not os.path.isdir(path):
        return [path]
    return [os.path.join(folder, name) for folder, _, names in sorted(os.walk(path)) for name in sorted(names)]


def remove_path(path: str) -> None:
    """Remove a file, or a folder with its contents, if it exists."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def clear(prefix: str) -> None:
    """Remove every cache whose path begins with ``prefix``, of any pipeline, complete or not."""
    for path in find_paths(prefix):
        remove_path(path)

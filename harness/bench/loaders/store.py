"""A cache on disk: its files, whether it is whole, how it is built. Standard library only."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

PART = ".part"
"""What is being built ends in it; it is renamed when it is whole."""


@dataclass
class Store:
    """Files and folders whose paths begin with ``prefix``.

    ``write(path)`` builds the cache at ``path``, where it is built before its first
    epoch; None where it fills while that epoch runs. ``check(prefix)`` says whether it is whole.
    """

    prefix: str
    check: Callable[[str], bool] = os.path.exists
    write: Callable[[str], None] | None = None

    def is_whole(self) -> bool:
        """Whether it can be read instead of being filled."""
        return self.check(self.prefix)

    def build(self) -> bool:
        """Write it, whole or not at all, if it is written first and is not there. Whether it was written."""
        if self.write is None or self.is_whole():
            return False
        part = self.prefix + PART
        remove_path(part)
        self.write(part)
        os.replace(part, self.prefix)
        return True

    def files(self) -> list[str]:
        """All its files, also half-written ones."""
        return [file for path in find_paths(self.prefix) for file in walk_files(path)]

    def flush(self) -> None:
        """Bring all files through to the disk."""
        for path in self.files():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def find_paths(prefix: str) -> list[str]:
    """Files and folders named ``prefix`` itself, ``<prefix>_…``, ``<prefix>.…`` or ``<prefix>-…``.

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
    """The file at ``path``, or all files below it."""
    if not os.path.isdir(path):
        return [path]
    return [os.path.join(folder, name) for folder, _, names in sorted(os.walk(path)) for name in sorted(names)]


def remove_path(path: str) -> None:
    """Remove a file or a folder with all that is in it; nothing where there is none."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def clear(prefix: str) -> None:
    """Remove every cache that begins with ``prefix``, of whatever pipeline, whole or not."""
    for path in find_paths(prefix):
        remove_path(path)

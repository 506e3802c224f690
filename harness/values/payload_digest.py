"""The files of the payload, and the digest by which records identify the code that measured."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

PACKAGE = "bench"
"""The folder in the archive, which is the package's name inside a job."""


BESIDE_MEASURING = (f"{PACKAGE}/data/", f"{PACKAGE}/proof/", f"{PACKAGE}/stages/")
"""Folders that prepare data, check same work and time stages: the code that measures imports nothing from them."""


def list_payload() -> list[tuple[str, bytes]]:
    """Return the ``*.py`` files of ``harness.bench`` as (path in the archive, content), in no order."""
    found: list[tuple[str, bytes]] = []
    _collect(resources.files("harness.bench"), PACKAGE, found)
    return found


def digest_files(files: Sequence[tuple[str, bytes]]) -> str:
    """Return the SHA-256, in hex, over paths and contents, each preceded by its length to be unambiguous."""
    digest = hashlib.sha256()
    for path, content in files:
        for part in (path.encode(), content):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def digest_measuring(files: Iterable[tuple[str, bytes]]) -> str:
    """Return the digest of the files that measure, on which a session's results depend."""
    return digest_files(sorted(file for file in files if not file[0].startswith(BESIDE_MEASURING)))


@cache
def installed_digest() -> str:
    """Return the digest of the installed code that measures, without users' own loaders."""
    return digest_measuring(list_payload())


def _collect(folder: Traversable, prefix: str, found: list[tuple[str, bytes]]) -> None:
    for entry in folder.iterdir():
        path = f"{prefix}/{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            _collect(entry, path, found)
        elif entry.is_file() and entry.name.endswith(".py"):
            found.append((path, entry.read_bytes()))

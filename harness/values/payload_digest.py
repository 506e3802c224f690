"""The payload's files and their digest: what a record names as the code that measured."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

PACKAGE = "bench"
"""The folder in the archive, and so the package's name inside a job."""


BESIDE_MEASURING = (f"{PACKAGE}/data/", f"{PACKAGE}/proof/", f"{PACKAGE}/stages/")
"""Folders of what prepares data, proves work and finds what stages cost: nothing that measures imports any of it."""


def list_payload() -> list[tuple[str, bytes]]:
    """The files of ``harness.bench`` (only ``*.py``) as (path below ``bench/``, content), in no order."""
    found: list[tuple[str, bytes]] = []
    _collect(resources.files("harness.bench"), PACKAGE, found)
    return found


def digest_files(files: Sequence[tuple[str, bytes]]) -> str:
    """SHA-256 in hex over (path, content), each with its length before it, so that no two lists look alike."""
    digest = hashlib.sha256()
    for path, content in files:
        for part in (path.encode(), content):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def digest_measuring(files: Iterable[tuple[str, bytes]]) -> str:
    """The digest of those files that measure: what a session's figures depend on, and a record names."""
    return digest_files(sorted(file for file in files if not file[0].startswith(BESIDE_MEASURING)))


@cache
def installed_digest() -> str:
    """The digest of the code that measures as it is installed here, without loaders of a user's own."""
    return digest_measuring(list_payload())


def _collect(folder: Traversable, prefix: str, found: list[tuple[str, bytes]]) -> None:
    for entry in folder.iterdir():
        path = f"{prefix}/{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            _collect(entry, path, found)
        elif entry.is_file() and entry.name.endswith(".py"):
            found.append((path, entry.read_bytes()))

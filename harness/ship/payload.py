"""The payload: the benchmark's code as one deterministic archive, the same bytes from source tree and wheel."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable

from harness.engine.interface import Payload

PACKAGE = "bench"
"""The folder in the archive, and so the package's name inside a job."""


def build_payload(extra: Mapping[str, bytes] | None = None) -> Payload:
    """The files of ``harness.bench`` (only ``*.py``) under ``bench/``, and ``extra`` (path in the archive → content).

    Sorted, owned by 0:0, time stamp 0: equal code gives equal bytes wherever it is
    installed. The digest is SHA-256 over the sorted paths and contents, so that
    it changes with the code and with nothing else.
    """
    files = dict(_package_files())
    files.update(extra or {})
    ordered = sorted(files.items())
    return Payload(digest=digest_files(ordered), archive=archive_files(ordered))


def digest_files(files: list[tuple[str, bytes]]) -> str:
    """SHA-256 in hex over (path, content), each with its length before it, so that no two lists look alike."""
    digest = hashlib.sha256()
    for path, content in files:
        for part in (path.encode(), content):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def archive_files(files: list[tuple[str, bytes]]) -> bytes:
    """A tar of files (and the folders above them) with fixed owner, mode and time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder in _folders_of([path for path, _ in files]):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for path, content in files:
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _folders_of(paths: list[str]) -> list[str]:
    folders: set[str] = set()
    for path in paths:
        parts = path.split("/")[:-1]
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return sorted(folders)


def _package_files() -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    _collect(resources.files("harness.bench"), PACKAGE, found)
    return found


def _collect(folder: Traversable, prefix: str, found: list[tuple[str, bytes]]) -> None:
    for entry in folder.iterdir():
        path = f"{prefix}/{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            _collect(entry, path, found)
        elif entry.is_file() and entry.name.endswith(".py"):
            found.append((path, entry.read_bytes()))

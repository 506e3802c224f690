"""Build the payload: the benchmark's code as one deterministic archive, with equal bytes from source tree and wheel."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping

from harness.engine.interface import Payload
from harness.values.payload_digest import PACKAGE, digest_measuring, list_payload


def build_payload(own: Mapping[str, bytes] | None = None) -> Payload:
    """Build the payload: the files of ``harness.bench`` (only ``*.py``) under ``bench/``, and users' own loaders.

    Files are sorted, owned by 0:0, with time stamp 0, so that equal code gives equal bytes wherever it is installed.
    The digest is the SHA-256 over the sorted paths and contents of the code that measures, and changes with nothing
    else. Each file in ``own`` (path in the archive → content) has its own digest, or replaces a file of the benchmark.
    """
    code = dict(list_payload())
    beside = {path: content for path, content in (own or {}).items() if not path.startswith(f"{PACKAGE}/")}
    code.update({path: content for path, content in (own or {}).items() if path not in beside})
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in sorted(beside.items())}
    archive = archive_files(sorted({**code, **beside}.items()))
    return Payload(digest=digest_measuring(code.items()), archive=archive, own=digests)


def archive_files(files: list[tuple[str, bytes]]) -> bytes:
    """Return a tar of files and their folders with fixed owner, mode and time."""
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

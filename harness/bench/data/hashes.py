"""Keep results of inspections beside the manifest, by path, size and modification time: no file is read twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO

from ..loaders.manifest import escape, unescape
from ..protocol.atomic import replace_file
from .inspection import Inspection

HASHES = "hashes.tsv"
COLUMNS = (
    "path",
    "size",
    "mtime_ns",
    "sha256",
    "width",
    "height",
    "mode",
    "remarks",
    "kind",
    "quality",
    "sampling",
    "scans",
)
_HEADER = "\t".join(COLUMNS).encode() + b"\n"
"""A file with another header was written by an older version, with fewer columns: its data set is read again."""


class Hashes:
    """The file ``hashes.tsv`` of a ``dataset`` folder; with None as the folder nothing is kept.

    New lines are appended as they come, so that an interrupted check can continue; ``close`` rewrites the file with
    the entries that still belong to the set.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / HASHES
        self._known = {} if self._path is None else _read(self._path)
        self._stream: IO[bytes] | None = None

    def find(self, path: str, size: int, mtime_ns: int) -> Inspection | None:
        """Return an earlier result if the file's size and modification time are the same."""
        known = self._known.get(path)
        is_same = known is not None and (known.size, known.mtime_ns) == (size, mtime_ns)
        return known if is_same else None

    def add(self, found: Mapping[str, Inspection]) -> None:
        """Keep results, except those of files with a problem: these are read again."""
        sound = {path: inspection for path, inspection in found.items() if inspection.problem is None}
        self._known.update(sound)
        if self._path is None or not sound:
            return
        if self._stream is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _write(self._path, self._known.items())
            self._stream = open(self._path, "ab")  # noqa: SIM115 (closed by close)
            return
        self._stream.write(b"".join(_line(*item) for item in sound.items()))
        self._stream.flush()

    def close(self, paths: tuple[str, ...]) -> None:
        """Close the file and drop entries of files other than ``paths``."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._path is not None and self._path.parent.is_dir():
            _write(self._path, ((path, self._known[path]) for path in paths if path in self._known))


def _write(file: Path, found: Iterable[tuple[str, Inspection]]) -> None:
    with replace_file(file) as stream:
        stream.write(_HEADER)
        stream.writelines(_line(*item) for item in found)


def _line(path: str, found: Inspection) -> bytes:
    fields = (escape(path), found.size, found.mtime_ns, found.sha256, found.width, found.height, found.mode)
    kind = (found.kind, found.quality, found.sampling, "progressive" if found.is_progressive else "")
    return ("\t".join((*map(str, fields), ",".join(found.notes), *map(str, kind))) + "\n").encode()


def _read(path: Path) -> dict[str, Inspection]:
    """Return all complete lines; damaged lines are ignored, and their files are read again from the data set."""
    known: dict[str, Inspection] = {}
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return known
    if lines[0] + b"\n" != _HEADER:
        return known
    for line in lines[1:-1]:
        try:
            name, size, mtime_ns, sha256, width, height, mode, notes, *more = line.decode().split("\t")
            kind, quality, sampling, scans = more
            known[unescape(name)] = Inspection(
                int(size),
                int(mtime_ns),
                sha256,
                int(width),
                int(height),
                mode,
                tuple(filter(None, notes.split(","))),
                kind=kind,
                quality=int(quality),
                sampling=sampling,
                is_progressive=scans == "progressive",
            )
        except ValueError:
            continue
    return known

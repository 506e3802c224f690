"""The manifest of a data set: the list of images and labels that every loader reads. Standard library only."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..protocol.atomic import replace_file, write_file
from ..protocol.protocol import CLASSES, MANIFEST
from .tfrecords import file_of

COLUMNS = ("path", "label", "width", "height", "bytes", "sha256")

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_PLAIN = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}


@dataclass(frozen=True)
class Manifest:
    """A data set as columns of equal length, sorted by path (as bytes).

    ``paths`` are relative to the folder of images, with ``/``; ``labels`` are indices into ``classes``; ``widths`` and
    ``heights`` are in pixels as stored (no loader here applies EXIF rotation); ``sizes`` are in bytes; ``hashes`` are
    SHA-256 of the contents, in hex.
    """

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    widths: tuple[int, ...]
    heights: tuple[int, ...]
    sizes: tuple[int, ...]
    hashes: tuple[str, ...]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        lengths = {len(column) for column in self.columns()}
        if len(lengths) != 1:
            raise ValueError(f"columns of different lengths: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.paths)

    def columns(self) -> tuple[Sequence[object], ...]:
        """Return the columns in the order in which a manifest is written."""
        return (self.paths, self.labels, self.widths, self.heights, self.sizes, self.hashes)

    def head(self, count: int | None) -> Manifest:
        """Return ``count`` images spread evenly over the list, so that every class keeps its share; None: all."""
        total = len(self)
        if count is None or count >= total:
            return self
        return self._choose([index * total // count for index in range(count)])

    def head_of_files(self, count: int | None) -> Manifest:
        """Return ``count`` images, the first ones of each TFRecord file in proportion to its size; None: all."""
        total = len(self)
        if count is None or count >= total:
            return self
        chosen: list[int] = []
        begin = 0
        for _, group in itertools.groupby(self.paths, key=file_of):
            end = begin + len(list(group))
            chosen += range(begin, begin + end * count // total - begin * count // total)
            begin = end
        return self._choose(chosen)

    def _choose(self, chosen: Sequence[int]) -> Manifest:
        return Manifest(
            paths=tuple(self.paths[i] for i in chosen),
            labels=tuple(self.labels[i] for i in chosen),
            widths=tuple(self.widths[i] for i in chosen),
            heights=tuple(self.heights[i] for i in chosen),
            sizes=tuple(self.sizes[i] for i in chosen),
            hashes=tuple(self.hashes[i] for i in chosen),
            classes=self.classes,
        )


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest in a ``dataset`` folder.

    Raises FileNotFoundError if there is none, ValueError (with file and line) if it is damaged.
    """
    classes = tuple(json.loads((folder / CLASSES).read_text(encoding="utf-8")))
    source = folder / MANIFEST
    lines = source.read_bytes().split(b"\n")
    if lines[0].decode().split("\t") != list(COLUMNS) or lines[-1] != b"":
        raise ValueError(f"{source}:1: not a complete manifest of this version")
    rows = [_read_row(line, source, number) for number, line in enumerate(lines[1:-1], start=2)]
    for number, row in enumerate(rows, start=2):
        if not 0 <= row[1] < len(classes):
            raise ValueError(f"{source}:{number}: label {row[1]} has no class")
    paths, labels, widths, heights, sizes, hashes = zip(*rows, strict=True) if rows else ((),) * 6
    return Manifest(paths, labels, widths, heights, sizes, hashes, classes)


def _read_row(line: bytes, source: Path, number: int) -> tuple[str, int, int, int, int, str]:
    try:
        path, label, width, height, size, digest = line.decode().split("\t")
        return unescape(path), int(label), int(width), int(height), int(size), digest
    except ValueError as error:
        raise ValueError(f"{source}:{number}: not a line of a manifest") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``classes.json`` and then ``manifest.tsv`` into ``folder``, each atomically.

    Raises ValueError for a path that is not UTF-8.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = json.dumps(list(manifest.classes), ensure_ascii=False, indent=1) + "\n"
    write_file(folder / CLASSES, names)
    with replace_file(folder / MANIFEST) as stream:
        stream.writelines(_lines(manifest))


def _lines(manifest: Manifest) -> Iterable[bytes]:
    yield "\t".join(COLUMNS).encode() + b"\n"
    for row in zip(*manifest.columns(), strict=True):
        path, *numbers = row
        yield "\t".join((escape(str(path)), *map(str, numbers))).encode() + b"\n"


def escape(path: str) -> str:
    """Escape backslash, tab, line feed and carriage return as in C, so that ``path`` fits in one line and column."""
    return "".join(_ESCAPES.get(letter, letter) for letter in path)


def unescape(text: str) -> str:
    """Reverse ``escape``. Raises ValueError for an unknown escape."""
    if "\\" not in text:
        return text
    letters = iter(text)
    out: list[str] = []
    for letter in letters:
        if letter != "\\":
            out.append(letter)
            continue
        following = next(letters, "")
        if following not in _PLAIN:
            raise ValueError(f"unknown escape \\{following}")
        out.append(_PLAIN[following])
    return "".join(out)

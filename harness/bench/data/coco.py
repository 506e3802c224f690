"""Read a COCO pair: a folder of images and an instances JSON. Standard library only.

The instances JSON of train2017 has 450 MB, nearly all of it segmentation outlines that are not needed here. It is read
as a stream, one annotation at a time, so that a few dozen MB of memory are enough.
"""

from __future__ import annotations

import json
import math
import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ..protocol.dataset_errors import LABELS_HINT, DatasetError, shorten, unreadable_labels

_CHUNK = 1 << 20
_WHITE = " \t\r\n"
_MOST_VALUE = 64 << 20
"""Most characters of one annotation that are held in memory. The largest outline of train2017 has 80,000."""
_MOST_ID = 2**63
_MOST_PATH = 4096
"""Most characters of a path: no file system allows longer ones."""
_MOST_TEXT = 400
"""Most characters of an id that is a string."""


@dataclass(frozen=True)
class CocoLabels:
    """The images that have annotations, sorted by path (as bytes), with the label of each.

    ``classes`` are all categories, sorted by id; ``left_out`` counts images without annotations; ``orphans`` counts
    annotations of images that are not listed. ``said`` are sentences on how the file was read. ``is_plain``: the file
    is written as COCO's own tools write it and was read without any correction. ``is_movable``: it is read the same
    wherever images and file lie.
    """

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    left_out: int
    orphans: int
    said: tuple[str, ...] = ()
    is_plain: bool = True
    is_movable: bool = True


Id = int | str
"""The id of an image, an annotation or a category: COCO writes numbers, some labelling tools strings."""


@dataclass
class _Oddities:
    """Counts of deviations from what COCO's own tools write."""

    text_ids: int = 0
    without_id: int = 0
    without_area: int = 0
    unusable_areas: int = 0
    renamed: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether a simple reader gives the same labels: a missing area is common, and the box's area replaces it."""
        return not (self.text_ids or self.without_id or self.unusable_areas or self.renamed)

    def say(self, name: str, unused: int) -> Iterator[str]:
        """Yield one sentence for each kind of deviation; ``unused`` is the number of categories without an image."""
        if self.text_ids:
            yield f"{name}: {self.text_ids:,} ids are strings: used as they are"
        if self.without_id:
            yield f"{name}: {self.without_id:,} annotations have no id: among equal areas the first in the file is used"
        if self.without_area:
            yield f"{name}: {self.without_area:,} annotations have no usable area: the area of the box is used"
        if self.renamed:
            yield f"{name}: {self.renamed:,} file names begin with ./ or have backslashes: read as plain paths"
        if unused:
            outcome = (
                "category has no image: kept as a class" if unused == 1 else "categories have no image: kept as classes"
            )
            yield f"{name}: {unused:,} {outcome}"


def read_coco(annotations: Path) -> CocoLabels:
    """Label each image with the category of its largest annotation by area (ties: the lowest annotation id).

    Crowd annotations count like others; an annotation without an area has its box's. Raises DatasetError.
    """
    files: dict[Id, str] = {}
    categories: dict[Id, str] = {}
    largest: dict[Id, _Rank] = {}
    odd, position = _Oddities(), 0
    try:
        with open(annotations, encoding="utf-8-sig") as stream:
            for section, item in _elements(stream):
                if section == "images":
                    files[_identity(item["id"], odd)] = _checked(item["file_name"], annotations, odd)
                elif section == "categories":
                    categories[_identity(item["id"], odd)] = _named(item["name"])
                elif section == "annotations":
                    position += 1
                    rank = (_area(item, odd), -_order(item, position, odd), _identity(item["category_id"]))
                    image = _identity(item["image_id"])
                    largest[image] = max(rank, largest.get(image, rank), key=lambda each: each[:2])
    except OSError as error:
        raise unreadable_labels(annotations, error.strerror) from error
    except KeyError as error:
        message = f"{annotations} is not an instances JSON: an entry has no {error}"
        raise DatasetError(message, hint=LABELS_HINT) from error
    except RecursionError:
        raise DatasetError(
            f"{annotations} is not an instances JSON: lists are nested too deeply", hint=LABELS_HINT
        ) from None
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{annotations} cannot be read as an instances JSON: {error}", hint=LABELS_HINT) from error
    return _labelled(annotations, files, categories, largest, odd)


_Rank = tuple[float, int, Id]
"""(area, order among equal areas, category) of an annotation."""


def _labelled(
    annotations: Path, files: dict[Id, str], categories: dict[Id, str], largest: dict[Id, _Rank], odd: _Oddities
) -> CocoLabels:
    if not categories:
        raise DatasetError(f"{annotations} has no categories", hint=LABELS_HINT)
    ordered = sorted(categories, key=_by_kind)
    index = {category: number for number, category in enumerate(ordered)}
    unknown = sorted({rank[2] for rank in largest.values()} - index.keys(), key=_by_kind)
    if unknown:
        raise DatasetError(
            f"{annotations}: annotations of category {shorten(unknown[0])}, which is not listed", hint=LABELS_HINT
        )
    if len(set(categories.values())) != len(categories):
        raise DatasetError(f"{annotations} has two categories with the same name", hint=LABELS_HINT)
    rows = sorted(
        ((files[image], index[rank[2]]) for image, rank in largest.items() if image in files),
        key=lambda row: row[0].encode(errors="surrogatepass"),
    )
    if len({path for path, _ in rows}) != len(rows):
        raise DatasetError(f"{annotations} lists an image file under two ids", hint=LABELS_HINT)
    return CocoLabels(
        paths=tuple(path for path, _ in rows),
        labels=tuple(label for _, label in rows),
        classes=tuple(categories[category] for category in ordered),
        left_out=len(files) - len(rows),
        orphans=sum(image not in files for image in largest),
        said=tuple(odd.say(annotations.name, len(categories) - len({label for _, label in rows}))),
        is_plain=odd.is_plain,
    )


def _by_kind(identity: Id) -> tuple[bool, int, str]:
    """Return a sort key for ids: numbers by value, then strings."""
    return (True, 0, identity) if isinstance(identity, str) else (False, identity, "")


def _checked(name: object, annotations: Path, odd: _Oddities) -> str:
    """Return a file name as a plain path below the image folder, without a leading ``./``. Raises DatasetError."""
    written = str(name)
    path = written[: _MOST_PATH + 1].replace("\\", "/")
    while path.startswith("./") and len(path) > 2:
        path = path[2:]
    odd.renamed += path != written
    first = path.partition("/")[0]
    is_plain = posixpath.normpath(path) == path and first not in {"", ".", ".."} and len(written) <= _MOST_PATH
    if not is_plain or "\0" in path or not _is_file_name(path):
        raise DatasetError(
            f"{annotations}: file_name {shorten(path)} is not a plain path below the image folder", hint=LABELS_HINT
        )
    return path


def _is_file_name(path: str) -> bool:
    """Return whether a text can be encoded as a file's name; a lone surrogate cannot."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def _named(name: object) -> str:
    """Return the name of a category. Raises ValueError."""
    if not isinstance(name, str | int) or not str(name).isprintable():
        raise ValueError(f"{shorten(name)} cannot be the name of a category")
    return str(name)


def _area(item: dict[str, object], odd: _Oddities) -> float:
    """Return the area of an annotation; of its box where it is missing, blank or NaN. Raises ValueError, TypeError."""
    area = item.get("area")
    is_unusable = (isinstance(area, str) and not area.strip()) or (isinstance(area, float) and math.isnan(area))
    if area is not None and not is_unusable:
        return _number(area)
    odd.without_area += 1
    odd.unusable_areas += is_unusable
    box = item.get("bbox") or [0, 0, 0, 0]
    if not isinstance(box, list) or len(box) < 4:
        raise TypeError(f"a bbox is {shorten(box)}, not four numbers")
    return _number(box[2]) * _number(box[3])


def _order(item: dict[str, object], position: int, odd: _Oddities) -> int:
    """Return the sort key among annotations of equal area: the id, or the place in the file where ids are strings."""
    if item.get("id") is None:
        odd.without_id += 1
        return position
    identity = _identity(item["id"])
    return position if isinstance(identity, str) else identity


def _number(value: object) -> float:
    """Return a number, also one written as a string. Raises ValueError, TypeError."""
    if not isinstance(value, int | float | str):
        raise TypeError(f"{shorten(value)} is not a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{shorten(value)} is not a usable number") from None
    if not math.isfinite(number):
        raise ValueError(f"{shorten(value)} is not a finite number")
    return number


def _identity(value: object, odd: _Oddities | None = None) -> Id:
    """Return an id: a whole number, or a string that is not a number. Raises ValueError, TypeError."""
    if isinstance(value, str) and not _is_number(value):
        if not value or len(value) > _MOST_TEXT or not value.isprintable():
            raise ValueError(f"{shorten(value)} cannot be an id")
        if odd is not None:
            odd.text_ids += 1
        return value
    number = value if isinstance(value, int) else int(_number(value))
    if not -_MOST_ID <= number < _MOST_ID:
        raise ValueError(f"{shorten(value)} is too large for an id")
    return number


def _is_number(text: str) -> bool:
    try:
        float(text)
    except (ValueError, OverflowError):
        return False
    return True


def _elements(stream: TextIO) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (key, object) for each object in the top-level lists of a JSON object; everything else is skipped."""
    window = _Window(stream)
    window.expect("{")
    if window.peek() == "}":
        return
    while True:
        key = window.value()
        window.expect(":")
        if window.peek() == "[":
            for item in window.array():
                if isinstance(item, dict):
                    yield str(key), item
        else:
            window.value()
        if window.take() == "}":
            return


class _Window:
    """A sliding view of a text with a JSON decoder over it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._at = 0
        self._is_whole = False
        self._decode = json.JSONDecoder().raw_decode

    def _grow(self) -> bool:
        """Read more of the stream; return False at its end.

        The amount grows with the text already held, so that one huge value is not parsed too often.

        Raises ValueError for a value that is too long to hold.
        """
        if len(self._text) - self._at > _MOST_VALUE:
            raise ValueError(f"it is damaged, or holds one value of more than {_MOST_VALUE >> 20} MiB")
        more = self._stream.read(max(_CHUNK, len(self._text) - self._at))
        self._is_whole = not more
        if more:
            self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)

    def peek(self) -> str:
        """Return the next character that is not white space."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _WHITE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._grow():
                raise ValueError("the file ends in the middle of a value")

    def take(self) -> str:
        """Consume and return ``,`` or the bracket that closes the current list or object. Raises ValueError."""
        letter = self.peek()
        if letter not in ",}]":
            raise ValueError(f"a comma is missing before {letter!r}")
        self._at += 1
        return letter

    def expect(self, letter: str) -> None:
        """Consume ``letter``, or raise ValueError."""
        if self.peek() != letter:
            raise ValueError(f"{letter!r} is missing")
        self._at += 1

    def value(self) -> object:
        """Consume and return the next value as a whole. Raises ValueError."""
        value: object
        while True:
            self.peek()
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError:
                if not self._grow():
                    raise
                continue
            if end < len(self._text) or self._is_whole or not self._grow():
                self._at = end  # a number that ends with the text held may continue
                return value

    def array(self) -> Iterator[object]:
        """Consume the next list and yield its elements one at a time. Raises ValueError."""
        self.expect("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self.take() == "]":
                return

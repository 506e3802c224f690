"""A COCO pair, read as it is: a folder of images and an instances JSON. Standard library only.

The instances JSON of train2017 is 450 MB, nearly all of it outlines that nobody needs here; it is read as a stream,
one annotation at a time, so that a few dozen MB of memory are enough.
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
"""Characters of one annotation; what is longer is not held in memory. The largest outline of train2017 has 80,000."""
_MOST_ID = 2**63
_MOST_PATH = 4096
"""Characters: no file system has longer ones."""
_MOST_TEXT = 400
"""Characters of an id that is a text."""


@dataclass(frozen=True)
class CocoLabels:
    """Images that have annotations, sorted by path (as bytes), with the label of each.

    ``classes`` are all categories, sorted by their id; ``left_out`` images have no
    annotation; ``orphans`` are annotations of images that are not listed. ``said`` are sentences on how the file was
    read; ``is_plain``: it is written as the format's own tools write it, and read so.
    """

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    left_out: int
    orphans: int
    said: tuple[str, ...] = ()
    is_plain: bool = True


Id = int | str
"""As COCO writes it a number; labelling tools write texts, too."""


@dataclass
class _Oddities:
    """What is otherwise than COCO's own tools write it, in counts."""

    text_ids: int = 0
    without_id: int = 0
    without_area: int = 0
    unusable_areas: int = 0
    renamed: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether a few lines of code read the same: an area that is absent is as usual as one of a box."""
        return not (self.text_ids or self.without_id or self.unusable_areas or self.renamed)

    def say(self, name: str, unused: int) -> Iterator[str]:
        """Yield a sentence for each."""
        if self.text_ids:
            yield f"{name}: {self.text_ids:,} ids are texts: taken as they are"
        if self.without_id:
            yield f"{name}: {self.without_id:,} annotations have no id: of equal areas the first in the file counts"
        if self.without_area:
            yield f"{name}: {self.without_area:,} annotations have no usable area: that of their box counts"
        if self.renamed:
            yield f"{name}: {self.renamed:,} file names begin with ./ or have backslashes: read as plain paths"
        if unused:
            has = "category has" if unused == 1 else "categories have"
            yield f"{name}: {unused:,} {has} no image: classes all the same"


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
        raise DatasetError(f"{annotations} is no instances JSON: an entry lacks {error}", hint=LABELS_HINT) from error
    except RecursionError:
        raise DatasetError(
            f"{annotations} is no instances JSON: lists are nested too deeply", hint=LABELS_HINT
        ) from None
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{annotations} is no whole instances JSON: {error}", hint=LABELS_HINT) from error
    return _labelled(annotations, files, categories, largest, odd)


_Rank = tuple[float, int, Id]
"""Area, and for equal ones the order; the category."""


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
        raise DatasetError(f"{annotations} has two categories of one name", hint=LABELS_HINT)
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
    """Order ids: numbers by their value, then texts."""
    return (True, 0, identity) if isinstance(identity, str) else (False, identity, "")


def _checked(name: object, annotations: Path, odd: _Oddities) -> str:
    """A path below the image folder; slashes may be backslashes, and ``./`` may stand first. Raises DatasetError."""
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
    """Whether a text can be written as a file's name: half of a character cannot."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def _named(name: object) -> str:
    """The name of a category. Raises ValueError."""
    if not isinstance(name, str | int) or not str(name).isprintable():
        raise ValueError(f"a category is called {shorten(name)}")
    return str(name)


def _area(item: dict[str, object], odd: _Oddities) -> float:
    """The area of an annotation, or of its box where that is no number. Raises ValueError, TypeError."""
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
    """Which of two annotations of equal area counts: the lower id, or what stands first where ids are no numbers."""
    if item.get("id") is None:
        odd.without_id += 1
        return position
    identity = _identity(item["id"])
    return position if isinstance(identity, str) else identity


def _number(value: object) -> float:
    """A number, or a text that is one. Raises ValueError, TypeError."""
    if not isinstance(value, int | float | str):
        raise TypeError(f"{shorten(value)} is no number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{shorten(value)} is no number that can be used") from None
    if not math.isfinite(number):
        raise ValueError(f"{shorten(value)} is no finite number")
    return number


def _identity(value: object, odd: _Oddities | None = None) -> Id:
    """An id: a whole number, or a text that is none. Raises ValueError, TypeError."""
    if isinstance(value, str) and not _is_number(value):
        if not value or len(value) > _MOST_TEXT or not value.isprintable():
            raise ValueError(f"{shorten(value)} cannot be an id")
        if odd is not None:
            odd.text_ids += 1
        return value
    number = value if isinstance(value, int) else int(_number(value))
    if not -_MOST_ID <= number < _MOST_ID:
        raise ValueError(f"{shorten(value)} is too large an id")
    return number


def _is_number(text: str) -> bool:
    try:
        float(text)
    except (ValueError, OverflowError):
        return False
    return True


def _elements(stream: TextIO) -> Iterator[tuple[str, dict[str, object]]]:
    """Each object of each list at the top of a JSON object, as (key of the list, object); the rest is passed over."""
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
        """Read on; False at the end. The step grows with what is held, so that one huge value stays cheap.

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
        """The next letter that is not white space."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _WHITE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._grow():
                raise ValueError("it ends in the middle")

    def take(self) -> str:
        """``,`` or the end of what it stands in."""
        letter = self.peek()
        if letter not in ",}]":
            raise ValueError(f"a comma is missing before {letter!r}")
        self._at += 1
        return letter

    def expect(self, letter: str) -> None:
        """Pass over ``letter``."""
        if self.peek() != letter:
            raise ValueError(f"{letter!r} is missing")
        self._at += 1

    def value(self) -> object:
        """The next value, whole."""
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
                self._at = end  # a number at the end of the window may go on behind it
                return value

    def array(self) -> Iterator[object]:
        """The elements of the next list, one at a time."""
        self.expect("[")
        if self.peek() == "]":
            self._at += 1
            return
        while True:
            yield self.value()
            if self.take() == "]":
                return

"""Determine which columns of a table hold paths and labels: by their headings, otherwise by their contents.

Standard library only.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .survey import IMAGES, SPLITS, suffix_of

PATHS = (
    "file_name", "filename", "file", "filepath", "file_path", "path", "image_path", "img_path", "image", "img",
    "image_name", "img_name", "image_id", "img_id", "imageid", "photo", "picture", "id", "id_code", "name",
)  # fmt: skip
LABELS = (
    "label", "labels", "class", "class_name", "classname", "class_id", "category", "target", "y", "level", "diagnosis",
    "breed", "species", "variety", "tag", "label_name", "category_name", "category_id",
)  # fmt: skip
"""Headings of paths and of labels, the most likely first, in lower case and with ``_`` for spaces."""
INDEX = ("", "index", "unnamed:_0", "idx", "row", "#")
SPLIT = ("split", "set", "subset", "fold", "usage", "partition", "data_set", "dataset")
DELIMITERS = ("\t", ";", ",", "|")
_NUMBER = re.compile(r"[0-9]{1,18}\Z")


@dataclass(frozen=True)
class Columns:
    """Indices of the columns of path, label and split (part of the set), and the names of ignored columns."""

    path: int
    label: int
    split: int | None = None
    ignored: tuple[str, ...] = ()
    has_heading: bool = False


def split_line(line: str, delimiter: str | None = None) -> list[str] | None:
    """Split a line as CSV; return None if a quote is not closed on that line."""
    try:
        (row,) = csv.reader([line], delimiter=delimiter or choose_delimiter([line]), strict=True)
    except (csv.Error, ValueError):
        return None
    return row


def choose_delimiter(lines: Sequence[str]) -> str:
    """Return the delimiter that gives all lines the same number of columns, else the one that splits the first most."""
    counts = {each: [len(split_line(line, each) or [""]) for line in lines] for each in DELIMITERS}
    for each in DELIMITERS:
        if lines and counts[each][0] > 1 and len(set(counts[each])) == 1:
            return each
    return max(DELIMITERS, key=lambda each: (counts[each][0] if lines else 0, each == ","))


def normalise(heading: str) -> str:
    """Return a heading in the spelling of this module's lists."""
    return re.sub(r"[\s-]+", "_", heading.strip().lower())


def choose_columns(heading: Sequence[str]) -> tuple[int, int] | None:
    """Return the indices of the path and label columns by their headings alone; None if the headings do not say."""
    names = [normalise(name) for name in heading]
    path = next((names.index(word) for word in PATHS if word in names), None)
    label = next((names.index(word) for word in LABELS if word in names), None)
    return None if path is None or label is None or path == label else (path, label)


def find_columns(rows: Sequence[Sequence[str]], is_file: Sequence[Sequence[bool]]) -> Columns | str:
    """Return the columns of a table by its first rows, or a text that says why they cannot be determined.

    ``is_file`` says for each cell whether it names a file of the folder.
    """
    width = max(len(row) for row in rows)
    has_heading = _has_heading(rows, is_file)
    heading = [normalise(cell) for cell in rows[0]] if has_heading else []
    shown = [cell.strip() for cell in rows[0]] if has_heading else []
    body = rows[1:] if has_heading else rows
    found = is_file[1:] if has_heading else is_file
    if width < 2:
        return "the list has only one column"
    path = _find_path(heading, body, found, width)
    if path is None:
        return f"no column holds names of images: the columns are {_name_columns(shown or rows[0], width, ())}"
    others = [place for place in range(width) if place != path]
    named = [place for word in LABELS for place in others if place < len(heading) and heading[place] == word]
    split = next((place for place in others if _is_split(place, heading, body)), None)
    if named:
        label = named[0]
    else:
        left = [place for place in others if not _is_index(place, heading, body) and place != split]
        left = left or [place for place in others if place != split] or others
        if len(left) > 1:
            return (
                f"cannot determine which column holds the labels: {_name_columns(shown, width, (path,))}; name it "
                "`label` in the first line, or remove the other columns"
            )
        label = left[0]
    split = None if split == label else split
    ignored = [place for place in others if place not in (label, split)]
    return Columns(path, label, split, tuple(_name_column(place, shown) for place in ignored), has_heading)


def _has_heading(rows: Sequence[Sequence[str]], is_file: Sequence[Sequence[bool]]) -> bool:
    """Return whether the first row is a heading: it names no image, and other rows do or it has known words."""
    first = rows[0]
    if any(is_image_name(cell) or found for cell, found in zip(first, is_file[0], strict=False)):
        return False
    words = [normalise(cell) for cell in first]
    if any(word in PATHS or word in LABELS for word in words):
        return True
    return any(is_image_name(cell) for row in rows[1:] for cell in row) or any(any(found) for found in is_file[1:])


def is_image_name(cell: str) -> bool:
    """Return whether a text ends with the suffix of an image."""
    return suffix_of(cell.strip().replace("\\", "/")) in IMAGES


def _find_path(
    heading: Sequence[str], body: Sequence[Sequence[str]], found: Sequence[Sequence[bool]], width: int
) -> int | None:
    """Return the column that names files: most of its cells end with an image suffix or name files of the folder."""

    def share(place: int) -> float:
        cells = [(row[place], files[place]) for row, files in zip(body, found, strict=True) if place < len(row)]
        return sum(is_image_name(cell) or is_one for cell, is_one in cells) / len(cells) if cells else 0.0

    shares = [share(place) for place in range(width)]
    named = [place for word in PATHS for place, name in enumerate(heading) if name == word]
    best = max(shares, default=0.0)
    if best > 0:
        likely = [place for place in range(width) if shares[place] == best]
        return next((place for place in named if place in likely), likely[0])
    return named[0] if named else None


def _is_index(place: int, heading: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Return whether a column holds consecutive row numbers."""
    if place < len(heading) and heading[place] in INDEX:
        return True
    cells = [row[place].strip() if place < len(row) else "" for row in body]
    if len(cells) < 3 or not all(_NUMBER.match(cell) for cell in cells):
        return False
    numbers = [int(cell) for cell in cells]
    return all(later - earlier == 1 for earlier, later in pairwise(numbers))


def _is_split(place: int, heading: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    cells = {row[place].strip().lower() for row in body if place < len(row)}
    return bool(cells) and (cells <= set(SPLITS) or (place < len(heading) and heading[place] in SPLIT))


def _name_column(place: int, shown: Sequence[str]) -> str:
    name = shown[place] if place < len(shown) else ""
    return name or f"column {place + 1}"


def _name_columns(shown: Sequence[str], width: int, without: Sequence[int]) -> str:
    return ", ".join(_name_column(place, shown)[:40] for place in range(min(width, 12)) if place not in without)

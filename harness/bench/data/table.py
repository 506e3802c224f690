"""A list of images: CSV or TSV lines of path and label. Standard library only."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from ..protocol.dataset_errors import DatasetError
from .coco import CocoLabels
from .inspection import REFUSED, TAKEN

_HINT = "write a line `path<tab>label` (or `path,label`) for each image; paths are relative to `images`"


def is_json(path: Path) -> bool:
    """Whether a file of labels is JSON: its first character that is no blank is a brace."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(4096).lstrip("\ufeff \t\r\n").startswith(("{", "["))
    except OSError:
        return True  # its reader says what is wrong


def read_table(path: Path) -> CocoLabels:
    """Paths and labels of a list, sorted by path; classes in the order of their names (numbers as numbers).

    Tabs separate where the first line has one, commas otherwise. A first line whose path ends like no image
    is a heading. Raises DatasetError, with file and line, for what is no such line and for a path that comes twice.
    """
    rows: dict[str, tuple[int, str]] = {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot read the list {path}: {error}", hint=_HINT) from error
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    for row in reader:
        number = reader.line_num
        if not row or not "".join(row).strip():
            continue
        if number == 1 and os.path.splitext(row[0])[1].lower() not in (*TAKEN, *REFUSED):
            continue
        _check_row(row, rows, f"{path}:{number}")
        rows[os.path.normpath(row[0].strip())] = (number, row[1].strip())
    names = {label for _, label in rows.values()}
    are_numbers = all(name.isdigit() for name in names)
    classes = sorted(names, key=lambda name: (int(name), name) if are_numbers else (0, name))
    index = {name: place for place, name in enumerate(classes)}
    paths = sorted(rows, key=os.fsencode)
    return CocoLabels(
        paths=tuple(paths),
        labels=tuple(index[rows[each][1]] for each in paths),
        classes=tuple(classes),
        left_out=0,
        orphans=0,
    )


def _check_row(row: list[str], rows: dict[str, tuple[int, str]], where: str) -> None:
    if len(row) < 2 or not row[0].strip() or not row[1].strip():
        raise DatasetError(f"{where}: not a path and a label: {row!r}", hint=_HINT)
    path = os.path.normpath(row[0].strip())
    if path.startswith(("/", "..")):
        raise DatasetError(f"{where}: {row[0]} is not below the folder of images", hint=_HINT)
    if path in rows:
        raise DatasetError(f"{where}: {path} stands here twice, first in line {rows[path][0]}", hint=_HINT)

"""A list of images: CSV or TSV lines of path and label. Standard library only."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ..protocol.dataset_errors import DatasetError, shorten
from .coco import CocoLabels
from .inspection import REFUSED, TAKEN

_MOST_LINE = 64 * 1024
"""Characters: a path and a label; a file without ends of lines must not be held whole."""
_NUMBER = re.compile(r"[0-9]{1,18}\Z")
_CONTROL = re.compile(r"[\0-\x1f\x7f]")
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
        with open(path, encoding="utf-8-sig") as stream:
            for number, row in _split(stream, path):
                is_heading = number == 1 and os.path.splitext(row[0])[1].lower() not in (*TAKEN, *REFUSED)
                if not is_heading:
                    _check_row(row, rows, f"{path}:{number}")
                    rows[os.path.normpath(row[0].strip())] = (number, row[1].strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot read the list {path}: {error}", hint=_HINT) from error
    names = {label for _, label in rows.values()}
    are_numbers = all(_NUMBER.match(name) for name in names)
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


def _split(stream: TextIO, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each line that holds something, with its number, split; a line's quotes end on it. Raises DatasetError."""
    delimiter, number = "", 0
    while line := stream.readline(_MOST_LINE):
        number += 1
        where = f"{path}:{number}"
        if len(line) == _MOST_LINE:
            raise DatasetError(f"{where}: a line of more than {_MOST_LINE} characters", hint=_HINT)
        delimiter = delimiter or ("\t" if "\t" in line else ",")
        if not line.strip():
            continue
        try:
            (row,) = csv.reader([line.rstrip("\n")], delimiter=delimiter, strict=True)
        except (csv.Error, ValueError):
            cure = 'close the quote on its line; a quote inside quotes is written twice ("")'
            raise DatasetError(f"{where}: a quote that is not closed: {shorten(line)}", hint=cure) from None
        if "".join(row).strip():
            yield number, row


def _check_row(row: list[str], rows: dict[str, tuple[int, str]], where: str) -> None:
    if len(row) < 2 or not row[0].strip() or not row[1].strip():
        raise DatasetError(f"{where}: not a path and a label: {shorten(row)}", hint=_HINT)
    if _CONTROL.search("".join(row[:2])):
        raise DatasetError(f"{where}: a control character in {shorten(row[:2])}", hint=_HINT)
    path = os.path.normpath(row[0].strip())
    if path.startswith(("/", "../")) or path in {".", ".."}:
        raise DatasetError(f"{where}: {shorten(row[0])} is not below the folder of images", hint=_HINT)
    if path in rows:
        raise DatasetError(f"{where}: {path[:80]} stands here twice, first in line {rows[path][0]}", hint=_HINT)

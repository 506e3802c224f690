"""Read a list of images: lines of path and label, CSV or JSON Lines, as people and their tools write them.

Standard library only.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO, TypeAlias

from ..protocol.dataset_errors import DatasetError, shorten
from .coco import CocoLabels
from .columns import Columns, choose_delimiter, find_columns, is_image_name, split_line
from .look import count_of
from .survey import IMAGES, SPLITS, find_junk, suffix_of, walk

_MOST_LINE = 64 * 1024
"""Most characters of a line (a path and a label): a file without line ends must not be read into memory whole."""
_LOOKED_AT = 200
"""Number of lines that decide which columns hold what."""
_NUMBER = re.compile(r"[0-9]{1,18}\Z")
_CONTROL = re.compile(r"[\0-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:/")
_HINT = "write a line `path<tab>label` (or `path,label`) for each image, with paths relative to the folder of images"
ListFiles: TypeAlias = Callable[[], Iterable[str]]
"""Returns the paths of all files below a folder of images."""
_COCO_KEYS = ("images", "annotations", "categories", "info", "licenses")


def is_json(path: Path) -> bool:
    """Return whether a file of labels is one JSON object (an instances JSON), not CSV or JSON Lines."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as stream:
            line = next((line for line in iter(lambda: stream.readline(_MOST_LINE), "") if line.strip()), "")
    except OSError:
        return True  # its reader reports what is wrong
    return line.lstrip().startswith(("{", "[")) and _parse_object(line) is None


def _parse_object(line: str) -> dict[str, object] | None:
    """Return the object on a line of JSON Lines; None for anything else and for an instances JSON."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and not any(key in said for key in _COCO_KEYS) else None


def read_table(
    path: Path,
    folder: Path | None = None,
    *,
    split: str | None = None,
    roots: Sequence[str] = (),
    list_folder: str | None = None,
    list_files: ListFiles | None = None,
) -> CocoLabels:
    """Return paths and labels of a list, sorted by path; classes are sorted by name (numbers by value).

    Columns are determined by their headings, otherwise by their contents. Names without a suffix are looked up in
    ``folder``, or among ``list_files`` if the images lie on another machine. ``split``: read only the rows of that
    part. ``roots``: folders that absolute paths may begin with, as on the host. ``list_folder``: the list's own folder
    there (by default that of ``path``), which paths may be relative to. Raises DatasetError, with file and line, for a
    line without path and label and for a path that occurs twice.
    """
    if folder is not None:
        roots = (*roots, os.path.abspath(folder), os.path.realpath(folder))
        list_files = list_files or partial(_walk_files, folder)
    names = _Names(roots, list_files, list_folder or os.path.dirname(os.path.abspath(path)))
    rows: dict[str, tuple[int, str]] = {}
    try:
        with open(path, encoding="utf-8-sig") as stream:
            lines = _split(stream, path, names)
            head = list(itertools.islice(lines, _LOOKED_AT))
            columns = _tell_columns(path, [row for _, row in head], names)
            names.choose_base([row for _, row in head[columns.has_heading :]], columns.path)
            parts: Counter[str] = Counter()
            for number, row in itertools.chain(head[1:] if columns.has_heading else head, lines):
                part = row[columns.split].strip() if columns.split is not None and columns.split < len(row) else ""
                parts[part] += 1
                if split is None or part.lower() == split.lower():
                    _add_row(row, columns, rows, names, f"{path}:{number}", number)
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot read the list {path}: {error}", hint=_HINT) from error
    if split is not None and not rows:
        known = ", ".join(sorted(filter(None, parts))[:8]) or "none: the list has no column of parts"
        raise DatasetError(f"{path} has no rows of the part {split!r} (it has {known})", hint="correct `split`")
    said = tuple(_say(path, columns, parts, names, split))
    is_movable = not (names.absolute or names.is_from_list)
    return _sort(rows, said, is_plain=_is_plain(columns, names, split), is_movable=is_movable)


def _sort(rows: dict[str, tuple[int, str]], said: tuple[str, ...], *, is_plain: bool, is_movable: bool) -> CocoLabels:
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
        said=said,
        is_plain=is_plain,
        is_movable=is_movable,
    )


def _walk_files(folder: Path) -> list[str]:
    return walk(folder, _HINT)[0]


class _Names:
    """Paths below the image folder by the names of a list; the folder is listed only if a name does not suffice.

    Counts the names that were not plain paths, and holds the list's delimiter. ``is_from_list``: relative paths are
    relative to the list's own folder.
    """

    def __init__(self, roots: Sequence[str], list_files: ListFiles | None, list_folder: str) -> None:
        self._list_files = list_files
        self._list_folder = list_folder
        self._roots = [f"{root.rstrip('/')}/" for root in roots]
        self._by_stem: dict[str, list[str]] | None = None
        self.by_stem_count = self.absolute = self.backslashes = 0
        self.is_from_list = False
        self.separator = ","

    def choose_base(self, rows: Sequence[Sequence[str]], column: int) -> None:
        """Decide what the paths of these rows are relative to: the folder of images, unless none of them is there.

        Then it is the list's own folder, where some of them name images from there.
        """
        cells = [row[column] for row in rows if column < len(row) and not _is_absolute(row[column])]
        below = [path for cell in cells if (path := self._below(cell)) is not None]
        is_same = below == [os.path.normpath(self._plain(cell)) for cell in cells]
        if self._list_files is None or not below or is_same:
            return
        is_found = any(self._is_there(self._plain(cell)) for cell in cells)
        self.is_from_list = not is_found and any(map(self._is_there, below))

    def is_file(self, cell: str) -> bool:
        """Return whether a cell names a file of the folder, perhaps without its suffix."""
        text = self._plain(cell)
        if not text or is_image_name(text) or self._list_files is None:
            return False
        return bool(self._stems.get(text)) or bool(self._stems.get(self._below(cell) or ""))

    def resolve(self, cell: str, where: str) -> str:
        """Return the path that a cell names. Raises DatasetError if it is outside the folder or ambiguous."""
        text, is_absolute = cell.strip(), _is_absolute(cell)
        self.backslashes += "\\" in text
        if self.is_from_list and not is_absolute:
            plain = self._below(cell)
            if plain is None:
                cure = f"give {self._list_folder} as the folder of images: the paths of this list are relative to it"
                raise DatasetError(f"{where}: {shorten(cell)} is not below the folder of images", hint=cure)
        else:
            plain = self._plain(text)
        path = os.path.normpath(plain)
        if path.startswith(("/", "../")) or path in {".", ".."} or _DRIVE.match(path):
            cure = "write paths relative to that folder, or absolute ones below it"
            raise DatasetError(f"{where}: {shorten(cell)} is not below the folder of images", hint=cure)
        self.absolute += is_absolute
        if suffix_of(path) in IMAGES or self._list_files is None:
            return path
        found = self._stems.get(path, [])
        if len(found) > 1:
            cure = "write the names with their suffix"
            raise DatasetError(f"{where}: {shorten(cell)} is ambiguous: {found[0]} or {found[1]}", hint=cure)
        self.by_stem_count += 1
        return found[0] if found else f"{path}.jpg"

    def _plain(self, cell: str) -> str:
        """Return a cell with forward slashes, and relative to the folder if it lies below it."""
        text = cell.strip().replace("\\", "/")
        root = next((root for root in self._roots if text.startswith(root)), "")
        return text[len(root) :]

    def _below(self, cell: str) -> str | None:
        """Return a cell, read from the list's own folder, as a path below the folder of images; None if it is not."""
        text = os.path.normpath(os.path.join(self._list_folder, cell.strip().replace("\\", "/")))
        root = next((root for root in self._roots if text.startswith(root)), None)
        return None if root is None else text[len(root) :]

    def _is_there(self, path: str) -> bool:
        """Whether a path below the folder of images names a file there, without its suffix perhaps."""
        path = os.path.normpath(path)
        found = self._stems.get(os.path.splitext(path)[0] if is_image_name(path) else path, [])
        return path in found if is_image_name(path) else bool(found)

    @property
    def _stems(self) -> dict[str, list[str]]:
        """Images of the folder by their path without suffix, and by their name without suffix."""
        if self._by_stem is None:
            self._by_stem = {}
            for path in self._list_files() if self._list_files is not None else ():
                if suffix_of(path) in IMAGES and not find_junk(path):
                    stem = os.path.splitext(path)[0]
                    for key in {stem, stem.rpartition("/")[2]}:
                        self._by_stem.setdefault(key, []).append(path)
        return self._by_stem


def _is_absolute(cell: str) -> bool:
    """Return whether a cell is an absolute path, of Windows too."""
    text = cell.strip()
    return text.startswith("/") or bool(_DRIVE.match(text))


def _tell_columns(path: Path, rows: list[list[str]], names: _Names) -> Columns:
    """Return the columns of a list by its first rows. Raises DatasetError if they cannot be determined."""
    if not rows:
        raise DatasetError(f"{path} is empty: it lists no image", hint=_HINT)
    if max(map(len, rows)) == 2 and is_image_name(rows[0][0]):
        return Columns(0, 1)
    has_images = any(is_image_name(cell) for row in rows for cell in row)
    is_file = [[not has_images and names.is_file(cell) for cell in row] for row in rows]
    found = find_columns(rows, is_file)
    if isinstance(found, str):
        raise DatasetError(f"{path}: {found}", hint=_HINT)
    return found


def _add_row(
    row: Sequence[str], columns: Columns, rows: dict[str, tuple[int, str]], names: _Names, where: str, number: int
) -> None:
    cells = [row[place] if place < len(row) else "" for place in (columns.path, columns.label)]
    if not cells[0].strip() or not cells[1].strip():
        raise DatasetError(f"{where}: not a path and a label: {shorten(list(row))}", hint=_HINT)
    if _CONTROL.search("".join(cells)):
        raise DatasetError(f"{where}: a control character in {shorten(cells)}", hint=_HINT)
    path = names.resolve(cells[0], where)
    if path in rows:
        raise DatasetError(f"{where}: {path[:80]} is listed twice, first in line {rows[path][0]}", hint=_HINT)
    rows[path] = (number, cells[1].strip())


def _say(path: Path, columns: Columns, parts: Counter[str], names: _Names, split: str | None) -> Iterator[str]:
    """Yield sentences about how a list was read, if it was not plain."""
    if (columns.path, columns.label) != (0, 1):
        yield f"{path.name}: column {columns.path + 1} holds the paths and column {columns.label + 1} the labels"
    if columns.ignored:
        yield f"{path.name}: these columns are ignored: {', '.join(columns.ignored[:8])}"
    if columns.split is not None and split is None:
        found = ", ".join(f"{part or 'none'}: {count}" for part, count in sorted(parts.items())[:6])
        first = min(filter(None, parts), key=_rank, default="train")
        yield (
            f"{path.name}: the column of parts ({found}) is ignored, so all rows are read; `--split {first}` (in an "
            f"inventory `split: {first}`) reads the rows of one part"
        )
    if names.by_stem_count:
        count = count_of(names.by_stem_count, "name")
        yield f"{count} in {path.name} without a suffix: each matched to the image with that name"
    if names.is_from_list:
        yield f"the paths in {path.name} are read from its own folder, for none is found in the folder of images"
    if names.absolute:
        yield f"{count_of(names.absolute, 'absolute path')} in {path.name} read as paths below the folder of images"


def _rank(part: str) -> tuple[int, str]:
    lower = part.lower()
    return (SPLITS.index(lower) if lower in SPLITS else len(SPLITS), part)


def _is_plain(columns: Columns, names: _Names, split: str | None) -> bool:
    """Return whether the list consists of lines of path and label and nothing else."""
    odd = names.by_stem_count or names.absolute or names.backslashes or names.is_from_list or columns.ignored or split
    return not odd and names.separator in ",\t" and (columns.path, columns.label, columns.split) == (0, 1, None)


def _split(stream: TextIO, path: Path, names: _Names) -> Iterator[tuple[int, list[str]]]:
    """Yield (number, cells) of each line that is not empty; a quote must end on its line. Raises DatasetError."""
    first = list(itertools.islice(_lines(stream, path), 1))
    if first and _parse_object(first[0][1]) is not None:
        names.separator = "JSON"
        yield from _split_objects(itertools.chain(first, _lines(stream, path, 2)), path)
        return
    head = first + list(itertools.islice(_lines(stream, path, len(first) + 1), 20))
    names.separator = delimiter = choose_delimiter([line for _, line in head])
    for number, line in itertools.chain(head, _lines(stream, path, head[-1][0] + 1 if head else 1)):
        row = split_line(line, delimiter)
        if row is None:
            cure = 'close the quote on its line; a quote inside quotes is written twice ("")'
            raise DatasetError(f"{path}:{number}: a quote that is not closed: {shorten(line)}", hint=cure)
        if "".join(row).strip():
            yield number, row


def _lines(stream: TextIO, path: Path, number: int = 1) -> Iterator[tuple[int, str]]:
    """Yield (number, line) of each non-blank line, counting from ``number``. Raises DatasetError for a long one."""
    while line := stream.readline(_MOST_LINE):
        if len(line) == _MOST_LINE:
            raise DatasetError(f"{path}:{number}: a line of more than {_MOST_LINE} characters", hint=_HINT)
        if line.strip():
            yield number, line.rstrip("\r\n")
        number += 1


def _split_objects(lines: Iterator[tuple[int, str]], path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each object of JSON Lines as a row, after a heading of the first object's keys. Raises DatasetError."""
    keys: list[str] | None = None
    for number, line in lines:
        said = _parse_object(line)
        if said is None:
            raise DatasetError(f"{path}:{number}: not a JSON object: {shorten(line)}", hint=_HINT)
        if keys is None:
            keys = [str(key) for key in said]
            yield number, keys
        yield number, [_as_cell(said.get(key)) for key in keys]


def _as_cell(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""

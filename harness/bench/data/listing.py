"""Which images a data set has and their labels: a folder per class, a COCO pair, a list, TFRecord files.

Standard library only.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..loaders.tfrecords import Features, find_features, is_record_file, place_of, read_examples, split_pattern
from ..protocol.dataset_errors import (
    FOLDER_HINT,
    PAIR_HINT,
    RECORDS_HINT,
    DatasetError,
    absent_folder,
    closed_folder,
    no_classes,
    no_record_files,
    not_a_folder,
)
from .coco import read_coco
from .inspection import REFUSED, TAKEN
from .table import is_json, read_table


@dataclass(frozen=True)
class Listing:
    """A data set by names: ``paths`` relative to ``folder``, sorted as bytes, and a label each.

    ``is_table``: labels come from a list of paths and labels, not from an instances JSON.
    ``refused`` are files that only some loaders would take, by their suffix. ``odd``
    counts what is not an image's own oddity. ``annotations`` is (size, SHA-256) of the
    instances JSON of a COCO pair. ``stored`` are the files on disk where they hold more than one image each (TFRecord),
    and ``features`` what is read of their records.
    """

    kind: str
    folder: Path
    paths: tuple[str, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    refused: tuple[str, ...] = ()
    odd: dict[str, int] = field(default_factory=dict)
    annotations: tuple[int, str] | None = None
    stored: tuple[str, ...] = ()
    features: Features | None = None
    is_table: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """What lies on the disk, relative to ``folder``."""
        return self.stored or self.paths


def list_folder(folder: Path) -> Listing:
    """One folder per class, in the order of their names, as Keras lists it: folders below a class belong to it.

    Hidden folders at the top are no classes (``flow_from_directory`` must be given the
    class names). Links to folders below a class are not followed; files are taken by suffix, hidden or not.
    Raises DatasetError.
    """
    names = sorted(
        entry.name for entry in _scan(folder, FOLDER_HINT) if not entry.name.startswith(".") and _is_folder(entry)
    )
    if not names:
        raise no_classes(folder)
    for name in names:
        if not is_text(name):
            raise DatasetError(f"{folder}: the class folder {_printable(name)} is not named in UTF-8", hint="rename it")
    rows: list[tuple[str, int]] = []
    refused: list[str] = []
    odd = {"other_files": 0, "empty_classes": 0}
    for label, name in enumerate(names):
        before = len(rows) + len(refused)
        for path in _walk(folder, name):
            suffix = os.path.splitext(path)[1].lower()
            if suffix in TAKEN:
                rows.append((path, label))
            elif suffix in REFUSED:
                refused.append(path)
            else:
                odd["other_files"] += 1
        odd["empty_classes"] += len(rows) + len(refused) == before
    rows.sort(key=lambda row: os.fsencode(row[0]))
    return Listing(
        kind="folder",
        folder=folder,
        paths=tuple(path for path, _ in rows),
        labels=tuple(label for _, label in rows),
        classes=tuple(names),
        refused=tuple(sorted(refused, key=os.fsencode)),
        odd={name: count for name, count in odd.items() if count},
    )


def list_coco(folder: Path, annotations: Path) -> Listing:
    """A COCO pair (see ``read_coco``), or a folder with a list of paths and labels (``read_table``).

    What the labels' file is, its first character says: JSON begins with a brace. Raises DatasetError.
    """
    _scan(folder, PAIR_HINT)
    is_table = not is_json(annotations)
    labels = read_table(annotations) if is_table else read_coco(annotations)
    with open(annotations, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    rows = [(path, label) for path, label in zip(labels.paths, labels.labels, strict=True) if _is_taken(path)]
    odd = {"without_annotations": labels.left_out, "orphan_annotations": labels.orphans}
    return Listing(
        kind="coco",
        folder=folder,
        paths=tuple(path for path, _ in rows),
        labels=tuple(label for _, label in rows),
        classes=labels.classes,
        refused=tuple(path for path in labels.paths if not _is_taken(path)),
        odd={name: count for name, count in odd.items() if count},
        annotations=(annotations.stat().st_size, digest),
        is_table=is_table,
    )


def list_tfrecord(path: Path, image_feature: str | None = None, label_feature: str | None = None) -> Listing:
    """The images in the TFRecord files of a folder, or of those that a pattern names (``FOLDER/flowers-train*``).

    Classes are the lines of ``<label feature>.labels.txt`` beside them, where tensorflow-datasets left it,
    else the labels that occur, in their order. Raises DatasetError.
    """
    where, pattern = split_pattern(str(path))
    folder = Path(where)
    names = choose_records((entry.name for entry in _scan(folder, RECORDS_HINT) if entry.is_file()), pattern)
    if not names:
        raise no_record_files(path)
    features = find_features(folder / names[0], image_feature, label_feature)
    found = [(name, example) for name in names for example in read_examples(folder / name, features)]
    words = folder / f"{features.label.replace('/', '_')}.labels.txt"
    named = words.read_text(encoding="utf-8", errors="replace").split("\n") if words.is_file() else []
    classes = [name for name in named if name]
    used = {example.label for _, example in found}
    if len({type(label) for label in used}) > 1:
        raise DatasetError(
            f"{path}: some records have a number as {features.label}, others a text", hint="make them one"
        )
    labels: Sequence[int | str] = range(len(classes))
    if not classes:
        labels = sorted(used, key=lambda label: (0, label, "") if isinstance(label, int) else (1, 0, label))
        classes = [str(label) for label in labels]
    index = {label: number for number, label in enumerate(labels)}
    unknown = sorted(map(str, used - index.keys()))
    if unknown:
        raise DatasetError(f"{folder}: label {unknown[0]} has no line in {words.name}", hint="mend that file")
    return Listing(
        kind="tfrecord",
        folder=folder,
        paths=tuple(place_of(name, example) for name, example in found),
        labels=tuple(index[example.label] for _, example in found),
        classes=tuple(classes),
        stored=(*names, *([words.name] if words.is_file() else [])),
        features=replace(features, labels=tuple(labels)),
    )


def choose_records(names: Iterable[str], pattern: str) -> list[str]:
    """Return which of a folder's files are records: those that a pattern names, else all that look like it."""
    if pattern:
        names = [name for name in names if fnmatch.fnmatchcase(name, pattern) and not name.endswith((".txt", ".json"))]
    else:
        names = [name for name in names if is_record_file(name)]
    return sorted(names, key=os.fsencode)


def _is_taken(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in TAKEN


def _scan(folder: Path, hint: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError as error:
        raise absent_folder(folder, hint) from error
    except NotADirectoryError as error:
        raise not_a_folder(folder, hint) from error
    except OSError as error:
        raise closed_folder(folder, error.strerror, os.getuid()) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _walk(folder: Path, name: str) -> list[str]:
    """All files below one class folder, as paths relative to ``folder``."""

    def stop(error: OSError) -> None:
        raise closed_folder(error.filename, error.strerror, os.getuid()) from error

    paths: list[str] = []
    for parent, _, files in os.walk(os.path.join(folder, name), onerror=stop):
        inner = os.path.relpath(parent, folder)
        paths.extend(f"{inner}/{file}" for file in files)
    return paths


def is_text(name: str) -> bool:
    """Whether a path is UTF-8: the manifest and TensorFlow's readers need it so."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(name: str) -> str:
    return ascii(os.fsencode(name))[1:]


def printable_path(path: str) -> str:
    """``path`` as it may stand in a message or a JSON file: bytes that are no UTF-8 are written ``\\xNN``."""
    return path if is_text(path) else _printable(path)

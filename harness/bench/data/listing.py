"""List the images of a data set and their labels: a folder per class, a COCO pair, a list, TFRecord files.

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
    no_record_files,
)
from ..protocol.image_formats import PASSED_OVER, REFUSED, TAKEN, taken_with
from .coco import read_coco
from .look import Look, look, read_heads
from .survey import Survey, find_junk, gather, scan, suffix_of, walk
from .table import is_json, read_table


@dataclass(frozen=True)
class Listing:
    """A data set by names: ``paths`` relative to ``folder``, sorted as bytes, with a label each.

    ``is_table``: labels come from a list of paths and labels, not from an instances JSON. ``refused`` are files that
    only some loaders read, judged by suffix. ``odd`` counts what is unusual about the set, as opposed to one image.
    ``annotations`` is (size, SHA-256) of a COCO pair's instances JSON. ``stored`` are the files on disk if they hold
    many images each (TFRecord), and ``features`` says which features of their records are read. ``said`` are sentences
    on what the set is and what is left out. ``is_plain``: Keras would read the folder the same way (one folder per
    class, and no image that is not listed), or every reader of such files would read the labels' file the same way.
    ``is_labelled``: images have labels. ``fault`` is why the set cannot be measured, as far as names show.
    ``labels_file`` is the instances JSON or the list; ``is_movable``: it is read the same on another machine.
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
    said: tuple[str, ...] = ()
    is_plain: bool = True
    is_labelled: bool = True
    split: str | None = None
    fault: DatasetError | None = None
    labels_file: Path | None = None
    is_movable: bool = True

    @property
    def files(self) -> tuple[str, ...]:
        """The files on disk, relative to ``folder``."""
        return self.stored or self.paths


UNLABELLED = "unlabelled"
"""The name of the only class of images without labels."""


def list_folder(
    folder: Path, *, split: str | None = None, formats: Sequence[str] = (), skip_unreadable: bool = False
) -> Listing:
    """Return the images of a folder, in the form that ``look`` finds; class folders are listed as Keras does.

    Folders below a class belong to it, hidden folders at the top are not classes, and links to folders below a class
    are not followed. Files are selected by suffix, hidden or not; files that do not belong to a set (``find_junk``) are
    left out. ``formats`` are read in addition to JPEG and PNG; ``skip_unreadable``: other images are left out. Raises
    DatasetError.
    """
    walked: dict[str, list[str]] = {}

    def survey_of(place: str) -> Survey:
        walked[place], folders = walk(Path(place), FOLDER_HINT)
        return gather(walked[place], folders, read_heads(place, walked[place]))

    found = look(str(folder), survey_of, split=split, formats=formats, skip_unreadable=skip_unreadable)
    if found.fault is not None and not (found.images or found.others):
        raise found.fault
    if found.form == "tfrecord":
        return list_tfrecord(Path(found.place))
    if found.annotations is not None:
        where, labels = Path(found.place), Path(found.annotations)
        listing = list_coco(where, labels, formats=formats)
        return replace(listing, said=(*found.said, *listing.said), split=found.split)
    return _list_classes(found, walked[found.place], formats)


def _list_classes(found: Look, files: Sequence[str], formats: Sequence[str]) -> Listing:
    """Return the images of class folders, or of a folder without them. Raises DatasetError."""
    folder, classes = Path(found.place), found.classes if found.is_labelled else (UNLABELLED,)
    for name in classes:
        if not is_text(name):
            raise DatasetError(f"{folder}: the class folder {_printable(name)} is not named in UTF-8", hint="rename it")
    index = {name: label for label, name in enumerate(classes)}
    taken = taken_with(formats)
    rows: list[tuple[str, int]] = []
    refused: list[str] = []
    odd = {"other_files": 0, "junk_files": sum(found.junk.values()), "empty_classes": 0, "passed_over": 0}
    full: set[str] = set()
    is_plain = found.is_labelled
    for path in files:
        top = path.partition("/")[0] if "/" in path else ""
        label = index.get(top) if found.is_labelled else 0 if not top else None
        suffix = suffix_of(path)
        is_image = suffix in (*TAKEN, *REFUSED)
        if find_junk(path):
            is_plain = is_plain and not (is_image and label is not None) and (not top or top in index)
        elif label is None:
            is_plain = is_plain and (not top or top.startswith("."))
        elif suffix in taken:
            rows.append((path, label))
            full.add(top)
        elif is_image:
            refused.append(path)
            full.add(top)
        else:
            odd["passed_over" if suffix in PASSED_OVER else "other_files"] += 1
    odd["empty_classes"] = len(classes) - len(full) if found.is_labelled else 0
    rows.sort(key=lambda row: os.fsencode(row[0]))
    return Listing(
        kind="folder",
        folder=folder,
        paths=tuple(path for path, _ in rows),
        labels=tuple(label for _, label in rows),
        classes=classes,
        refused=tuple(sorted(refused, key=os.fsencode)),
        odd={name: count for name, count in odd.items() if count},
        said=found.said,
        is_plain=is_plain and not refused,
        is_labelled=found.is_labelled,
        split=found.split,
        fault=found.fault,
    )


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hex; ``hashlib.file_digest`` is too new for the oldest Python on hosts."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def list_coco(
    folder: Path,
    annotations: Path,
    *,
    split: str | None = None,
    formats: Sequence[str] = (),
    roots: Sequence[str] = (),
    list_folder: str | None = None,
) -> Listing:
    """Return the images of a COCO pair (``read_coco``), or of a folder with a list of labels (``read_table``).

    The first line of the labels' file decides which: an instances JSON is one object. ``roots`` are the folders that
    absolute paths in the list may begin with; ``list_folder`` is where the list lies on the host. Raises DatasetError.
    """
    scan(folder, PAIR_HINT)
    is_table = not is_json(annotations)
    if is_table:
        labels = read_table(annotations, folder, split=split, roots=roots, list_folder=list_folder)
    else:
        labels = read_coco(annotations)
    digest = hash_file(annotations)
    taken = taken_with(formats)
    rows = [(path, label) for path, label in zip(labels.paths, labels.labels, strict=True) if suffix_of(path) in taken]
    odd = {"without_annotations": labels.left_out, "orphan_annotations": labels.orphans}
    return Listing(
        kind="coco",
        folder=folder,
        paths=tuple(path for path, _ in rows),
        labels=tuple(label for _, label in rows),
        classes=labels.classes,
        refused=tuple(path for path in labels.paths if suffix_of(path) not in taken),
        odd={name: count for name, count in odd.items() if count},
        annotations=(annotations.stat().st_size, digest),
        is_table=is_table,
        said=labels.said,
        is_plain=labels.is_plain,
        split=split if is_table else None,
        labels_file=annotations,
        is_movable=labels.is_movable,
    )


def list_tfrecord(path: Path, image_feature: str | None = None, label_feature: str | None = None) -> Listing:
    """Return the images in a folder's TFRecord files, or in those that match a pattern (``FOLDER/flowers-train*``).

    Classes are the lines of ``<label feature>.labels.txt`` beside the files, as tensorflow-datasets writes it,
    otherwise the labels that occur, in their order. Raises DatasetError.
    """
    where, pattern = split_pattern(str(path))
    folder = Path(where)
    names = choose_records((entry.name for entry in scan(folder, RECORDS_HINT) if entry.is_file()), pattern)
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
            f"{path}: some records have a number as {features.label}, others a string", hint="write all labels alike"
        )
    labels: Sequence[int | str] = range(len(classes))
    if not classes:
        labels = sorted(used, key=lambda label: (0, label, "") if isinstance(label, int) else (1, 0, label))
        classes = [str(label) for label in labels]
    index = {label: number for number, label in enumerate(labels)}
    unknown = sorted(map(str, used - index.keys()))
    if unknown:
        raise DatasetError(f"{folder}: label {unknown[0]} has no line in {words.name}", hint="correct that file")
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
    """Return the record files of a folder: those that match ``pattern``, or all that look like records."""
    names = [name for name in names if not find_junk(name)]
    if pattern:
        names = [name for name in names if fnmatch.fnmatchcase(name, pattern) and not name.endswith((".txt", ".json"))]
    else:
        names = [name for name in names if is_record_file(name)]
    return sorted(names, key=os.fsencode)


def is_text(name: str) -> bool:
    """Return whether a path is UTF-8, which the manifest and TensorFlow's readers require."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(name: str) -> str:
    return ascii(os.fsencode(name))[1:]


def printable_path(path: str) -> str:
    """Return ``path`` as it may appear in a message or a JSON file: bytes that are not UTF-8 become ``\\xNN``."""
    return path if is_text(path) else _printable(path)

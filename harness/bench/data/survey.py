"""Count what a folder contains: files by folder and suffix. A walk and a host's shell give the same counts.

Folders are counted to the second level; deeper files count for the folder there. Standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..loaders.tfrecords import is_record_file
from ..protocol.dataset_errors import absent_folder, closed_folder, not_a_folder
from ..protocol.image_formats import PASSED_OVER, REFUSED, TAKEN

JUNK_FOLDERS = (
    "__MACOSX", "@eaDir", ".ipynb_checkpoints", ".AppleDouble", ".Trashes", ".thumbnails", "#recycle", "$RECYCLE.BIN",
    "System Volume Information", "lost+found",
)  # fmt: skip
"""Folders that archives, notebooks, file managers and network storage leave among images."""
JUNK_FILES = ("Thumbs.db", "ehthumbs.db", "desktop.ini", ".DS_Store")
JUNK_PREFIX = "._"
"""macOS stores metadata in ``._x.jpg`` beside ``x.jpg`` on disks of other systems; such a file is not an image."""

SPLITS = (
    "train", "training", "val", "valid", "validation", "dev", "eval", "test", "testing", "unlabeled", "unsup",
)  # fmt: skip
"""Names of the parts of a set; if a set has several, the first in this order is read."""
LISTS = (".csv", ".json", ".jsonl", ".parquet", ".tsv", ".yaml", ".yml")
"""Suffixes of files that may describe the images beside them; they are recognised by name."""
MOST_NAMED = 500
LONGEST_SUFFIX = 10


@dataclass
class Pile:
    """The files of one suffix (lower case) in one folder; ``first`` is the first of their paths, as an example."""

    folder: str
    suffix: str
    count: int = 0
    bytes: int = 0
    first: str = ""

    @property
    def top(self) -> str:
        """The top-level folder that contains them; empty if they lie in none."""
        return self.folder.partition("/")[0]


@dataclass(frozen=True)
class Survey:
    """The contents of a folder in counts.

    ``folders`` are those of the first two levels, including hidden ones of the first. ``junk`` counts files that do not
    belong to a set, by the name that shows it (``__MACOSX/``, ``._*``). ``files`` are (path, bytes) of records and of
    files that may describe the images; ``heads`` are the first characters of some of them. Bytes are 0 if they were not
    measured.
    """

    folders: tuple[str, ...] = ()
    piles: tuple[Pile, ...] = ()
    junk: Mapping[str, int] = field(default_factory=dict)
    files: tuple[tuple[str, int], ...] = ()
    heads: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def tops(self) -> list[str]:
        """The top-level folders that may be classes: neither hidden nor junk."""
        return sorted(
            name for name in self.folders if "/" not in name and not name.startswith(".") and name not in JUNK_FOLDERS
        )

    def count(self, suffixes: Sequence[str], top: str | None = None) -> int:
        """Count files with some suffixes, below one top-level folder or everywhere (None)."""
        return sum(pile.count for pile in self.choose(suffixes, top))

    def choose(self, suffixes: Sequence[str], top: str | None = None) -> list[Pile]:
        """Return the piles with some suffixes, below one top-level folder or everywhere (None)."""
        piles = self.piles if top is None else self._by_top.get(top, ())
        return [pile for pile in piles if pile.suffix in suffixes]

    @cached_property
    def _by_top(self) -> dict[str, list[Pile]]:
        found: dict[str, list[Pile]] = {}
        for pile in self.piles:
            found.setdefault(pile.top, []).append(pile)
        return found


IMAGES = (*TAKEN, *REFUSED, *PASSED_OVER)


def find_junk(path: str) -> str:
    """Return the folder or name that shows that a path does not belong to a data set; empty if it may belong."""
    *folders, name = path.split("/")
    for folder in folders:
        if folder in JUNK_FOLDERS:
            return f"{folder}/"
    return name if name in JUNK_FILES else f"{JUNK_PREFIX}*" if name.startswith(JUNK_PREFIX) else ""


def suffix_of(path: str) -> str:
    """Return the suffix of a file's name in lower case; empty if there is none or it is too long for a suffix."""
    suffix = os.path.splitext(path)[1].lower()
    return suffix if len(suffix) <= LONGEST_SUFFIX else ""


def is_telling(path: str) -> bool:
    """Return whether a file may describe images: records, or a list by its name, in the first two levels."""
    name = path.rpartition("/")[2]
    return path.count("/") < 2 and (suffix_of(name) in LISTS or is_record_file(name))


def walk(folder: Path, hint: str) -> tuple[list[str], list[str]]:
    """Return (files, folders of the first two levels) below a folder, as paths relative to it.

    Links to folders are followed on the first level alone, as in Keras; hidden folders of the first level are not
    entered. Raises DatasetError.
    """
    top = scan(folder, hint)
    tops = [entry.name for entry in top if _is_folder(entry)]
    files = [entry.name for entry in top if entry.name not in set(tops)]
    folders = list(tops)
    for name in tops:
        if not name.startswith("."):
            _walk_below(folder, name, files, folders)
    return files, folders


def _walk_below(folder: Path, name: str, files: list[str], folders: list[str]) -> None:
    def stop(error: OSError) -> None:
        raise closed_folder(error.filename, error.strerror, os.getuid()) from error

    for parent, inside, names in os.walk(os.path.join(folder, name), onerror=stop):
        inner = os.path.relpath(parent, folder)
        files.extend(f"{inner}/{file}" for file in names)
        if inner == name:
            folders.extend(f"{inner}/{one}" for one in inside)


def scan(folder: Path, hint: str) -> list[os.DirEntry[str]]:
    """Return the entries of a folder. Raises DatasetError if it cannot be read."""
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


def gather(files: Iterable[str], folders: Iterable[str], heads: Mapping[str, str] | None = None) -> Survey:
    """Return the counts of what a walk found."""
    piles: dict[tuple[str, str], Pile] = {}
    junk: dict[str, int] = {}
    telling: list[tuple[str, int]] = []
    for path in files:
        if word := find_junk(path):
            junk[word] = junk.get(word, 0) + 1
            continue
        place = "/".join(path.split("/")[:-1][:2])
        pile = piles.setdefault((place, suffix_of(path)), Pile(place, suffix_of(path)))
        pile.count += 1
        shown = os.fsencode(path).decode(errors="backslashreplace")
        pile.first = shown if not pile.first else min(pile.first, shown)
        if len(telling) < MOST_NAMED and is_telling(path):
            telling.append((path, 0))
    return Survey(
        folders=tuple(sorted(folders)),
        piles=tuple(sorted(piles.values(), key=lambda pile: (pile.folder, pile.suffix))),
        junk=dict(sorted(junk.items())),
        files=tuple(sorted(telling)),
        heads=heads or {},
    )

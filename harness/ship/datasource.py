"""Read a data set of the controller for sending: its files, their sizes and hashes, and its fingerprint."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.bench.protocol.bounded_json import Unreadable, open_plain
from harness.values.errors import DataError

OnProgress = Callable[[str, float | None], None]
"""Called with a text and the completed share from 0 to 1 (None if unknown)."""

FILES, ANNOTATIONS = "files", "annotations.json"
"""Names in the folder of a set that was sent: its images, and the instances JSON of a COCO pair."""
_TELL_EVERY_S = 0.5
_HASHERS = 4


@dataclass(frozen=True)
class SourceFile:
    """A file to send: its path here, and its place below the set's folder there; ``mtime`` in whole seconds."""

    source: Path
    place: str
    size: int
    mtime: int
    sha256: str


@dataclass(frozen=True)
class SourceSet:
    """A data set of the controller. ``folders`` includes empty ones, since classes are folders."""

    name: str
    kind: str
    origin: str
    files: tuple[SourceFile, ...]
    folders: tuple[str, ...]
    images: int
    classes: int
    fingerprint: str

    @property
    def bytes(self) -> int:
        """Return the size of all files together."""
        return sum(file.size for file in self.files)


def read_source_set(
    name: str,
    path: Path,
    annotations: Path | None = None,
    *,
    on_progress: OnProgress | None = None,
    keep: Path | None = None,
    features: tuple[str | None, str | None] = (None, None),
    split: str | None = None,
    skip_unreadable: bool = False,
) -> SourceSet:
    """List and hash a data set of this machine. Raises DataError.

    ``features`` are the names of a TFRecord set's image and label, where they are not the usual ones. ``split`` is the
    part of a folder with parts. ``skip_unreadable``: images that not every loader reads are not sent.

    Hashes are kept by size and modification time in ``keep`` (default: the user's cache), so that unchanged files are
    read once.
    """
    from harness.bench.data.dataset import fingerprint_of, list_path
    from harness.bench.protocol.dataset_errors import DatasetError
    from harness.bench.protocol.image_formats import SOME_READ

    try:
        formats = () if skip_unreadable else tuple(SOME_READ)
        split = None if annotations is not None else split
        listing = list_path(path, annotations, features, split=split, formats=formats, skip_unreadable=skip_unreadable)
        if listing.fault is not None and not skip_unreadable:
            raise listing.fault
    except DatasetError as error:
        raise DataError(error.message, hint=error.hint) from error
    pair = listing.labels_file
    named = [(listing.folder / one, f"{FILES}/{one}") for one in listing.files]
    if pair is not None:
        named.append((pair, ANNOTATIONS))
    if not listing.paths:
        raise DataError(f"the data set {name} at {path} has no images", hint="inspect it with `harness data describe`")
    if not listing.is_movable:
        raise _refuse_bound(listing.folder, pair)
    files = _Hashed(keep or _hash_folder(), listing.folder).read(named, on_progress or (lambda text, share: None))
    entries = [(file.place.removeprefix(f"{FILES}/"), file.size, file.sha256) for file in files[: len(listing.files)]]
    has_classes = listing.kind == "folder" and listing.is_labelled
    folders = tuple(f"{FILES}/{one}" for one in listing.classes) if has_classes else (FILES,)
    return SourceSet(
        name=name,
        kind=listing.kind,
        origin=str(path),
        files=tuple(files),
        folders=folders,
        images=len(listing.paths),
        classes=len(listing.classes),
        fingerprint=fingerprint_of(entries, listing.annotations),
    )


def _refuse_bound(folder: Path, pair: Path | None) -> DataError:
    """Build the error for a list that cannot be sent, because its paths are valid only on this machine."""
    describe = shlex.join(["harness", "data", "describe", str(folder), "--annotations", str(pair)])
    return DataError(
        f"the paths in {pair} are valid only on this machine",
        hint=f"write a list whose paths are relative to the images, and use that one: {describe} --write-list new.csv",
    )


def source_file(path: Path, place: str) -> SourceFile:
    """Return one file of the controller with its hash. Raises DataError."""
    try:
        with open_plain(path, follow=True) as stream:
            status = os.fstat(stream.fileno())
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, Unreadable) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path} cannot be read: {reason}", hint="check that it exists and is readable") from error
    return SourceFile(path, place, status.st_size, int(status.st_mtime), digest)


class _Hashed:
    """The hashes of a folder's files, kept between calls."""

    def __init__(self, folder: Path, root: Path) -> None:
        key = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:24]
        self._file = folder / f"{key}.json"
        self._known = self._read()

    def read(self, named: list[tuple[Path, str]], tell: OnProgress) -> list[SourceFile]:
        found: list[SourceFile] = []
        told = time.monotonic()
        with ThreadPoolExecutor(max_workers=_HASHERS) as pool:
            for file in pool.map(self._hash, named):
                found.append(file)
                if time.monotonic() - told > _TELL_EVERY_S:
                    told = time.monotonic()
                    tell(f"hashing: {len(found)} of {len(named)} files", len(found) / len(named))
        self._write(found)
        return found

    def _hash(self, item: tuple[Path, str]) -> SourceFile:
        path, place = item
        _refuse_odd(place)
        try:
            status = path.stat()
        except OSError as error:
            hint = "`harness data describe` lists all faults of the data set"
            raise DataError(f"{path}, a file of the data set, cannot be read: {error.strerror}", hint=hint) from error
        known = self._known.get(place)
        if known is not None and (known[0], known[1]) == (status.st_size, status.st_mtime_ns):
            return SourceFile(path, place, status.st_size, int(status.st_mtime), known[2])
        return source_file(path, place)

    def _read(self) -> dict[str, tuple[int, int, str]]:
        try:
            said: Mapping[str, list[int | str]] = json.loads(self._file.read_text(encoding="utf-8"))
            return {place: (int(one[0]), int(one[1]), str(one[2])) for place, one in said.items()}
        except (OSError, ValueError, TypeError, IndexError, AttributeError):
            return {}

    def _write(self, files: list[SourceFile]) -> None:
        """Write the hashes to the cache; failures are ignored, since the hashes only save time."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            said = {file.place: (file.size, file.source.stat().st_mtime_ns, file.sha256) for file in files}
            descriptor, part = tempfile.mkstemp(dir=self._file.parent)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(said, stream)
            Path(part).replace(self._file)
        except OSError:
            return


def _refuse_odd(place: str) -> None:
    parts = PurePosixPath(place).parts
    try:
        place.encode()
    except UnicodeEncodeError:
        raise DataError(f"the file name {place!a} is not UTF-8", hint="rename it") from None
    if place.startswith("/") or ".." in parts or "\n" in place or "\r" in place or "\0" in place:
        raise DataError(f"the file name {place!a} cannot be sent", hint="rename it")


def _hash_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness" / "hashes"


class SourceSets:
    """The data sets that this machine can send, each read once for all hosts.

    All arguments are by name: ``places`` are (image or class folder, annotations or None), ``features`` are the names
    of a TFRecord set's features, ``parts`` are (part of the folder, whether unreadable images are left out).
    """

    def __init__(
        self,
        places: Mapping[str, tuple[Path, Path | None]],
        keep: Path | None = None,
        features: Mapping[str, tuple[str | None, str | None]] | None = None,
        parts: Mapping[str, tuple[str | None, bool]] | None = None,
    ) -> None:
        self._places = dict(places)
        self._features = dict(features or {})
        self._parts = dict(parts or {})
        self._keep = keep
        self._read: dict[str, SourceSet] = {}
        self._mutexes = {name: threading.Lock() for name in places}

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def read(self, name: str, on_progress: OnProgress | None = None) -> SourceSet:
        """Return a data set, listed and hashed. Raises DataError, KeyError."""
        path, annotations = self._places[name]
        with self._mutexes[name]:
            if name not in self._read:
                split, is_skipping = self._parts.get(name, (None, False))
                self._read[name] = read_source_set(
                    name,
                    path,
                    annotations,
                    on_progress=on_progress,
                    keep=self._keep,
                    features=self._features.get(name, (None, None)),
                    split=split,
                    skip_unreadable=is_skipping,
                )
            return self._read[name]

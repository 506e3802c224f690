"""What a data set is: its file list with labels, sizes and hashes, its fingerprint, and its odd files.

``python -m bench.data.dataset JOB_FOLDER`` is the task ``dataset``; ``describe`` is the same without a job.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from ..loaders import jpeg
from ..loaders.class_folders import LINKS, class_folder, link_name
from ..loaders.manifest import Manifest, escape, write_manifest
from ..loaders.tfrecords import FORMAT, Features, is_record_file, split_pattern, split_place
from ..protocol.dataset_errors import OTHER_SUFFIX, DatasetError, no_images, refused_files
from ..protocol.protocol import DATASET, MANIFEST, as_object, as_text, write_json
from .hashes import Hashes
from .inspection import Inspection, inspect_file
from .listing import Listing, is_text, list_coco, list_folder, list_tfrecord, printable_path
from .parallel import Pace, spread
from .task import Job, run_task

MOST_NAMED = 50
MOST_EXAMPLES = 5
_QUANTILES = (0, 5, 25, 50, 75, 95, 100)

Report = Callable[[int, int], None]
"""Called with images done and images in all, about twice a second."""


@dataclass(frozen=True)
class Description:
    """A data set in figures; the fields of ``dataset.json``.

    ``bytes`` are of all image files; ``size_quantiles`` maps a percentage to bytes a file, ``pixel_quantiles`` to
    pixels an image; means are over readable images, in pixels. ``odd`` counts notes
    (files that can be read) and causes (files that cannot); ``unreadable`` names the first 50 of these
    as (path, reason); ``odd_examples`` names some files with each note. ``not_looked_for`` are notes that cannot be
    made here. ``form`` is ``folder``, ``coco``, ``list`` or ``tfrecord``, ``suffixes`` are those of the images'
    names, as they are written; ``features`` says what is read of records. ``encoder`` and ``source`` are known of
    generated sets.
    """

    kind: str
    images: int
    classes: int
    class_names: tuple[str, ...]
    bytes: int
    fingerprint: str
    mean_width: float | None
    mean_height: float | None
    mean_pixels: float | None
    size_quantiles: dict[str, int]
    pixel_quantiles: dict[str, int]
    odd: dict[str, int]
    unreadable: tuple[tuple[str, str], ...]
    unreadable_count: int
    seconds: float
    reused_hashes: int
    form: str = "folder"
    suffixes: tuple[str, ...] = ()
    features: Features | None = None
    encoder: str | None = None
    source: str | None = None
    odd_examples: dict[str, tuple[str, ...]] = field(default_factory=dict)
    not_looked_for: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The description as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Examination:
    """A listing together with what was found in each image (in the listing's order).

    ``stored``: (path, size, SHA-256) of the files on disk, where one holds many images.
    """

    listing: Listing
    found: tuple[Inspection, ...]
    reused: int
    seconds: float
    stored: tuple[tuple[str, int, str], ...] = ()


def examine(
    listing: Listing, *, keep: Path | None = None, cpus: int | None = None, on_progress: Report | None = None
) -> Examination:
    """Read, hash and decode every file once, except what is as it was when the folder ``keep`` was written."""
    start = time.monotonic()
    hashes = Hashes(keep)
    found: dict[str, Inspection] = {}
    for path in listing.paths:
        known = _recall(listing.folder, path, hashes)
        if known is not None:
            found[path] = known
    reused = len(found)
    fresh = [path for path in listing.paths if path not in found]
    pace = Pace(on_progress, len(listing.paths))
    pace.add(reused)
    for begin, results in spread(partial(inspect_files, str(listing.folder)), fresh, cpus=cpus):
        named = dict(zip(fresh[begin : begin + len(results)], results, strict=True))
        found.update(named)
        hashes.add(named)
        pace.add(len(named))
    stored = tuple(_hash_stored(listing.folder, name, hashes) for name in listing.stored)
    hashes.close((*listing.paths, *listing.stored))
    ordered = tuple(found[path] for path in listing.paths)
    return Examination(listing, ordered, reused, time.monotonic() - start, stored)


def _hash_stored(folder: Path, name: str, hashes: Hashes) -> tuple[str, int, str]:
    """A file of many images: read again only where it has changed."""
    status = os.stat(folder / name)
    known = hashes.find(name, status.st_size, status.st_mtime_ns)
    if known is None:
        with open(folder / name, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        known = Inspection(status.st_size, status.st_mtime_ns, digest)
        hashes.add({name: known})
    return name, known.size, known.sha256


def _recall(folder: Path, path: str, hashes: Hashes) -> Inspection | None:
    if not is_text(path):
        return Inspection(0, 0, "", cause="bad_name", problem="its name is not UTF-8: rename it")
    place = split_place(os.path.join(folder, path))
    try:
        status = os.stat(folder / path if place is None else place[0])
    except OSError:
        return None
    return hashes.find(path, status.st_size if place is None else place[2], status.st_mtime_ns)


def inspect_files(folder: str, paths: Sequence[str]) -> list[Inspection]:
    """Inspect files of one folder, one after the other: the work of one process."""
    return [inspect_file(os.path.join(folder, path)) for path in paths]


def fingerprint_of(entries: Sequence[tuple[str, int, str]], annotations: tuple[int, str] | None = None) -> str:
    """SHA-256 over the sorted (relative path, size, SHA-256 of content) of a set's image files.

    One line an entry, tab-separated, sorted by path as bytes. Labels are part of it: in one folder per class they stand
    in the paths; for a COCO pair the instances JSON is one more entry, of an empty path, whatever its name and place;
    TFRecord files, which are the entries of their set, hold them.
    """
    digest = hashlib.sha256()
    if annotations is not None:
        digest.update(f"\t{annotations[0]}\t{annotations[1]}\n".encode())
    for path, size, content in sorted(entries, key=lambda entry: os.fsencode(entry[0])):
        digest.update(f"{escape(printable_path(path))}\t{size}\t{content}\n".encode())
    return digest.hexdigest()


def summarise(examination: Examination) -> Description:
    """The figures of an examined data set."""
    listing, found = examination.listing, examination.found
    sound = [each for each in found if each.problem is None]
    named = [(printable_path(path), each.problem) for path, each in zip(listing.paths, found, strict=True)]
    bad = [(path, problem) for path, problem in named if problem is not None]
    bad += [(printable_path(path), OTHER_SUFFIX) for path in listing.refused]
    odd = Counter(note for each in found for note in each.notes)
    odd.update(each.cause for each in found if each.cause is not None)
    odd.update({"other_format": len(listing.refused)})
    odd.update(listing.odd)
    examples: dict[str, tuple[str, ...]] = {}
    for path, each in zip(listing.paths, found, strict=True):
        for note in each.notes:
            if len(held := examples.get(note, ())) < MOST_EXAMPLES:
                examples[note] = (*held, printable_path(path))
    files = [(path, each.size, each.sha256) for path, each in zip(listing.paths, found, strict=True)]
    entries = examination.stored or files
    pixels = [each.width * each.height for each in sound]
    return Description(
        kind=listing.kind,
        images=len(listing.paths),
        classes=len(listing.classes),
        class_names=listing.classes,
        bytes=sum(each.size for each in found),
        fingerprint=fingerprint_of(entries, listing.annotations),
        mean_width=_mean([each.width for each in sound]),
        mean_height=_mean([each.height for each in sound]),
        mean_pixels=_mean(pixels),
        size_quantiles=_quantiles([each.size for each in found]),
        pixel_quantiles=_quantiles(pixels),
        odd={name: count for name, count in sorted(odd.items()) if count},
        unreadable=tuple(bad[:MOST_NAMED]),
        unreadable_count=len(bad),
        seconds=round(examination.seconds, 3),
        reused_hashes=examination.reused,
        form="list" if listing.is_table else listing.kind,
        suffixes=tuple(sorted({os.path.splitext(path)[1] for path in listing.paths})),
        features=listing.features,
        odd_examples=dict(sorted(examples.items())),
        not_looked_for=() if jpeg.can_look() else jpeg.NOTES,
    )


def _mean(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None


def _quantiles(values: Sequence[int]) -> dict[str, int]:
    """Percentage to value, by nearest rank."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return {str(percent): ordered[round(last * percent / 100)] for percent in _QUANTILES} if ordered else {}


def list_path(
    path: Path, annotations: Path | None = None, features: tuple[str | None, str | None] = (None, None)
) -> Listing:
    """The listing of ``path``, which is a COCO pair's image folder where ``annotations`` is given.

    A folder that holds ``images/`` and ``annotations.json`` is a pair too (generated sets
    are); one with TFRecord files in it (or ``FOLDER/PATTERN``) is a set of these; anything else has one folder per
    class. Raises DatasetError.
    """
    kind, folder, labels = find_form(path, annotations)
    if kind == "tfrecord":
        return list_tfrecord(folder, *features)
    return list_folder(folder) if labels is None else list_coco(folder, labels)


def find_form(path: Path, annotations: Path | None = None) -> tuple[str, Path, Path | None]:
    """Return kind, folder (or FOLDER/PATTERN) and annotations of the data set that ``path`` means."""
    if annotations is not None:
        return "coco", path, annotations
    if split_pattern(str(path))[1] or (path.is_dir() and any(is_record_file(name) for name in os.listdir(path))):
        return "tfrecord", path, None
    if (path / "annotations.json").is_file() and (path / "images").is_dir():
        return "coco", path / "images", path / "annotations.json"
    return "folder", path, None


def describe(
    path: Path,
    annotations: Path | None = None,
    *,
    keep: Path | None = None,
    cpus: int | None = None,
    on_progress: Report | None = None,
    features: tuple[str | None, str | None] = (None, None),
) -> Description:
    """Describe the data set at ``path`` (see ``list_path``), odd and unreadable files included.

    Raises DatasetError where there is none.
    """
    return summarise(examine(list_path(path, annotations, features), keep=keep, cpus=cpus, on_progress=on_progress))


def prepare(
    listing: Listing,
    folder: Path,
    *,
    links: bool = False,
    cpus: int | None = None,
    on_progress: Report | None = None,
) -> Description:
    """Check a data set and write its manifest, classes, description and, if asked, tree of links into ``folder``.

    Raises DatasetError, with names, for files that not every loader can read: then no manifest is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    examination = examine(listing, keep=folder, cpus=cpus, on_progress=on_progress)
    description = summarise(examination)
    if description.unreadable_count or not description.images:
        for name in (MANIFEST, DATASET):
            (folder / name).unlink(missing_ok=True)
        raise _refusal(description, listing)
    if links:
        make_links(folder / LINKS, listing)
    found = examination.found
    if listing.features is not None:
        write_json(folder / FORMAT, asdict(listing.features))
    write_manifest(
        folder,
        Manifest(
            paths=listing.paths,
            labels=listing.labels,
            widths=tuple(each.width for each in found),
            heights=tuple(each.height for each in found),
            sizes=tuple(each.size for each in found),
            hashes=tuple(each.sha256 for each in found),
            classes=listing.classes,
        ),
    )
    write_json(folder / DATASET, description.to_json())
    return description


def _refusal(description: Description, listing: Listing) -> DatasetError:
    """Why a set cannot be measured."""
    if description.unreadable_count:
        total = description.images + len(listing.refused)
        return refused_files(listing.folder, description.unreadable, description.unreadable_count, total)
    return no_images(listing.folder)


def run(job: Job) -> Mapping[str, object]:
    """The task ``dataset``."""
    data = as_object(job.request.said.get("data"))
    job.enter("list")
    if data.get("kind") == "coco":
        listing = list_coco(job.path("data"), job.path("annotations"))
    elif data.get("kind") == "tfrecord":
        place = job.path("data") / str(data.get("pattern") or "")
        listing = list_tfrecord(place, as_text(data.get("image_feature")), as_text(data.get("label_feature")))
    else:
        listing = list_folder(job.path("data"))
    job.enter("check")
    description = prepare(
        listing,
        job.path("dataset"),
        links=bool(job.request.said.get("links")),
        cpus=job.cpus,
        on_progress=job.progress,
    )
    return replace(description, source=as_text(data.get("name"))).to_json()


def make_links(target: Path, listing: Listing) -> None:
    """Make ``target/<class>/<file>`` for every image, whole or not at all; every class has a folder, empty or not."""
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    folders = [part / class_folder(name) for name in listing.classes]
    for folder in folders:
        folder.mkdir()
    for path, label in zip(listing.paths, listing.labels, strict=True):
        (folders[label] / link_name(path)).symlink_to(listing.folder / path)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


if __name__ == "__main__":
    sys.exit(run_task(run, sys.argv[1:]))

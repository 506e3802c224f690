"""Describe a data set: its file list with labels, sizes and hashes, its fingerprint, and its unusual files.

``python -m bench.data.dataset JOB_FOLDER`` runs the task ``dataset``; ``describe`` does the same without a job.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from ..loaders import jpeg
from ..loaders.class_folders import LINKS, class_folder, link_name
from ..loaders.manifest import Manifest, escape, write_manifest
from ..loaders.tfrecords import FORMAT, Features, split_pattern, split_place
from ..protocol.dataset_errors import DatasetError, no_images, refused_files
from ..protocol.image_formats import REFUSED
from ..protocol.protocol import DATASET, MANIFEST, as_list, as_object, as_text, write_json
from .hashes import Hashes
from .inspection import Inspection, accept, inspect_file
from .listing import Listing, hash_file, is_text, list_coco, list_folder, list_tfrecord, printable_path
from .look import name_suffix
from .parallel import Pace, spread
from .survey import suffix_of
from .task import Job, run_task

MOST_NAMED = 50
MOST_EXAMPLES = 5
_QUANTILES = (0, 5, 25, 50, 75, 95, 100)

Report = Callable[[int, int], None]
"""Called with (images done, images in all), about twice a second."""


@dataclass(frozen=True)
class Description:
    """A data set in figures; its fields are those of ``dataset.json``.

    ``bytes`` is the size of all image files. ``size_quantiles`` maps a percentage to bytes per file,
    ``pixel_quantiles`` to pixels per image. Means are over readable images, in pixels. ``odd`` counts notes (of files
    that can be read) and causes (of files that cannot). ``unreadable`` lists the first 50 unreadable files as (path,
    reason). ``odd_examples`` names some files with each note. ``not_looked_for`` lists notes that this machine cannot
    detect. ``form`` is ``folder``, ``coco``, ``list`` or ``tfrecord``. ``suffixes`` are those of the images' names, as
    they are written. ``features`` says which features of records are read. ``encoder`` and ``source`` are known for
    generated sets only. ``said`` are sentences on what the set is. ``skipped`` lists files that were left out because
    not every loader reads them, as (path, reason), the first of ``skipped_count``. ``formats`` counts images by format.
    For JPEGs, ``jpeg_quality`` has quantiles of libjpeg's quality setting, ``subsampling`` counts chroma subsampling
    modes, and ``progressive`` counts images in several scans. ``bytes_per_pixel`` is over all readable images.
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
    said: tuple[str, ...] = ()
    is_labelled: bool = True
    is_plain: bool = True
    split: str | None = None
    skipped: tuple[tuple[str, str], ...] = ()
    skipped_count: int = 0
    formats: dict[str, int] = field(default_factory=dict)
    jpeg_quality: dict[str, int] = field(default_factory=dict)
    subsampling: dict[str, int] = field(default_factory=dict)
    progressive: int = 0
    bytes_per_pixel: float | None = None

    def to_json(self) -> dict[str, object]:
        """Return the description as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Examination:
    """A listing and the inspection of each of its images, in the listing's order.

    ``stored`` are (path, size, SHA-256) of the files on disk if one file holds many images. ``skipped`` are (path,
    reason) of the files that were left out of the examination ``whole``.
    """

    listing: Listing
    found: tuple[Inspection, ...]
    reused: int
    seconds: float
    stored: tuple[tuple[str, int, str], ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    whole: Examination | None = None


def examine(
    listing: Listing,
    *,
    keep: Path | None = None,
    cpus: int | None = None,
    on_progress: Report | None = None,
    formats: Sequence[str] = (),
) -> Examination:
    """Read, hash and decode each file once, except files that have not changed since the folder ``keep`` was written.

    ``formats`` are accepted in addition to JPEG and PNG.
    """
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
    ordered = tuple(accept(found[path], formats) for path in listing.paths)
    return Examination(listing, ordered, reused, time.monotonic() - start, stored)


def _hash_stored(folder: Path, name: str, hashes: Hashes) -> tuple[str, int, str]:
    """Return (name, size, SHA-256) of a file that holds many images; it is read again only if it has changed."""
    status = os.stat(folder / name)
    known = hashes.find(name, status.st_size, status.st_mtime_ns)
    if known is None:
        digest = hash_file(folder / name)
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
    """Inspect files of one folder, one after the other; this is the work of one process."""
    return [inspect_file(os.path.join(folder, path)) for path in paths]


def fingerprint_of(entries: Sequence[tuple[str, int, str]], annotations: tuple[int, str] | None = None) -> str:
    """Return the SHA-256 over the sorted (relative path, size, SHA-256 of content) of a set's image files.

    One line per entry, tab-separated, sorted by path as bytes. Labels are covered: with one folder per class they are
    part of the paths; for a COCO pair the instances JSON is one more entry with an empty path, whatever its name and
    place; TFRecord files, which are the entries of their set, contain them.
    """
    digest = hashlib.sha256()
    if annotations is not None:
        digest.update(f"\t{annotations[0]}\t{annotations[1]}\n".encode())
    for path, size, content in sorted(entries, key=lambda entry: os.fsencode(entry[0])):
        digest.update(f"{escape(printable_path(path))}\t{size}\t{content}\n".encode())
    return digest.hexdigest()


def summarise(examination: Examination) -> Description:
    """Return the figures of an examined data set."""
    listing, found = examination.listing, examination.found
    sound = [each for each in found if each.problem is None]
    named = [(printable_path(path), each.problem) for path, each in zip(listing.paths, found, strict=True)]
    bad = [(path, problem) for path, problem in named if problem is not None]
    bad += [(printable_path(path), say_suffix(path)) for path in listing.refused]
    odd = Counter(note for each in found for note in each.notes)
    odd.update(each.cause for each in found if each.cause is not None)
    odd.update({"other_format": len(listing.refused)})
    odd.update(listing.odd)
    examples: dict[str, tuple[str, ...]] = {}
    for path, each in zip(listing.paths, found, strict=True):
        for note in each.notes:
            if len(held := examples.get(note, ())) < MOST_EXAMPLES:
                examples[note] = (*held, printable_path(path))
    whole = examination.whole or examination
    files = [(path, each.size, each.sha256) for path, each in zip(whole.listing.paths, whole.found, strict=True)]
    entries = examination.stored or files
    pixels = [each.width * each.height for each in sound]
    jpegs = [each for each in sound if each.kind == "JPEG"]
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
        said=tuple(sentence[:_MOST_SENTENCE] for sentence in listing.said),
        is_labelled=listing.is_labelled,
        is_plain=listing.is_plain,
        split=listing.split,
        skipped=tuple(_first(examination.skipped)),
        skipped_count=len(examination.skipped),
        formats=dict(sorted(Counter(each.kind for each in sound if each.kind).items())),
        jpeg_quality=_quantiles([each.quality for each in jpegs if each.quality]),
        subsampling=dict(sorted(Counter(each.sampling for each in jpegs).items())),
        progressive=sum(each.is_progressive for each in jpegs),
        bytes_per_pixel=round(sum(each.size for each in sound) / max(1, sum(pixels)), 4) if sound else None,
    )


def _mean(values: Sequence[int]) -> float | None:
    return sum(values) / len(values) if values else None


def _quantiles(values: Sequence[int]) -> dict[str, int]:
    """Return a map of percentage to value, by nearest rank."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return {str(percent): ordered[round(last * percent / 100)] for percent in _QUANTILES} if ordered else {}


def list_path(
    path: Path,
    annotations: Path | None = None,
    features: tuple[str | None, str | None] = (None, None),
    *,
    split: str | None = None,
    formats: Sequence[str] = (),
    skip_unreadable: bool = False,
) -> Listing:
    """Return the listing of ``path``, a folder of images; ``annotations`` is its COCO JSON or list, if it has one.

    ``FOLDER/PATTERN`` names TFRecord files. Otherwise ``look`` determines the form of the folder, and ``split`` selects
    one part of it. Raises DatasetError.
    """
    if annotations is not None:
        return list_coco(path, annotations, split=split, formats=formats)
    if split_pattern(str(path))[1]:
        return list_tfrecord(path, *features)
    listing = list_folder(path, split=split, formats=formats, skip_unreadable=skip_unreadable)
    return list_tfrecord(listing.folder, *features) if listing.kind == "tfrecord" and any(features) else listing


def describe(
    path: Path,
    annotations: Path | None = None,
    *,
    keep: Path | None = None,
    cpus: int | None = None,
    on_progress: Report | None = None,
    features: tuple[str | None, str | None] = (None, None),
    split: str | None = None,
    skip_unreadable: bool = False,
) -> Description:
    """Describe the data set at ``path`` (see ``list_path``), including unusual and unreadable files.

    Raises DatasetError if there is none.
    """
    listing = list_path(path, annotations, features, split=split, skip_unreadable=skip_unreadable)
    found = examine(listing, keep=keep, cpus=cpus, on_progress=on_progress)
    return summarise(leave_out(found) if skip_unreadable else found)


MOST_SKIPPED, MOST_SKIPPED_CHARACTERS = 10_000, 1 << 20
"""Limits on the list of files that were left out: ``dataset.json`` is read up to 4 MiB."""
_MOST_SENTENCE = 4000


def _first(rows: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the first files that were left out, with their reasons, up to the limits of a description."""
    left = MOST_SKIPPED_CHARACTERS
    for path, reason in rows[:MOST_SKIPPED]:
        left -= len(path) + len(reason)
        if left < 0:
            return
        yield path, reason


def leave_out(examination: Examination) -> Examination:
    """Return an examination without the files that not every loader reads; these are listed in ``skipped``.

    Raises DatasetError for TFRecord files, from which no record can be left out.
    """
    listing = examination.listing
    rows = list(zip(listing.paths, listing.labels, examination.found, strict=True))
    bad = [(printable_path(path), each.problem) for path, _, each in rows if each.problem is not None]
    if bad and listing.stored:
        hint = "write the TFRecord files again without it"
        raise DatasetError(f"{bad[0][0]}: {bad[0][1]}; a record cannot be left out of its file", hint=hint)
    skipped = [*bad, *((printable_path(path), say_suffix(path)) for path in listing.refused)]
    if not skipped:
        return examination
    sound = [row for row in rows if row[2].problem is None]
    left = replace(
        listing,
        paths=tuple(path for path, _, _ in sound),
        labels=tuple(label for _, label, _ in sound),
        refused=(),
        is_plain=listing.is_plain and listing.kind != "folder",
        fault=None,
    )
    found = tuple(each for _, _, each in sound)
    return replace(examination, listing=left, found=found, skipped=tuple(sorted(skipped)), whole=examination)


def prepare(
    listing: Listing,
    folder: Path,
    *,
    links: bool = False,
    cpus: int | None = None,
    on_progress: Report | None = None,
    formats: Sequence[str] = (),
    skip_unreadable: bool = False,
) -> Description:
    """Check a data set and write its manifest, classes, description and, if needed, a tree of links into ``folder``.

    ``links``: make the tree in any case; otherwise only if loaders that list a folder themselves would find other
    images than these. ``skip_unreadable`` leaves out files that not every loader can read; otherwise such files raise a
    DatasetError with their names, and no manifest is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fault = None if skip_unreadable else listing.fault
    if fault is None:
        examination = examine(listing, keep=folder, cpus=cpus, on_progress=on_progress, formats=formats)
        examination = leave_out(examination) if skip_unreadable else examination
        listing, description = examination.listing, summarise(examination)
        fault = refusal_of(description, listing)
    if fault is not None:
        for name in (MANIFEST, DATASET):
            (folder / name).unlink(missing_ok=True)
        raise fault
    if links or (listing.kind == "folder" and not listing.is_plain):
        make_links(folder / LINKS, listing)
    elif listing.kind == "folder":
        shutil.rmtree(folder / LINKS, ignore_errors=True)
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


def refusal_of(description: Description, listing: Listing) -> DatasetError | None:
    """Return why a set cannot be measured; None if it can."""
    if listing.fault is not None:
        return listing.fault
    if description.unreadable_count:
        total = description.images + len(listing.refused)
        suffixes = sorted({suffix_of(path) for path in listing.refused} & set(REFUSED))
        return refused_files(
            listing.folder,
            description.unreadable,
            description.unreadable_count,
            total,
            suffixes=suffixes,
            damaged=description.unreadable_count - len(listing.refused),
        )
    if description.images:
        return None
    if description.skipped_count:
        hint = "check what is wrong with them, or give another folder"
        return DatasetError(f"all {description.skipped_count} images of {listing.folder} were left out", hint=hint)
    return no_images(listing.folder)


def say_suffix(path: str) -> str:
    """Return why a file is refused because of its suffix."""
    return f"not every loader reads {name_suffix(suffix_of(path))} files"


def run(job: Job) -> Mapping[str, object]:
    """Run the task ``dataset``."""
    data = as_object(job.request.said.get("data"))
    formats = [str(name) for name in as_list(data.get("formats"))]
    is_skipping, split = bool(data.get("skip_unreadable")), as_text(data.get("split"))
    job.enter("list")
    if data.get("kind") == "coco":
        shown = job.request.shown
        listing = list_coco(
            job.path("data"),
            job.path("annotations"),
            split=split,
            formats=formats,
            roots=[shown["data"]] if "data" in shown else [],
            list_folder=os.path.dirname(shown["annotations"]) if "annotations" in shown else None,
        )
    elif data.get("kind") == "tfrecord":
        place = job.path("data") / str(data.get("pattern") or "")
        listing = list_tfrecord(place, as_text(data.get("image_feature")), as_text(data.get("label_feature")))
    else:
        listing = list_folder(job.path("data"), formats=formats, skip_unreadable=is_skipping)
        if listing.kind != "folder" or listing.folder != job.path("data"):
            hint = "run the same command again"
            raise DatasetError(f"{job.path('data')} has changed since it was inspected", hint=hint)
    job.enter("check")
    description = prepare(
        listing,
        job.path("dataset"),
        links=bool(job.request.said.get("links")),
        cpus=job.cpus,
        on_progress=job.progress,
        formats=formats,
        skip_unreadable=is_skipping,
    )
    return replace(description, source=as_text(data.get("name"))).to_json()


def make_links(target: Path, listing: Listing) -> None:
    """Make ``target/<class>/<file>`` for every image, all or nothing; every class has a folder, even an empty one."""
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

"""Generate, check and describe a data set on a host, by jobs of the host's engine."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from pydantic import ValidationError

from harness.bench.loaders.tfrecords import split_pattern
from harness.bench.protocol.bounded_json import parse_object
from harness.engine.interface import Mount
from harness.engine.jobs import HostData, JobHost
from harness.hosts.connection import Connection
from harness.hosts.temporary import temporary_folder
from harness.inventory import DataSet, Generate
from harness.ship.datasource import OnProgress
from harness.ship.datatransfer import ShippedData
from harness.ship.preparation_job import run_preparation
from harness.values.data import CheckedSet, Coding, DataPlace, MadeSet
from harness.values.digest import digest_of
from harness.values.errors import DataError
from harness.values.text import clean_text

_Set = TypeVar("_Set", CheckedSet, MadeSet)

DataSpec: TypeAlias = DataSet | ShippedData
"""The data set that a session reads: one of the inventory, or one that was sent."""

DATA_FOLDER, DATASETS_FOLDER = "data", "datasets"
"""Folders in scratch: generated sets; file lists, hashes and links of all sets."""
KNOWN_FILE = "dataset.json"
"""The result of a check, which the next check reads."""


@dataclass(frozen=True, kw_only=True)
class PreparedData(HostData):
    """A data set that was checked and can be measured; its mounts are read-only.

    ``manifest`` is the path of the file list on the host. ``source`` is a text about the origin of the data. ``place``
    is None where the host did not report it. Means are in pixels. ``said`` are sentences about the layout of the set,
    ``skipped`` the files that were left out, as (path, reason).
    """

    mean_pixels: float | None
    manifest: str
    source: str
    odd: Mapping[str, int]
    encoder: str | None = None
    was_made: bool = False
    odd_examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class KnownData:
    """The result of the last check of a data set; the files may have changed since."""

    fingerprint: str
    images: int
    bytes: int
    classes: int
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Place:
    """The paths of a set on the host; ``annotations`` for a COCO pair, ``records`` for TFRecord files."""

    data: str
    annotations: str | None
    source: str
    encoder: str | None = None
    was_made: bool = False
    records: Mapping[str, str | None] | None = None

    @property
    def kind(self) -> str:
        return "tfrecord" if self.records is not None else "folder" if self.annotations is None else "coco"

    @property
    def mounts(self) -> tuple[Mount, ...]:
        pair = () if self.annotations is None else (Mount("annotations", self.annotations),)
        return (Mount("data", self.data), *pair)


def prepare_data(
    on: JobHost,
    name: str,
    spec: DataSpec,
    *,
    links: bool = False,
    formats: Sequence[str] = (),
    on_progress: OnProgress = lambda text, share: None,
    timeout_s: float = 6 * 3600.0,
) -> PreparedData:
    """Generate the set if necessary, check every file, and write its file list to scratch.

    Paths of ``spec`` are absolute. ``formats`` are read besides JPEG and PNG. Raises DataError with the file, its fault
    and a hint; EngineError and HostUnreachable where the host fails. No job is left on the host.
    """

    place = _locate(on, name, spec) if spec.generate is None else _generate(on, spec.generate, on_progress, timeout_s)
    dataset = dataset_folder(on.scratch, name, spec)
    data: dict[str, object] = {"kind": place.kind, "name": name, **(place.records or {})}
    data |= {"formats": [*formats]} if formats else {}
    data |= {"skip_unreadable": True} if spec.skip_unreadable else {}
    data |= {"split": spec.split} if spec.split else {}
    said = {"data": data, "links": links and place.kind == "coco"}
    mounts = (*place.mounts, Mount("dataset", dataset, read_only=False))
    answer = run_preparation(on, "dataset", said, on_progress, timeout_s=timeout_s, mounts=mounts)
    found = _parse(CheckedSet, answer, on.host)
    return PreparedData(
        name=name,
        kind=place.kind,
        mounts=(*place.mounts, Mount("dataset", dataset)),
        fingerprint=found.fingerprint,
        images=found.images,
        classes=found.classes,
        bytes=found.bytes,
        mean_width=found.mean_width,
        mean_height=found.mean_height,
        mean_pixels=found.mean_pixels,
        manifest=posixpath.join(dataset, "manifest.tsv"),
        source=place.source,
        odd=found.odd,
        odd_examples=found.odd_examples,
        said=found.said,
        is_labelled=found.is_labelled,
        skipped=found.skipped,
        skipped_count=found.skipped_count,
        coding=Coding.model_validate(answer) if answer.get("formats") else None,
        encoder=place.encoder,
        was_made=place.was_made,
        place=_describe_place(place, answer),
    )


def _parse(kind: type[_Set], answer: Mapping[str, object], host: str) -> _Set:
    """Parse a job's result. Raises DataError where it is not valid."""
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        message = f"the result of the data set's check is not valid: {where}: {fault['msg']}"
        raise DataError(message, where=host, hint="run the same command again") from error


def _describe_place(place: _Place, found: Mapping[str, object]) -> DataPlace | None:
    """Return the place of a set with the result of its check; None where the result is not valid."""
    skipped = found.get("skipped")
    named = skipped[:50] if isinstance(skipped, list) else []
    left_out = [row[0] for row in named if isinstance(row, list) and row]
    where = {"folder": place.data, "annotations": place.annotations, "pattern": (place.records or {}).get("pattern")}
    try:
        said = {**found, **where, "pattern": where["pattern"] or "", "left_out": left_out}
        return DataPlace.model_validate(said)
    except ValidationError:
        return None


def _locate(on: JobHost, name: str, spec: DataSpec) -> _Place:
    if spec.folder is not None:
        return _Place(spec.folder, None, spec.folder)
    if spec.tfrecord is not None:
        folder, pattern = split_pattern(spec.tfrecord)
        records = {"pattern": pattern, "image_feature": spec.image_feature, "label_feature": spec.label_feature}
        return _Place(folder, None, posixpath.join(folder, pattern), records=records)
    if spec.images is None or spec.annotations is None:
        hint = "give `folder`, or `images` and `annotations`, or `tfrecord`, or `generate`"
        raise DataError(f"the data set {name} has no files", where=on.host, hint=hint)
    return _Place(spec.images, spec.annotations, f"{spec.images} with {spec.annotations}")


def _generate(on: JobHost, spec: Generate, on_progress: OnProgress, timeout_s: float) -> _Place:
    """Generate a set on the host, unless it is there already, and return its place."""
    parent = posixpath.join(on.scratch, DATA_FOLDER)
    said = {"generate": spec.model_dump(mode="json", exclude_defaults=True) | {"seed": spec.seed}}
    mounts = (Mount("data", parent, read_only=False),)
    answer = run_preparation(on, "generate", said, on_progress, timeout_s=timeout_s, mounts=mounts)
    made = _parse(MadeSet, answer, on.host)
    folder, labels = posixpath.join(parent, made.folder), made.layout.annotations
    return _Place(
        data=posixpath.normpath(posixpath.join(folder, made.layout.images)),
        annotations=None if labels is None else posixpath.join(folder, labels),
        source=f"generated: {spec.words}, {made.encoder}",
        encoder=made.encoder,
        was_made=made.made,
    )


def dataset_folder(scratch: str, name: str, spec: DataSpec) -> str:
    """Return the folder of a set's file lists on a host; it depends on the set's source."""
    made = spec.generate
    wanted = None if made is None else [made.profile, made.images, made.seed, *filter(None, [made.control.key])]
    places = [spec.folder, spec.images, spec.annotations, wanted]
    records = [spec.tfrecord, spec.image_feature, spec.label_feature] if spec.tfrecord is not None else []
    return posixpath.join(scratch, DATASETS_FOLDER, f"{name}-{digest_of([*places, *records])[:8]}")


def read_known(connection: Connection, scratch: str, name: str, spec: DataSpec) -> KnownData | None:
    """Return the result of the last check of a set on this host; None where it was never checked."""
    path = posixpath.join(dataset_folder(scratch, name, spec), KNOWN_FILE)
    with temporary_folder() as folder:
        target = folder / KNOWN_FILE
        try:
            connection.get(path, target)
            return parse_known(target.read_text(encoding="utf-8", errors="replace"))
        except (OSError, ValueError):
            return None


def parse_known(text: str) -> KnownData | None:
    """Parse the ``dataset.json`` of a check; None where it is not valid."""
    try:
        found = parse_object(text)
        numbers = [found[key] for key in ("images", "bytes", "classes")]
    except (ValueError, KeyError, TypeError):
        return None
    fingerprint = found.get("fingerprint")
    counts = [number for number in numbers if type(number) is int and number >= 0]
    if not isinstance(fingerprint, str) or not fingerprint.isprintable() or len(counts) != len(numbers):
        return None
    said = found.get("said")
    sentences = [clean_text(one, 1000) for one in said[:50]] if isinstance(said, list) else []
    images, size, classes = counts
    return KnownData(fingerprint[:200], images, size, classes, tuple(sentences))

"""A data set on a host: made where it must be, checked, and described, by jobs of the host's own engine."""

from __future__ import annotations

import json
import posixpath
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from harness.bench.tfrecords import split_pattern
from harness.engine.interface import Engine, JobRequest, Mount, Payload
from harness.hosts.connection import Connection
from harness.hosts.folders import make_folder, resolve_path
from harness.ship.preparation import run_preparation
from harness.values.case import digest_of
from harness.values.data import DataPlace
from harness.values.errors import DataError

OnProgress = Callable[[str, float | None], None]
"""Called with words and a share from 0 to 1 (None where it cannot be told)."""

DATA_FOLDER, DATASETS_FOLDER = "data", "datasets"
"""In scratch: generated sets; file lists, hashes and links of all sets."""


class GenerateSpec(Protocol):
    """A set to be made."""

    @property
    def profile(self) -> str: ...
    @property
    def images(self) -> int: ...
    @property
    def seed(self) -> int: ...


class DataSpec(Protocol):
    """A data set of the inventory: ``folder``, ``images`` with ``annotations``, ``tfrecord``, or ``generate``."""

    @property
    def folder(self) -> str | None: ...
    @property
    def images(self) -> str | None: ...
    @property
    def annotations(self) -> str | None: ...
    @property
    def tfrecord(self) -> str | None: ...
    @property
    def image_feature(self) -> str | None: ...
    @property
    def label_feature(self) -> str | None: ...
    @property
    def generate(self) -> GenerateSpec | None: ...


@dataclass(frozen=True)
class PreparedData:
    """A data set that was checked and may be measured.

    ``mounts`` are what a measuring job needs, all read-only; ``manifest`` is the path of the
    file list on the host; ``source`` says in words where the data came from, ``place`` for a program that is to read
    it (None where the host did not say). Means are in pixels.
    """

    name: str
    kind: str
    mounts: tuple[Mount, ...]
    fingerprint: str
    images: int
    classes: int
    bytes: int
    mean_width: float
    mean_height: float
    mean_pixels: float
    manifest: str
    source: str
    odd: Mapping[str, int]
    encoder: str | None = None
    was_made: bool = False
    place: DataPlace | None = None


@dataclass(frozen=True)
class KnownData:
    """What the last check of a data set found; the files may have changed since."""

    fingerprint: str
    images: int
    bytes: int
    classes: int


@dataclass(frozen=True)
class _Place:
    """Where the images of a set lie on the host; ``annotations`` for a COCO pair, ``records`` for TFRecord files."""

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


@dataclass(frozen=True)
class _Host:
    """What all preparation jobs of one host have in common."""

    engine: Engine
    host: str
    scratch: str
    payload: Payload
    image: str
    cpus: tuple[int, ...]
    timeout_s: float
    connection: Connection | None

    def run(self, request: dict[str, Any], mounts: tuple[Mount, ...], report: OnProgress) -> dict[str, Any]:
        """One job to its end; its ``dataset.json``."""
        shown = {mount.name: mount.source for mount in mounts}
        limits = {"memory_bytes": None, "cpus": list(self.cpus), "gpus": [], "oom_score_adj": 1000}
        request = {"format": 1, "shown": shown, "limits": limits, "timeout_s": self.timeout_s, "seed": 0, **request}
        task = str(request["task"])
        name = f"harness-{task}-{digest_of([request, self.payload.digest, self.image])[:16]}"
        job = JobRequest(
            name=name,
            labels={"harness.session": "data", "harness.task": task, "harness.host": self.host},
            payload=self.payload,
            request=request,
            image=self.image,
            mounts=mounts,
            cpus=self.cpus,
        )
        return run_preparation(self.engine, job, host=self.host, timeout_s=self.timeout_s, on_progress=report)

    def folder(self, *parts: str) -> str:
        """A folder in scratch, made where a connection was given (else the engine must)."""
        path = posixpath.join(self.scratch, *parts)
        if self.connection is not None:
            make_folder(self.connection, path)
        return path

    def resolve(self, path: str) -> str:
        """An absolute path on the host."""
        if self.connection is not None:
            return resolve_path(self.connection, path)
        if not path.startswith("/"):
            raise DataError(
                f"{path} is not an absolute path", where=self.host, hint="write it absolute in the inventory"
            )
        return posixpath.normpath(path)


def prepare_data(
    engine: Engine,
    *,
    host: str,
    name: str,
    spec: DataSpec,
    scratch: str,
    payload: Payload,
    image: str,
    cpus: tuple[int, ...] = (),
    links: bool = False,
    on_progress: OnProgress | None = None,
    timeout_s: float = 6 * 3600.0,
    connection: Connection | None = None,
) -> PreparedData:
    """Make the set if it is to be made, check every file, and leave its file list in scratch.

    ``connection`` expands ``~`` and makes scratch folders; without it paths must be absolute.
    Raises DataError, saying what is wrong with which file and what to do; EngineError and
    HostUnreachable where the host fails. No job is left behind.
    """
    report = on_progress or (lambda text, share: None)
    common = _Host(engine, host, scratch, payload, image, cpus, timeout_s, connection)
    place = _locate(common, name, spec, report)
    dataset = common.folder(DATASETS_FOLDER, dataset_key(name, spec))
    wants_links = links and place.kind == "coco"
    said = {"kind": place.kind, "name": name, **(place.records or {})}
    request = {"task": "dataset", "data": said, "links": wants_links}
    found = common.run(request, (*place.mounts, Mount("dataset", dataset, read_only=False)), report)
    return PreparedData(
        name=name,
        kind=place.kind,
        mounts=(*place.mounts, Mount("dataset", dataset)),
        fingerprint=str(found["fingerprint"]),
        images=int(found["images"]),
        classes=int(found["classes"]),
        bytes=int(found["bytes"]),
        mean_width=float(found["mean_width"]),
        mean_height=float(found["mean_height"]),
        mean_pixels=float(found["mean_pixels"]),
        manifest=posixpath.join(dataset, "manifest.tsv"),
        source=place.source,
        odd=dict(found.get("odd") or {}),
        encoder=place.encoder,
        was_made=place.was_made,
        place=_describe_place(place, found),
    )


def _describe_place(place: _Place, found: Mapping[str, Any]) -> DataPlace | None:
    """Where the set lies and what its check found in it; None where what came back cannot be read so."""
    where = {"folder": place.data, "annotations": place.annotations, "pattern": (place.records or {}).get("pattern")}
    try:
        return DataPlace.model_validate({**found, **where, "pattern": where["pattern"] or ""})
    except ValidationError:
        return None


def dataset_key(name: str, spec: DataSpec) -> str:
    """The name of a set's folder of file lists: it differs where the set's source does."""
    made = spec.generate
    wanted = None if made is None else [made.profile, made.images, made.seed]
    places = [spec.folder, spec.images, spec.annotations, wanted]
    records = [spec.tfrecord, spec.image_feature, spec.label_feature] if spec.tfrecord is not None else []
    return f"{name}-{digest_of([*places, *records])[:8]}"


def _locate(common: _Host, name: str, spec: DataSpec, report: OnProgress) -> _Place:
    if spec.generate is not None:
        return _generate(common, spec.generate, report)
    if spec.folder is not None:
        folder = common.resolve(spec.folder)
        return _Place(folder, None, folder)
    if spec.tfrecord is not None:
        folder, pattern = split_pattern(common.resolve(spec.tfrecord))
        records = {"pattern": pattern, "image_feature": spec.image_feature, "label_feature": spec.label_feature}
        return _Place(folder, None, posixpath.join(folder, pattern), records=records)
    if spec.images is None or spec.annotations is None:
        hint = "give `folder`, or `images` and `annotations`, or `tfrecord`, or `generate`"
        raise DataError(f"data set {name} names no files", where=common.host, hint=hint)
    images, annotations = common.resolve(spec.images), common.resolve(spec.annotations)
    return _Place(images, annotations, f"{images} with {annotations}")


def _generate(common: _Host, spec: GenerateSpec, report: OnProgress) -> _Place:
    """Have the set made (which takes no time where it is there already)."""
    parent = common.folder(DATA_FOLDER)
    wanted = {"profile": spec.profile, "images": spec.images, "seed": spec.seed}
    mounts = (Mount("data", parent, read_only=False),)
    made = common.run({"task": "generate", "generate": wanted}, mounts, report)
    layout = made["layout"]
    folder = posixpath.join(parent, str(made["folder"]))
    annotations = None if layout["annotations"] is None else posixpath.join(folder, layout["annotations"])
    return _Place(
        data=posixpath.normpath(posixpath.join(folder, layout["images"])),
        annotations=annotations,
        source=f"generated: {spec.profile}, {spec.images} images, seed {spec.seed}, {made['encoder']}",
        encoder=str(made["encoder"]),
        was_made=bool(made["made"]),
    )


def read_known(connection: Connection, scratch: str, name: str, spec: DataSpec) -> KnownData | None:
    """What the last check of a set on this host found; None where it was never checked."""
    path = posixpath.join(scratch, DATASETS_FOLDER, dataset_key(name, spec), "dataset.json")
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        target = Path(folder) / "dataset.json"
        try:
            connection.get(path, target)
            return parse_known(target.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None


def parse_known(text: str) -> KnownData | None:
    """Read the ``dataset.json`` of a check; None for one that makes no sense."""
    try:
        found = json.loads(text)
        numbers = [found[key] for key in ("images", "bytes", "classes")]
    except (ValueError, KeyError, TypeError):
        return None
    fingerprint = found.get("fingerprint")
    if not isinstance(fingerprint, str) or not all(type(number) is int and number >= 0 for number in numbers):
        return None
    return KnownData(fingerprint, *numbers)

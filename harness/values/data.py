"""A data set on a host: where it lies and what its files are, and what is known before its images are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.bench.loaders.tfrecords import IMAGE_FEATURES, LABEL_FEATURES
from harness.values.errors import DataError
from harness.values.units import format_bytes

Form = Literal["folder", "coco", "list", "tfrecord"]
"""``folder``: one folder of images per class; ``coco``: images and an instances JSON; ``list``: images and a table of
paths and labels; ``tfrecord``: files of ``tf.train.Example``."""

_Text = Annotated[str, Field(max_length=4096)]
_Suffix = Annotated[str, Field(max_length=8)]
_Count = Annotated[int, Field(ge=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RecordFeatures(_Frozen):
    """The features of a record that hold image and label, and what stands there for each class, in their order.

    Classes are numbers from ``first`` on, where they are that, else ``labels``; both are empty where they were taken
    out of an anonymised report.
    """

    image: _Text
    label: _Text
    first: int | None = None
    labels: Annotated[tuple[int | _Text, ...], Field(max_length=100_000)] = ()

    @property
    def is_text(self) -> bool:
        """Whether the records hold words as labels."""
        return self.first is None and not any(isinstance(label, int) for label in self.labels)

    @model_validator(mode="before")
    @classmethod
    def _shorten(cls, value: object) -> object:
        """Keep only the first of labels that are numbers without a gap: it tells them all."""
        if not isinstance(value, dict):
            return value
        labels = list(value.get("labels") or ())
        if not labels or type(labels[0]) is not int or labels != list(range(labels[0], labels[0] + len(labels))):
            return value
        return {**value, "first": labels[0], "labels": ()}

    def without_names(self) -> RecordFeatures:
        """The same with empty names for unusual features, and without labels that are words."""
        return RecordFeatures(
            image=self.image if self.image in IMAGE_FEATURES else "",
            label=self.label if self.label in LABEL_FEATURES else "",
            first=self.first,
            labels=() if self.is_text else self.labels,
        )


class DataPlace(_Frozen):
    """A data set on one host, as its check found it.

    ``folder`` holds the images (or the files of records that ``pattern`` names); ``annotations`` is the instances JSON
    or the table. ``suffixes`` are those of the images' names, as they are written there. Bytes are of all images.
    ``is_plain``: folder or list are such that a few lines of code read from them what was measured; ``is_labelled``:
    the images have labels. ``split`` is the part of a list that was read. ``skipped_count`` images were left out,
    ``left_out`` names the first.
    """

    form: Form
    folder: _Text | None = None
    annotations: _Text | None = None
    pattern: _Text = ""
    suffixes: Annotated[tuple[_Suffix, ...], Field(max_length=64)] = ()
    features: RecordFeatures | None = None
    images: _Count | None = None
    classes: _Count | None = None
    bytes: _Count | None = None
    is_plain: bool = True
    is_labelled: bool = True
    split: _Text | None = None
    left_out: Annotated[tuple[_Text, ...], Field(max_length=50)] = ()
    skipped_count: _Count = 0

    def without_names(self) -> DataPlace:
        """The same without a path, without labels that are words, and without features that have no usual name."""
        features = None if self.features is None else self.features.without_names()
        gone = {"folder": None, "annotations": None, "pattern": "", "features": features, "left_out": (), "split": None}
        return self.model_copy(update=gone)


class Coding(_Frozen):
    """What decides how long images take to decode: how they are coded, as ``harness data describe`` finds it.

    Quantiles are by percent; ``jpeg_quality`` is what libjpeg would be asked for, ``subsampling`` counts JPEGs by how
    their colours are sampled, ``progressive`` those in several scans.
    """

    formats: Mapping[str, _Count] = Field(default_factory=dict)
    size_quantiles: Mapping[str, _Count] = Field(default_factory=dict)
    pixel_quantiles: Mapping[str, _Count] = Field(default_factory=dict)
    jpeg_quality: Mapping[str, _Count] = Field(default_factory=dict)
    subsampling: Mapping[str, _Count] = Field(default_factory=dict)
    progressive: _Count = 0
    bytes_per_pixel: float | None = None


def say_coding(coding: Coding) -> Iterator[str]:
    """Yield what decides how long images take to decode, each thing in a few words."""
    if coding.formats:
        yield ", ".join(f"{count:,} {name}" for name, count in coding.formats.items())
    for words, quantiles in (("a file", coding.size_quantiles), ("pixels an image", coding.pixel_quantiles)):
        if {"5", "50", "95"} <= quantiles.keys():
            values = [quantiles[share] for share in ("5", "50", "95")]
            shown = [f"{value:,}" if quantiles is coding.pixel_quantiles else format_bytes(value) for value in values]
            yield f"{words} {shown[1]} (median; 5 % below {shown[0]}, 5 % above {shown[2]})"
    if "50" in coding.jpeg_quality:
        low, middle, high = (coding.jpeg_quality[share] for share in ("5", "50", "95"))
        yield f"JPEG quality about {middle} (5 % below {low}, 5 % above {high})"
    if coding.subsampling:
        total = sum(coding.subsampling.values())
        yield "chroma " + ", ".join(f"{name} {100 * n / total:.0f} %" for name, n in coding.subsampling.items())
        yield f"{coding.progressive:,} progressive"
    if coding.bytes_per_pixel is not None:
        yield f"{coding.bytes_per_pixel:.3f} bytes a pixel"


class CheckedSet(_Frozen):
    """What the check of a data set left: its figures. Means are in pixels; ``odd`` counts notes on unusual files."""

    fingerprint: Annotated[str, Field(min_length=1, max_length=128)]
    images: _Count
    classes: _Count
    bytes: _Count
    mean_width: float | None
    mean_height: float | None
    mean_pixels: float | None
    odd: Mapping[str, int] = Field(default_factory=dict)
    said: Annotated[tuple[_Text, ...], Field(max_length=100)] = ()
    odd_examples: Mapping[str, tuple[_Text, ...]] = Field(default_factory=dict)
    is_labelled: bool = True
    skipped: Annotated[tuple[tuple[_Text, _Text], ...], Field(max_length=10_000)] = ()
    skipped_count: _Count = 0


class MadeLayout(_Frozen):
    """Paths below a made set's folder; ``annotations`` None where classes are folders."""

    images: _Text
    annotations: _Text | None = None


class MadeSet(_Frozen):
    """What making a data set left: its folder below that of all made sets, and where in it images and labels lie."""

    folder: _Text
    layout: MadeLayout
    encoder: _Text
    made: bool


@dataclass(frozen=True)
class DataState:
    """A data set as a host has it.

    ``place`` is where it lies, in words; ``images`` and ``bytes`` are None where nobody can know them yet, and
    ``source`` says from where they are known. ``is_bound``: files were counted, and those without an annotation fall
    away when they are read. ``fingerprint`` is what the last check of these files found; None: never computed, or the
    files have changed since. ``problem`` is why it cannot be used, ``hint`` what to do about that. ``is_named``: the
    inventory gives it to the host; else its cases are none of the host's. ``said`` are sentences on what it is and what
    of it is left out; ``is_labelled``: its images have labels, so that a model can be trained with them.
    """

    name: str
    place: str
    images: int | None = None
    bytes: int | None = None
    source: str = ""
    is_bound: bool = False
    fingerprint: str | None = None
    problem: str | None = None
    hint: str | None = None
    will_be_made: bool = False
    is_named: bool = True
    said: tuple[str, ...] = ()
    is_labelled: bool = True

    def as_error(self, host: str) -> DataError:
        """Return the problem as the error that ends a host's part in a session."""
        return DataError(self.problem or f"data set {self.name!r} cannot be used", where=host, hint=self.hint)

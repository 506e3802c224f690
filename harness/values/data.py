"""A data set on a host: its location, its files, and its state before images are read."""

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
    """The features of a TFRecord that hold image and label, and the label of each class, in order.

    Consecutive numbers as labels are stored as ``first``, others as ``labels``; both are empty in an anonymised report.
    """

    image: _Text
    label: _Text
    first: int | None = None
    labels: Annotated[tuple[int | _Text, ...], Field(max_length=100_000)] = ()

    @property
    def is_text(self) -> bool:
        """Whether labels are text."""
        return self.first is None and not any(isinstance(label, int) for label in self.labels)

    @model_validator(mode="before")
    @classmethod
    def _shorten(cls, value: object) -> object:
        """Replace consecutive numbers as labels by the first one."""
        if not isinstance(value, dict):
            return value
        labels = list(value.get("labels") or ())
        if not labels or type(labels[0]) is not int or labels != list(range(labels[0], labels[0] + len(labels))):
            return value
        return {**value, "first": labels[0], "labels": ()}

    def without_names(self) -> RecordFeatures:
        """Return a copy without unusual feature names and without text labels."""
        return RecordFeatures(
            image=self.image if self.image in IMAGE_FEATURES else "",
            label=self.label if self.label in LABEL_FEATURES else "",
            first=self.first,
            labels=() if self.is_text else self.labels,
        )


class DataPlace(_Frozen):
    """A data set on one host, as its check found it.

    ``folder`` holds the images (or the TFRecord files that ``pattern`` names); ``annotations`` is the instances JSON or
    the table. ``suffixes`` are those of the images' file names, as written. ``bytes`` is the size of all images.
    ``is_plain``: a few lines of code can read the folder or list as it was measured. ``is_labelled``: the images have
    labels. ``split`` is the part of a list that was read. ``skipped_count`` images were left out; ``left_out`` names
    the first of them.
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
        """Return a copy without paths, text labels and unusual feature names."""
        features = None if self.features is None else self.features.without_names()
        gone = {"folder": None, "annotations": None, "pattern": "", "features": features, "left_out": (), "split": None}
        return self.model_copy(update=gone)


class Coding(_Frozen):
    """How images are encoded, which determines their decoding time; ``harness data describe`` prints it.

    Quantiles are by percent. ``jpeg_quality`` is on libjpeg's scale; ``subsampling`` counts JPEGs by chroma
    subsampling; ``progressive`` counts progressive JPEGs.
    """

    formats: Mapping[str, _Count] = Field(default_factory=dict)
    size_quantiles: Mapping[str, _Count] = Field(default_factory=dict)
    pixel_quantiles: Mapping[str, _Count] = Field(default_factory=dict)
    jpeg_quality: Mapping[str, _Count] = Field(default_factory=dict)
    subsampling: Mapping[str, _Count] = Field(default_factory=dict)
    progressive: _Count = 0
    bytes_per_pixel: float | None = None


def say_coding(coding: Coding) -> Iterator[str]:
    """Yield the properties that determine the decoding time of images, each in a few words."""
    if coding.formats:
        yield ", ".join(f"{count:,} {name}" for name, count in coding.formats.items())
    for words, quantiles in (("file size", coding.size_quantiles), ("pixels per image", coding.pixel_quantiles)):
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
        yield f"{coding.bytes_per_pixel:.3f} bytes per pixel"


class CheckedSet(_Frozen):
    """The results of a data set's check. Means are in pixels; ``odd`` counts unusual files by kind."""

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
    """Paths below the folder of a generated data set; ``annotations`` is None if classes are folders."""

    images: _Text
    annotations: _Text | None = None


class MadeSet(_Frozen):
    """The result of generating a data set: its folder below that of all generated sets, and its layout."""

    folder: _Text
    layout: MadeLayout
    encoder: _Text
    made: bool


@dataclass(frozen=True)
class DataState:
    """The state of a data set on a host.

    ``place`` is where it lies, in words. ``images`` and ``bytes`` are None if not known yet; ``source`` tells how they
    are known. ``is_bound``: they are upper bounds, because files without an annotation will be left out.
    ``fingerprint`` is that of the last check; None if there was none, or the files have changed since. ``problem`` is
    why it cannot be used, ``hint`` what to do. ``is_named``: the inventory names it for the host; else its cases are
    left out there. ``said`` are sentences on what it is and what is left out. ``is_labelled``: its images have labels,
    which training needs.
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
        """Return the problem as a DataError."""
        return DataError(self.problem or f"data set {self.name!r} cannot be used", where=host, hint=self.hint)

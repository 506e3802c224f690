"""Where a data set lies on a host and what its files are: what a program needs to read it without the harness."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.bench.tfrecords import IMAGE_FEATURES, LABEL_FEATURES

Form = Literal["folder", "coco", "list", "tfrecord"]
"""``folder``: one folder of images per class; ``coco``: images and an instances JSON; ``list``: images and a table of
paths and labels; ``tfrecord``: files of ``tf.train.Example``."""

_Text = Annotated[str, Field(max_length=4096)]
_Suffix = Annotated[str, Field(max_length=8)]
_Count = Annotated[int, Field(ge=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RecordFeatures(_Frozen):
    """The features of a record that hold image and label, and each class's label in the records, in their order."""

    image: _Text
    label: _Text
    labels: Annotated[tuple[int | _Text, ...], Field(max_length=100_000)] = ()

    def without_names(self) -> RecordFeatures:
        """The same with empty names for unusual features, and without labels that are words."""
        return RecordFeatures(
            image=self.image if self.image in IMAGE_FEATURES else "",
            label=self.label if self.label in LABEL_FEATURES else "",
            labels=self.labels if all(isinstance(label, int) for label in self.labels) else (),
        )


class DataPlace(_Frozen):
    """A data set on one host, as its check found it.

    ``folder`` holds the images (or the files of records that ``pattern`` names); ``annotations`` is the instances JSON
    or the table. ``suffixes`` are those of the images' names, as they are written there. Bytes are of all images.
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

    def without_names(self) -> DataPlace:
        """The same without a path, without labels that are words, and without features that have no usual name."""
        features = None if self.features is None else self.features.without_names()
        return self.model_copy(update={"folder": None, "annotations": None, "pattern": "", "features": features})

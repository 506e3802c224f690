"""Errors that make a data set unusable, worded so that its owner can correct it. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence

from .image_formats import LEAVE_OUT, SOME_READ, command_to_convert

FOLDER_HINT = "give a folder that holds one folder of images per class, or images and annotations of a COCO pair"
PAIR_HINT = "give the folder that the file names in the instances JSON are relative to"
RECORDS_HINT = "give a folder of TFRecord files (….tfrecord, …-00000-of-00004), or FOLDER/PATTERN"
LABELS_HINT = (
    "give the instances JSON of this image folder (for COCO 2017: annotations/instances_train2017.json), "
    "or a list of paths and labels"
)


class DatasetError(Exception):
    """Raised for a data set that is missing, empty or damaged, or cannot be made; ``hint`` says what to do about it.

    ``kind`` is the ``kind`` of ``failure.json``: ``data``, or ``disk_full`` while a set is made.
    """

    def __init__(self, message: str, *, hint: str, kind: str = "data") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.kind = kind


def absent_folder(folder: object, hint: str) -> DatasetError:
    """Build the error for a folder that does not exist."""
    return DatasetError(f"there is no folder {folder}", hint=hint)


def not_a_folder(folder: object, hint: str) -> DatasetError:
    """Build the error for a path that is not a folder."""
    return DatasetError(f"{folder} is not a folder", hint=hint)


def closed_folder(folder: object, why: str | None, uid: int | None) -> DatasetError:
    """Build the error for a folder that the user who measures cannot read."""
    user = "the user that measures" + ("" if uid is None else f" (uid {uid})")
    return DatasetError(f"cannot read the folder {folder}: {why}", hint=f"give {user} permission to read and enter it")


def no_record_files(path: object) -> DatasetError:
    """Build the error for a folder or pattern without TFRecord files."""
    return DatasetError(f"{path} names no TFRecord files: zero images", hint=RECORDS_HINT)


def unreadable_labels(path: object, why: str | None) -> DatasetError:
    """Build the error for a file of labels that cannot be read."""
    return DatasetError(f"cannot read {path}: {why}", hint=LABELS_HINT)


def no_images(folder: object) -> DatasetError:
    """Build the error for a set in which no file is an image by its name."""
    return DatasetError(
        f"{folder} has no images: zero files ending in .jpg, .jpeg or .png",
        hint="give a folder with one folder of images per class, or a COCO pair whose images have annotations",
    )


def shorten(value: object, most: int = 80) -> str:
    """Return the ``repr`` of a foreign value, short enough for a message."""
    try:
        shown = repr(value)
    except ValueError:
        return "a number with very many digits"
    return shown if len(shown) <= most else f"{shown[:most]}…"


NO_FILE = "there is no such file"
"""Why an image that a file of labels names cannot be read."""


def refused_files(
    folder: object,
    bad: Sequence[tuple[str, str]],
    count: int,
    total: int,
    *,
    suffixes: Sequence[str] = (),
    damaged: int | None = None,
) -> DatasetError:
    """Build the error that names the files, (path, reason), that not every loader can read: ``count`` of ``total``.

    ``suffixes`` are those of files whose format is the reason; ``damaged`` is the number of others (None: all). If none
    is damaged, ``bad`` names one file of each suffix.
    """
    is_damaged = damaged is None or damaged > 0
    names = "\n".join(f"  {path}: {reason}" for path, reason in bad)
    rest = f"\n  and {count - len(bad)} more" if count > len(bad) and is_damaged else ""
    convert = command_to_convert(folder, suffixes) if suffixes else ""
    steps = [f"convert {', '.join(suffixes)}, which removes the originals: `{convert}`"] if suffixes else []
    if set(suffixes) & set(SOME_READ.values()):
        steps.append("or measure only loaders that read them (`--only loader=…`; docs/data.md says which do)")
    cure = "repair or remove the others" if suffixes else "repair or remove them"
    if all(reason == NO_FILE for _, reason in bad):
        cure = "correct the names in the file of labels, or add these images"
    steps += [cure] if is_damaged else []
    return DatasetError(
        f"{count} of {total} files in {folder} cannot be read by every loader:\n{names}{rest}",
        hint="; ".join([*steps, f"or leave them out: {LEAVE_OUT}"]),
    )

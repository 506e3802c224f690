"""A new order of images in each epoch behind a cache: whether memory allows it, and what it costs. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from harness.bench.protocol.loader_registry import keeps_order
from harness.values.case import Case
from harness.values.data import DataPlace
from harness.values.units import format_bytes

BATCHES = 8
"""Batches of the smallest useful buffer, as many as Keras' ``image_dataset_from_directory`` shuffles."""
SHARE = 0.5
"""Largest share of the memory that the limit left."""
MOST_BYTES = 10**9
"""A larger buffer would delay the first batch of each epoch."""

_BYTES = {"float32": 4, "uint8": 1}


@dataclass(frozen=True)
class Reshuffling:
    """The argument of ``shuffle`` as code, empty where nothing is shuffled, and a comment on its cost."""

    buffer: str = ""
    comment: str = ""


def choose_reshuffling(case: Case, place: DataPlace, spare_bytes: int | None) -> Reshuffling:
    """Choose a shuffle buffer for what comes out of a case's cache.

    Behind a memory cache the buffer refers to the cached tensors and needs no memory; behind a cache on disk it holds
    copies, as many as ``spare_bytes`` (the memory that the limit left; None where that is not known) allows.
    """
    if case.shuffle and case.shuffle_buffer != "auto":
        return _as_measured(case, place)
    if not case.shuffle or not keeps_order(case.cache):
        return Reshuffling()
    whole = "len(files)" if place.form != "tfrecord" else str(place.images or BATCHES * case.batch_size)
    if case.cache == "memory":
        comment = (
            "A new order in each epoch, which was not measured. The buffer refers to the cached images and needs no "
            "memory; but the first epoch fills it, and with it the cache, before its first batch."
        )
        return Reshuffling(whole, comment)
    each = element_bytes(case, place)
    least = BATCHES * case.batch_size
    if each is None or spare_bytes is None:
        cost = "" if each is None else f" ({format_bytes(least * each)})"
        comment = (
            f"A new order in each epoch, which was not measured: from a buffer of eight batches{cost}, "
            "which each epoch fills before its first batch."
        )
        return Reshuffling(f"{BATCHES} * BATCH", comment)
    count = int(min(spare_bytes * SHARE, MOST_BYTES) // each)
    if place.images is not None:
        least = min(least, place.images)
    if count < least:
        comment = (
            "The order of the images is the same in every epoch: the cache keeps it, and a shuffle buffer behind it "
            f"({format_bytes(least * each)} for eight batches) does not fit in the {format_bytes(spare_bytes)} "
            "that the memory limit left."
        )
        return Reshuffling("", comment)
    is_whole = place.images is not None and count >= place.images
    count = place.images if is_whole and place.images is not None else count
    comment = (
        f"A new order in each epoch, which was not measured: the buffer of {count:,} images takes "
        f"{format_bytes(count * each)} of the {format_bytes(spare_bytes)} that the memory limit left, and each epoch "
        "fills it before its first batch."
    )
    return Reshuffling(whole if is_whole else str(count), comment)


def _as_measured(case: Case, place: DataPlace) -> Reshuffling:
    """Return the buffer of a case; none where it is before decoding (``first_buffer``)."""
    is_first = case.cache == "none" and (_is_whole(case, place) or place.form == "tfrecord")
    return Reshuffling() if is_first else Reshuffling(_size(case, place), "The shuffle buffer holds images.")


def first_buffer(case: Case, place: DataPlace) -> str:
    """Return the buffer that shuffles file names, or encoded images of TFRecord files, as code; empty without one."""
    is_asked = case.cache == "none" and case.shuffle_buffer != "auto"
    if place.form == "tfrecord":
        return _size(case, place) if is_asked else f"{BATCHES} * BATCH"
    return "" if is_asked and not _is_whole(case, place) else "len(files)"


def _is_whole(case: Case, place: DataPlace) -> bool:
    """Return whether a buffer holds all images."""
    size = case.shuffle_buffer
    return size == "full" or (isinstance(size, int) and place.images is not None and size >= place.images)


def _size(case: Case, place: DataPlace) -> str:
    if isinstance(case.shuffle_buffer, int) and not _is_whole(case, place):
        return str(case.shuffle_buffer)
    return "len(files)" if place.form != "tfrecord" else str(place.images or BATCHES * case.batch_size)


def element_bytes(case: Case, place: DataPlace) -> int | None:
    """Return the bytes of one image as it comes out of the cache; None for encoded images of unknown size."""
    if case.cache == "tfrecord" or (case.element == "encoded" and case.cache != "tfrecord-resized"):
        return None if not place.images or not place.bytes else -(-place.bytes // place.images)
    height, width = case.image_size
    return height * width * 3 * _BYTES["uint8" if case.cache == "tfrecord-resized" else case.element]

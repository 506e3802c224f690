"""Sizes before anything ran: images that a case uses, bytes of its cache. Arithmetic, pure."""

from __future__ import annotations

from collections.abc import Mapping

from harness.bench.protocol.loader_registry import CACHES, LOADERS
from harness.values.case import Case
from harness.values.record import SetSize

BYTES_PER_VALUE: Mapping[str, int] = {"float32": 4, "uint8": 1}

LABEL_BYTES = 4
"""A cached element is an image and its int32 label."""

INDEX_BYTES = 60
"""What the ``.index`` file of a TensorFlow file cache holds per element: two keys and two entries
(seen with 2.21: 55 at small elements, 60 to 61 at images)."""


SUM_BYTES = 8
"""What the cache ``array`` holds of an image beside its pixels: what they sum up to, and no label."""


def cache_bytes(
    images: int, image_size: tuple[int, int], *, channels: int = 3, element: str = "float32", is_file: bool = False
) -> int | None:
    """Bytes of a cache that holds every image: ``N × (H × W × C × bytes per value + label)``.

    A file cache has an index beside its data (``is_file``). None for ``encoded``, whose size is that of the files.
    """
    if element not in BYTES_PER_VALUE:
        return None
    height, width = image_size
    pixels = height * width * channels * BYTES_PER_VALUE[element]
    return images * (pixels + LABEL_BYTES + (INDEX_BYTES if is_file else 0))


def image_bytes(case: Case) -> int | None:
    """Bytes of one image in a case's cache. None for ``encoded``, whose size is that of the files."""
    found = cache_bytes(1, case.image_size, element=case.element, is_file=CACHES[case.cache].is_on_disk)
    return found if found is None or case.cache != "array" else found - LABEL_BYTES - INDEX_BYTES + SUM_BYTES


def images_of(case: Case, images: int) -> int:
    """How many of a set's images a case uses."""
    return images if case.max_images is None else min(images, case.max_images)


def case_cache_bytes(case: Case, size: SetSize) -> int | None:
    """Bytes of a case's cache: 0 where it has none, None where they are not known."""
    if case.cache == "none":
        return 0
    count, spec = images_of(case, size.images), CACHES[case.cache]
    each = image_bytes(case)
    if each is not None:
        return count * each
    if size.bytes is None or not size.images or spec.name == "tfrecord-resized":
        return None  # images that are made smaller and encoded again: as large as their content makes them
    return round(size.bytes * count / size.images) + count * (LABEL_BYTES + (INDEX_BYTES if spec.is_on_disk else 0))


def buffer_bytes(case: Case, images: int, image_bytes: float) -> float:
    """Bytes that the shuffle buffer of a case holds beside its cache, with so many images of so large files.

    Behind a cache in memory it refers to what is there; one of all files, without a cache, holds their names.
    """
    count = images if case.shuffle_buffer == "full" else min(images, int(case.shuffle_buffer))
    if case.cache == "memory" or (case.cache == "none" and count >= images):
        return 0.0
    is_tuned = LOADERS[case.loader].variant == "tuned"  # it scales batches: what it mixes is as decoding gives it
    element = "uint8" if case.cache == "none" and is_tuned and case.interpolation == "nearest" else case.element
    if element == "encoded" and case.cache != "tfrecord-resized":
        return count * image_bytes
    height, width = case.image_size
    return float(count * height * width * 3 * BYTES_PER_VALUE.get(element, 1))


def lift_subset(case: Case) -> Case:
    """Return the same case on the whole data set."""
    return case.model_copy(update={"max_images": None})

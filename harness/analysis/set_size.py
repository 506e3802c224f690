"""Sizes that are computed before a run: the images of a case, the bytes of its cache. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from harness.bench.protocol.loader_registry import CACHES, LOADERS
from harness.values.case import Case
from harness.values.record import SetSize

BYTES_PER_VALUE: Mapping[str, int] = {"float32": 4, "uint8": 1}

LABEL_BYTES = 4
"""A cache holds an int32 label with each image."""

INDEX_BYTES = 60
"""Bytes per image in the ``.index`` file of a TensorFlow file cache: two keys and two entries
(measured with 2.21: 55 for small tensors, 60 to 61 for images)."""


SUM_BYTES = 8
"""Bytes per image in the cache ``array`` besides its pixels: their checksum, and no label."""


def cache_bytes(
    images: int, image_size: tuple[int, int], *, channels: int = 3, element: str = "float32", is_file: bool = False
) -> int | None:
    """Return the bytes of a cache with all images: ``N × (H × W × C × bytes per value + label)``.

    A file cache also has an index (``is_file``). None for ``encoded``, whose size is that of the files.
    """
    if element not in BYTES_PER_VALUE:
        return None
    height, width = image_size
    pixels = height * width * channels * BYTES_PER_VALUE[element]
    return images * (pixels + LABEL_BYTES + (INDEX_BYTES if is_file else 0))


def image_bytes(case: Case) -> int | None:
    """Return the bytes of an image in a case's cache; None for ``encoded``, whose size is that of the files."""
    found = cache_bytes(1, case.image_size, element=case.element, is_file=CACHES[case.cache].is_on_disk)
    return found if found is None or case.cache != "array" else found - LABEL_BYTES - INDEX_BYTES + SUM_BYTES


def images_of(case: Case, images: int) -> int:
    """Return how many images of a set a case uses."""
    return images if case.max_images is None else min(images, case.max_images)


def case_cache_bytes(case: Case, size: SetSize) -> int | None:
    """Return the bytes of a case's cache: 0 where it has none, None where they are not known."""
    if case.cache == "none":
        return 0
    count, spec = images_of(case, size.images), CACHES[case.cache]
    each = image_bytes(case)
    if each is not None:
        return count * each
    if size.bytes is None or not size.images or spec.name == "tfrecord-resized":
        return None  # the size of images that are resized and encoded again depends on their content
    return round(size.bytes * count / size.images) + count * (LABEL_BYTES + (INDEX_BYTES if spec.is_on_disk else 0))


def buffer_bytes(case: Case, images: int, image_bytes: float) -> float:
    """Return the bytes of a case's shuffle buffer besides its cache, with so many images of so large files.

    Behind a cache in memory the buffer refers to the cached images; without a cache, a buffer of all files holds names.
    """
    count = images if case.shuffle_buffer == "full" else min(images, int(case.shuffle_buffer))
    if case.cache == "memory" or (case.cache == "none" and count >= images):
        return 0.0
    is_tuned = LOADERS[case.loader].variant == "tuned"  # it scales batches, so that it shuffles decoded images
    element = "uint8" if case.cache == "none" and is_tuned and case.interpolation == "nearest" else case.element
    if element == "encoded" and case.cache != "tfrecord-resized":
        return count * image_bytes
    height, width = case.image_size
    return float(count * height * width * 3 * BYTES_PER_VALUE.get(element, 1))


def lift_subset(case: Case) -> Case:
    """Return a case on its whole data set."""
    return case.model_copy(update={"max_images": None})

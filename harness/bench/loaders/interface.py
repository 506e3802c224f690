"""What a loader is given and what it gives: the one interface between loaders and the rest of the benchmark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..budgets import Budgets
from ..failure import BenchmarkFailure

CHANNELS = 3
SCALE = 1.0 / 255.0
"""Every loader delivers float32 from 0 to 1."""


@dataclass(frozen=True)
class LoaderContext:
    """What a loader may know.

    ``folder`` is the folder of images; ``paths`` are relative to it, ``labels`` index
    ``classes``, both in the manifest's order, which is the same for every
    loader. ``is_subset``: these are not all images of the data set. ``links`` is a tree of links, one
    folder a class, where one was made. ``scratch`` is a folder for small things, removed
    afterwards. ``interpolation`` is never ``native``; ``is_native`` says that it was. ``cache_prefix``
    is the path of a cache file, None for every other cache. ``image_size`` is (height, width) in pixels.
    """

    kind: str
    folder: str
    paths: tuple[str, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    scratch: str
    image_size: tuple[int, int]
    batch_size: int
    interpolation: str
    seed: int
    is_native: bool = False
    is_subset: bool = False
    links: str | None = None
    shuffle: bool = True
    deterministic: bool = True
    cache: str = "none"
    cache_prefix: str | None = None
    budgets: Budgets | None = None

    @property
    def files(self) -> list[str]:
        """Full paths of the images."""
        return [os.path.join(self.folder, path) for path in self.paths]

    @property
    def places(self) -> list[str]:
        """What holds the images, in few words: their folder, or the files of a subset."""
        return self.files if self.is_subset else [self.folder]


@dataclass
class Loader:
    """One data set, as often as it is asked for. This class is a loader whose ``dataset`` is a ``tf.data.Dataset``.

    ``dataset`` is what ``model.fit`` takes, and loading iterates the same object. An epoch
    has ``images`` images in batches of ``batch_size``, (batch, height, width, 3) float32
    from 0 to 1, and integer labels (batch,), each image once. ``order`` says how images are
    shuffled, ``decoder`` what decodes.
    """

    dataset: Any
    images: int
    batch_size: int
    element_spec: Any
    order: str
    decoder: str
    cache_prefix: str | None = None
    takes_budgets: bool = True

    @property
    def steps(self) -> int:
        """Batches of an epoch; the last may be short."""
        return -(-self.images // self.batch_size)

    def batches(self) -> Iterator[tuple[Any, Any]]:
        """One epoch."""
        yield from self.dataset

    def cache_files(self) -> list[str]:
        """The files of the cache, also half-written ones, by exact prefix."""
        return [] if self.cache_prefix is None else find_cache_files(self.cache_prefix)

    def flush(self) -> None:
        """Bring the cache's files through to the disk."""
        for path in self.cache_files():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """Let go of the data set."""
        self.dataset = None


def find_cache_files(prefix: str) -> list[str]:
    """All files that ``Dataset.cache(prefix)`` may have made: data, index, lock and temporary ones (``<prefix>_…``)."""
    folder, name = os.path.split(prefix)
    try:
        entries = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    return [
        os.path.join(folder, entry) for entry in entries if entry == name or entry.startswith((name + "_", name + "."))
    ]


def is_cache_whole(prefix: str) -> bool:
    """Whether TensorFlow would read from this cache instead of filling it: it looks for the index alone."""
    return os.path.exists(prefix + ".index") or os.path.exists(prefix + "_0.index")


def refuse_other_files(loader: str, found: int, context: LoaderContext, where: str) -> None:
    """Raise where a loader that looks for files itself found others than the manifest lists."""
    if found != len(context.paths):
        raise BenchmarkFailure(
            "data",
            f"{loader} finds {found} images in {where}, the data set has {len(context.paths)}. Files were added or "
            "removed since it was checked, or have a format that it does not read: see `harness data describe`.",
        )

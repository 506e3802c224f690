"""The interface between loaders and the rest of the benchmark: a loader's input and output."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from ..protocol.failure import BenchmarkFailure
from .budgets import Budgets
from .store import Store
from .tfrecords import Features, file_of

CHANNELS = 3
SCALE = 1.0 / 255.0
"""Loaders deliver float32 from 0 to 1, or with ``deliver: uint8`` values from 0 to 255, which the model scales."""


@dataclass(frozen=True)
class LoaderContext:
    """The input of a loader.

    ``folder`` is the folder of images. ``paths`` are relative to it, ``labels`` are indices into ``classes``; both are
    in the manifest's order, which is the same for every loader. In a set of TFRecord files a path names a place inside
    a file (``tfrecords.read_place`` reads it), and ``features`` says which features of the records are read.
    ``is_subset``: the data set has more images than these. ``links`` is a tree of links with one folder per class, if
    one was made. ``scratch`` is a folder for small files, removed afterwards. ``deliver`` is the type of the batches.
    ``interpolation`` is never ``native``; ``is_native`` says that it was. ``cache_prefix`` is the path of a cache on
    disk, None for other caches; its name contains the hash of everything that decides the cache's contents.
    ``is_reused``: that cache exists already. ``element``, ``compression``, ``decoding`` and ``augment`` are the case's.
    ``give_up`` ends the process at once, for a thread that detects what would hang it. ``image_size`` is (height,
    width) in pixels. ``until`` is the last stage to run, one of ``Loader.stages``; None for all. It is set only to find
    the costs of stages, never in a measurement. ``workers`` is the requested number of threads or processes, None if
    that is left to the loader (``worker_count`` is the number it uses). ``shuffle_buffer`` is the requested size of the
    shuffle buffer in images, at most all of them; None: the loader uses its own order.
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
    element: str = "float32"
    deliver: str = "float32"
    compression: str = "none"
    decoding: str = "exact"
    augment: str = "none"
    is_reused: bool = False
    give_up: Callable[[BenchmarkFailure], None] | None = None
    features: Features | None = None
    until: str | None = None
    workers: int | None = None
    shuffle_buffer: int | None = None

    @property
    def is_scaled(self) -> bool:
        """Whether batches are scaled to float32 from 0 to 1."""
        return self.deliver == "float32"

    def stages_of(self, stages: Sequence[str]) -> tuple[str, ...]:
        """Return a loader's stages without ``scale`` if batches are not scaled."""
        return tuple(stage for stage in stages if stage != "scale" or self.is_scaled)

    def running(self, stages: Sequence[str]) -> tuple[str, ...]:
        """Return those of a loader's stages that run, in their order."""
        return tuple(stages if self.until is None else stages[: stages.index(self.until) + 1])

    @property
    def cpus(self) -> int:
        """The number of CPUs that the process may use, which is the default number of workers."""
        return len(os.sched_getaffinity(0))

    @property
    def worker_count(self) -> int:
        """The number of workers to use: the requested one, else one per CPU. 0: the caller's own thread."""
        return self.cpus if self.workers is None else self.workers

    @property
    def files(self) -> list[str]:
        """Full paths of the images."""
        return [os.path.join(self.folder, path) for path in self.paths]

    @property
    def stored(self) -> dict[str, int]:
        """The number of images in each file on disk, by path, in the manifest's order."""
        return dict(Counter(self.files if self.features is None else map(file_of, self.files)))

    @property
    def places(self) -> list[str]:
        """The paths that contain the images: their folder, or the files of a subset or of records."""
        return [*self.stored] if self.is_subset or self.features is not None else [self.folder]


class PixelError(TypedDict):
    """The difference of approximate pixels from exact ones over ``images`` images, on the scale 0 to 255."""

    mean: float
    largest: float
    images: int


@dataclass
class Loader:
    """A loader of one data set; in this class ``dataset`` is a ``tf.data.Dataset``.

    ``dataset`` is what ``model.fit`` takes, and loading iterates the same object. An epoch has ``images`` images, each
    once, in batches of ``batch_size``: (batch, height, width, 3) float32 from 0 to 1 (or uint8, if the case asks for
    it) and integer labels (batch,). ``order`` says how images are shuffled, ``decoder`` what decodes. ``store`` is the
    cache on disk, if there is one. ``stages`` are those after which the loader can stop (``LoaderContext.until``), in
    the order in which they run; empty if it cannot. A loader that stops early delivers its intermediate result.
    ``workers`` is the number of threads or processes that prepare images; None if something else decides (tf.data's
    AUTOTUNE). ``buffer`` is the number of images in the shuffle buffer of an epoch: all for a permutation, 0 if each
    epoch has the same order; None if ``order`` says it or it is not known. ``buffer_bytes`` is the size of the full
    buffer.
    """

    dataset: Any
    images: int
    batch_size: int
    element_spec: Any
    order: str
    decoder: str
    store: Store | None = None
    takes_budgets: bool = True
    stages: tuple[str, ...] = ()
    build_s: float | None = None
    workers: int | None = None
    buffer: int | None = None
    buffer_bytes: int | None = None

    @property
    def steps(self) -> int:
        """The number of batches in an epoch; the last may be short."""
        return -(-self.images // self.batch_size)

    @property
    def cache_prefix(self) -> str | None:
        """The path with which all files of the cache begin; None without a cache on disk."""
        return None if self.store is None else self.store.prefix

    def fill(self) -> None:
        """Build the cache if it is built separately and does not exist; runs within the first epoch's clock."""
        if self.store is not None:
            begun = time.perf_counter()
            if self.store.build():
                self.build_s = time.perf_counter() - begun

    def batches(self) -> Iterator[tuple[Any, Any]]:
        """Yield the batches of one epoch."""
        yield from self.dataset

    def epochs(self, times: int) -> Iterator[tuple[Any, Any]]:
        """Yield the batches of ``times`` epochs; a loader may start its workers once for all of them."""
        for _ in range(times):
            yield from self.batches()

    def other_decoder(self) -> dict[str, int] | None:
        """Return how many images another decoder than its own has read so far, by reason; None if it has no other."""
        return None

    def cache_files(self) -> list[str]:
        """Return the files of the cache, including incomplete ones."""
        return [] if self.store is None else self.store.files()

    def flush(self) -> None:
        """Sync the cache's files to disk."""
        if self.store is not None:
            self.store.flush()

    def close(self) -> None:
        """Release the data set."""
        self.dataset = None


def refuse_other_files(loader: str, found: int, context: LoaderContext, where: str) -> None:
    """Raise BenchmarkFailure if a loader that lists files itself found another number than the manifest lists."""
    if found != len(context.paths):
        raise BenchmarkFailure(
            "data",
            f"{loader} finds {found} images in {where}, but the data set has {len(context.paths)}. Files were added or "
            "removed since the check, or have a format that this loader does not read: see `harness data describe`.",
        )

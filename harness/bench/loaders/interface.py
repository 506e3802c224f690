"""What a loader is given and what it gives: the one interface between loaders and the rest of the benchmark."""

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
"""Every loader delivers float32 from 0 to 1; where ``deliver`` is uint8, grey levels, which the model scales."""


@dataclass(frozen=True)
class LoaderContext:
    """What a loader may know.

    ``folder`` is the folder of images; ``paths`` are relative to it, ``labels`` index ``classes``, both in the
    manifest's order, which is the same for every loader; of a set of TFRecord files a path names a place inside one
    (``tfrecords.read_place`` reads it), and ``features`` says what its records hold. ``is_subset``: these are not all
    images of the data set. ``links`` is a tree of links, one folder a class, where one was made. ``scratch`` is a
    folder for small things, removed afterwards. ``deliver`` is the type of the batches. ``interpolation`` is never
    ``native``; ``is_native`` says that it was. ``cache_prefix`` is the path of a cache on disk, None for every other
    cache: its name carries the hash of all that decides what the cache holds. ``is_reused``: that cache is there
    already. ``element``, ``compression``, ``decoding`` and ``augment`` are the case's. ``give_up`` ends the process at
    once: for a thread that sees what would hang it. ``image_size`` is (height, width) in pixels. ``until`` is the last
    stage that runs, of those that the loader names (``Loader.stages``); None for all. It is set only where the costs of
    stages are looked for, never in a measurement.
    ``workers`` is how many threads or processes were asked for, None where that is left to the loader (``worker_count``
    is what it takes). ``shuffle_buffer`` is how many images the buffer holds that they are mixed in, all of them at the
    most; None: the loader orders them in its own way.
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
        """A loader's stages without scaling, where nothing is scaled."""
        return tuple(stage for stage in stages if stage != "scale" or self.is_scaled)

    def running(self, stages: Sequence[str]) -> tuple[str, ...]:
        """Those of a loader's stages that run."""
        return tuple(stages if self.until is None else stages[: stages.index(self.until) + 1])

    @property
    def cpus(self) -> int:
        """CPUs that the process may use: how many workers a loader takes by itself."""
        return len(os.sched_getaffinity(0))

    @property
    def worker_count(self) -> int:
        """How many workers a loader takes: as many as were asked for, else one a CPU. 0: the caller's own thread."""
        return self.cpus if self.workers is None else self.workers

    @property
    def files(self) -> list[str]:
        """Full paths of the images."""
        return [os.path.join(self.folder, path) for path in self.paths]

    @property
    def stored(self) -> dict[str, int]:
        """The files on disk, in the manifest's order, and how many of the images each holds."""
        return dict(Counter(self.files if self.features is None else map(file_of, self.files)))

    @property
    def places(self) -> list[str]:
        """What holds the images, in few words: their folder, or the files of a subset or of records."""
        return [*self.stored] if self.is_subset or self.features is not None else [self.folder]


class PixelError(TypedDict):
    """How far approximate pixels are from the exact ones: means of so many images, in grey levels."""

    mean: float
    largest: float
    images: int


@dataclass
class Loader:
    """One data set, as often as it is asked for. This class is a loader whose ``dataset`` is a ``tf.data.Dataset``.

    ``dataset`` is what ``model.fit`` takes, and loading iterates the same object. An epoch
    has ``images`` images in batches of ``batch_size``, (batch, height, width, 3) float32
    from 0 to 1 (or uint8, where the case asks for it), and integer labels (batch,), each image once.
    ``order`` says how images are shuffled, ``decoder`` what decodes. ``store`` is the cache on disk, if there is one.
    ``stages`` are those after which the loader can be made to stop (``LoaderContext.until``), in the order in which
    they run; empty where it cannot. One that stops before its last delivers whatever it has by then. ``workers`` is
    how many threads or processes prepare images; None where that is left to others (tf.data's AUTOTUNE).
    ``buffer`` is how many images the order of an epoch is mixed in: all for a permutation, 0 where each epoch has the
    same order; None where ``order`` says it, or nobody knows. ``buffer_bytes`` is what it holds when it is full.
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
        """Batches of an epoch; the last may be short."""
        return -(-self.images // self.batch_size)

    @property
    def cache_prefix(self) -> str | None:
        """The path that all files of the cache begin with; None without one on disk."""
        return None if self.store is None else self.store.prefix

    def fill(self) -> None:
        """Build the cache, where it is built apart and is not there yet: at the start of the first epoch's clock."""
        if self.store is not None:
            begun = time.perf_counter()
            if self.store.build():
                self.build_s = time.perf_counter() - begun

    def batches(self) -> Iterator[tuple[Any, Any]]:
        """One epoch."""
        yield from self.dataset

    def epochs(self, times: int) -> Iterator[tuple[Any, Any]]:
        """So many epochs, one after the other; what a loader has to begin once, it begins once for all of them."""
        for _ in range(times):
            yield from self.batches()

    def other_decoder(self) -> dict[str, int] | None:
        """Return how many images so far another decoder than its own has read, by why; None: it has no other."""
        return None

    def cache_files(self) -> list[str]:
        """The files of the cache, also half-written ones."""
        return [] if self.store is None else self.store.files()

    def flush(self) -> None:
        """Bring the cache's files through to the disk."""
        if self.store is not None:
            self.store.flush()

    def close(self) -> None:
        """Let go of the data set."""
        self.dataset = None


def refuse_other_files(loader: str, found: int, context: LoaderContext, where: str) -> None:
    """Raise where a loader that looks for files itself found others than the manifest lists."""
    if found != len(context.paths):
        raise BenchmarkFailure(
            "data",
            f"{loader} finds {found} images in {where}, the data set has {len(context.paths)}. Files were added or "
            "removed since it was checked, or have a format that it does not read: see `harness data describe`.",
        )

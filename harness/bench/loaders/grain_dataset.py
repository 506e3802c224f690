"""Implement ``grain`` and ``grain-processes``: a map data set over files, prefetched by threads or processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import grain
import tensorflow as tf

from ..protocol.specs import NEW_ORDER
from .interface import CHANNELS, Loader, LoaderContext
from .pixels import STAGES, finish_batch, is_batched, list_images, read_image
from .workers import watch_workers

BUFFERED = 64
"""Number of images that are prefetched."""


PROCESS_THREADS = 1
"""Threads of each worker process."""


class GrainLoader(Loader):
    """A loader that iterates the map data set once per epoch, each time in another order."""

    def __init__(self, context: LoaderContext, *, has_processes: bool, **fields: Any) -> None:
        super().__init__(**fields)
        self._context = context
        self._has_processes = has_processes
        self._epoch = 0
        self._watch: threading.Event | None = None

    def batches(self) -> Iterator[tuple[Any, Any]]:
        """Yield the batches of one epoch."""
        yield from self.epochs(1)

    def epochs(self, times: int) -> Iterator[tuple[Any, Any]]:
        """Yield ``times`` epochs from the same workers: starting processes can take longer than an epoch."""
        self._epoch += 1
        if self._has_processes and self._watch is None:
            self._watch = watch_workers(self._context)
        yield from make_epochs(self._context, self._epoch, times, has_processes=self._has_processes)

    def close(self) -> None:
        """Stop watching the workers."""
        if self._watch is not None:
            self._watch.set()
        super().close()


def make_epochs(
    context: LoaderContext, epoch: int, times: int = 1, *, has_processes: bool = False
) -> Iterator[tuple[Any, Any]]:
    """Yield the batches (images, labels) of ``times`` epochs, beginning with number ``epoch``."""
    files, labels, workers = context.files, context.labels, context.worker_count
    plain = replace(context, give_up=None, budgets=None)  # this is sent to processes

    def load(number: int) -> tuple[Any, Any]:
        return read_image(files[number], plain), labels[number]

    data = grain.MapDataset.range(len(files))
    if context.shuffle:
        data = data.shuffle(seed=(context.seed + epoch) % 2**32)
    data = data.map(load).batch(context.batch_size, batch_fn=None if is_batched(context) else list_images)
    if times > 1:
        data = data.repeat(times)
    threads = PROCESS_THREADS if has_processes and workers else workers
    ahead = max(threads, BUFFERED // context.batch_size, 1)
    batches = data.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead))
    if has_processes:
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
    with closing(iter(batches)) as made:
        for images, numbers in made:
            yield (
                (finish_batch(images, context), numbers.astype("int32")) if is_batched(context) else (images, numbers)
            )


def make_threads(context: LoaderContext) -> Loader:
    """Make ``grain``, which prefetches by threads."""
    return make(context)


def make_processes(context: LoaderContext) -> Loader:
    """Make ``grain-processes``, whose processes make batches and are watched, since a killed one would hang it."""
    return make(context, has_processes=True)


def make(context: LoaderContext, *, has_processes: bool = False) -> Loader:
    """Make a Grain loader; ``model.fit`` uses it through ``from_generator``."""
    height, width = context.image_size
    spec = (tf.TensorSpec((None, height, width, CHANNELS), context.deliver), tf.TensorSpec((None,), tf.int32))
    loader = GrainLoader(
        context,
        has_processes=has_processes,
        dataset=None,
        images=len(context.paths),
        batch_size=context.batch_size,
        element_spec=spec,
        order=NEW_ORDER if context.shuffle else "by path",
        decoder=f"PIL, through Grain {getattr(grain, '__version__', '')}".strip(),
        takes_budgets=False,
        workers=context.worker_count,
        stages=context.stages_of(STAGES),
    )
    dataset = tf.data.Dataset.from_generator(loader.batches, output_signature=spec)
    loader.dataset = dataset.apply(tf.data.experimental.assert_cardinality(loader.steps)).prefetch(1)
    return loader

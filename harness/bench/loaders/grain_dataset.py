"""``grain``: Google's Grain as its guide shows it: a map data set over files, read ahead by threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import grain
import tensorflow as tf

from ..protocol.specs import NEW_ORDER
from .interface import CHANNELS, Loader, LoaderContext
from .pixels import STAGES, finish_batch, is_batched, read_image

BUFFERED = 64
"""Images read ahead."""


class GrainLoader(Loader):
    """Each epoch is the map data set once more, in another order."""

    def __init__(self, context: LoaderContext, **fields: Any) -> None:
        super().__init__(**fields)
        self._context = context
        self._epoch = 0

    def batches(self) -> Iterator[tuple[Any, Any]]:
        """One epoch."""
        self._epoch += 1
        yield from make_epoch(self._context, self._epoch)


def make_epoch(context: LoaderContext, epoch: int) -> Any:
    """An iterable of (images, labels) for one epoch."""
    files, labels = context.files, context.labels

    def load(number: int) -> tuple[Any, Any]:
        return read_image(files[number], context), labels[number]

    data = grain.MapDataset.range(len(files))
    if context.shuffle:
        data = data.shuffle(seed=(context.seed + epoch) % 2**32)
    data = data.map(load).batch(context.batch_size, batch_fn=None if is_batched(context) else _list_images)
    reading = grain.ReadOptions(num_threads=context.cpus, prefetch_buffer_size=max(1, BUFFERED // context.batch_size))
    for images, numbers in data.to_iter_dataset(reading):
        yield (finish_batch(images, context), numbers.astype("int32")) if is_batched(context) else (images, numbers)


def _list_images(pairs: Sequence[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    return [image for image, _ in pairs], [number for _, number in pairs]


def make(context: LoaderContext) -> Loader:
    """``model.fit`` gets it through ``from_generator``."""
    height, width = context.image_size
    spec = (tf.TensorSpec((None, height, width, CHANNELS), context.deliver), tf.TensorSpec((None,), tf.int32))
    loader = GrainLoader(
        context,
        dataset=None,
        images=len(context.paths),
        batch_size=context.batch_size,
        element_spec=spec,
        order=NEW_ORDER if context.shuffle else "by path",
        decoder=f"PIL, through Grain {getattr(grain, '__version__', '')}".strip(),
        takes_budgets=False,
        stages=context.stages_of(STAGES),
    )
    dataset = tf.data.Dataset.from_generator(loader.batches, output_signature=spec)
    loader.dataset = dataset.apply(tf.data.experimental.assert_cardinality(loader.steps)).prefetch(1)
    return loader

"""Implement ``decoder``, the yardstick: libjpeg-turbo in one thread per CPU, and nothing that can be omitted.

simplejpeg is a thin binding of libjpeg-turbo that releases the GIL. With its exact DCT and smooth upsampling its pixels
equal those of PIL and TensorFlow bit for bit.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import simplejpeg
import tensorflow as tf

from ..protocol.specs import NEW_ORDER
from .interface import CHANNELS, Loader, LoaderContext
from .jpeg import name_fault
from .pixels import STAGES, finish_batch, is_batched, pick_nearest, read_image
from .tfrecords import read_place

AHEAD = 2
"""Batches made in advance, besides the one that each thread works on."""

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"


class DecodedBatches:
    """Batches of images, made by threads and delivered in order; each call of ``epoch`` uses a new permutation.

    ``others`` counts images that Pillow read instead, by reason: other formats, and JPEGs that simplejpeg refuses.
    """

    def __init__(self, context: LoaderContext) -> None:
        self._context = context
        self._files = context.files
        self._order = list(range(len(self._files)))
        self._numbers = random.Random(context.seed)
        self._mutex = threading.Lock()
        self.others: Counter[str] = Counter()
        self.options = {
            "fastdct": context.is_native or context.decoding == "fast-dct",
            "fastupsample": context.decoding == "plain-upscaling",
        }

    def epoch(self) -> Iterator[tuple[Any, Any]]:
        """Yield the batches (images, labels int32) of one epoch."""
        if self._context.shuffle:
            self._numbers.shuffle(self._order)
        size = self._context.batch_size
        chunks = [self._order[start : start + size] for start in range(0, len(self._order), size)]
        workers = self._context.worker_count
        if workers == 0:
            yield from map(self._make, chunks)
            return
        waiting: deque[Future[tuple[Any, Any]]] = deque()
        with ThreadPoolExecutor(workers) as threads:
            for chunk in chunks:
                waiting.append(threads.submit(self._make, chunk))
                if len(waiting) > workers + AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _make(self, chunk: list[int]) -> tuple[Any, Any]:
        labels = np.array([self._context.labels[number] for number in chunk], np.int32)
        if not is_batched(self._context):
            return [self._read(self._files[number]) for number in chunk], labels
        height, width = self._context.image_size
        images = np.empty((len(chunk), height, width, CHANNELS), np.uint8)
        for place, number in enumerate(chunk):
            images[place] = self._read(self._files[number])
        return finish_batch(images, self._context), labels

    def _read(self, path: str) -> Any:
        data = read_place(path)
        if self._context.until == "read":
            return data
        if not data.startswith(_JPEG):
            return self._read_otherwise(path, "png" if data.startswith(_PNG) else "other_formats")
        try:
            image = simplejpeg.decode_jpeg(data, "RGB", **self.options)
        except ValueError as error:  # also for what libjpeg only warns of
            return self._read_otherwise(path, name_fault(str(error)))
        return image if self._context.until == "decode" else pick_nearest(image, self._context.image_size)

    def _read_otherwise(self, path: str, why: str) -> Any:
        """Read an image with Pillow, and count it: the figures are then not of libjpeg-turbo alone."""
        with self._mutex:
            self.others[why] += 1
        return read_image(path, self._context)


class DecoderLoader(Loader):
    """A loader that delivers NumPy batches in loading, and the same through a generator in training."""

    def __init__(self, batches: DecodedBatches, **fields: Any) -> None:
        super().__init__(**fields)
        self._made = batches

    def batches(self) -> Iterator[tuple[Any, Any]]:
        """Yield the batches of one epoch."""
        yield from self._made.epoch()

    def other_decoder(self) -> dict[str, int]:
        """Return how many images Pillow has read so far, by reason."""
        return dict(self._made.others)


def make(context: LoaderContext) -> Loader:
    """Make a loader that decodes in threads; ``model.fit`` uses it through ``from_generator``."""
    made = DecodedBatches(context)
    height, width = context.image_size
    spec = (tf.TensorSpec((None, height, width, CHANNELS), context.deliver), tf.TensorSpec((None,), tf.int32))
    dataset = tf.data.Dataset.from_generator(made.epoch, output_signature=spec)
    steps = -(-len(context.paths) // context.batch_size)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(1)
    return DecoderLoader(
        made,
        dataset=dataset,
        images=len(context.paths),
        batch_size=context.batch_size,
        element_spec=spec,
        order=NEW_ORDER if context.shuffle else "by path",
        decoder=f"simplejpeg {simplejpeg.__version__}" + (", fast DCT" if made.options["fastdct"] else ""),
        takes_budgets=False,
        workers=context.worker_count,
        stages=context.stages_of(STAGES),
    )

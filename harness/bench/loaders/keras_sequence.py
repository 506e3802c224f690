"""Loaders of Keras' indexed sequences (``PyDataset``), iterated as ``model.fit`` does, with its workers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .interface import Loader


@dataclass
class SequenceLoader(Loader):
    """A loader whose ``dataset`` is a ``PyDataset``: it is indexed, and notified of each epoch's end."""

    watch: threading.Event | None = None

    def batches(self) -> Iterator[tuple[Any, Any]]:
        """Yield one epoch as ``model.fit`` does: by index, or with more than one worker through Keras' own queue."""
        if self.dataset.workers <= (0 if self.dataset.use_multiprocessing else 1):
            for index in range(self.steps):
                yield self.dataset[index]
            self.dataset.on_epoch_end()
            return
        from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

        adapter = PyDatasetAdapter(self.dataset)
        adapter.on_epoch_begin()
        for number, batch in enumerate(adapter.enqueuer.get(), 1):
            yield batch
            if number == self.steps:
                break
        adapter.on_epoch_end()

    def close(self) -> None:
        """Stop watching the workers and release the data set."""
        if self.watch is not None:
            self.watch.set()
        super().close()

"""Measure loading: iterate a loader's epochs and do nothing with the images."""

from __future__ import annotations

from ..loaders.interface import Loader
from .iterators import hold_iterators
from .meter import Meter


def load(loader: Loader, epochs: int, meter: Meter) -> None:
    """Iterate ``epochs`` epochs and count images as they come; iterators are torn down between the clocks."""
    with hold_iterators() as held:
        for _ in range(epochs):
            meter.begin()
            loader.fill()
            images = 0
            for batch, _labels in loader.batches():
                images += int(batch.shape[0])
                meter.step(images)
            meter.end()
            held.release()

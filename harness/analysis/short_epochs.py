"""Epochs that are too short for a verdict: their figures are shown, but there is no advice. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

LEAST_EPOCH_S = 0.5
"""Epochs shorter than this get no verdict (docs/methodology.md has the reasons)."""

_MARGIN = 1.2
"""Margin of the number of images that is recommended, for faster runs."""


MORE_IMAGES = "`max_images`, or a larger data set"
"""How an epoch gets more images."""


@dataclass(frozen=True, slots=True)
class ShortEpochs:
    """The mean seconds and images of epochs that are too short."""

    seconds: float
    images: float

    @property
    def images_needed(self) -> int:
        """Return how many images an epoch needs to be long enough, rounded up to two digits."""
        wanted = self.images * LEAST_EPOCH_S / self.seconds * _MARGIN
        step = 10.0 ** max(0, math.floor(math.log10(wanted)) - 1)
        return int(math.ceil(wanted / step) * step)


def find_short(seconds: float | None, images: float | None) -> ShortEpochs | None:
    """Return an epoch if it is too short; None for a longer one, or where there is none."""
    if not seconds or not images or seconds >= LEAST_EPOCH_S:
        return None
    return ShortEpochs(seconds, images)


def say_cure(*images_needed: int) -> str:
    """Return ``about 4,200 images in an epoch are enough``; for several cases the range."""
    span = " to ".join(dict.fromkeys(f"{pick(images_needed):,}" for pick in (min, max)))
    return f"about {span} images in an epoch are enough"

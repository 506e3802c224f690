"""Growth of memory over epochs, and when it would reach the limit. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression

from harness.values.record import Epoch

LEAST_EPOCHS = 4
"""Epochs after the first, which fills caches and buffers: fewer do not show whether growth continues."""
STEADY_SHARE = 0.7
"""The later half of the epochs must grow by this share of the earlier half: what fills up slows down."""


@dataclass(frozen=True)
class Growth:
    """The slope of a line through the memory at the ends of ``epochs`` epochs after the first.

    ``last_bytes`` is the memory at the end of the last epoch. ``is_steady``: it grows, and has not slowed down.
    """

    bytes_per_epoch: float
    last_bytes: int
    epochs: int
    is_steady: bool

    def epochs_until(self, limit_bytes: int) -> float | None:
        """Return after how many more epochs a limit would be reached; None where it does not grow steadily."""
        return max(0.0, limit_bytes - self.last_bytes) / self.bytes_per_epoch if self.is_steady else None


def find_growth(epochs: Sequence[Epoch]) -> Growth | None:
    """Return the growth over the epochs after the first; None where the memory of fewer than two is known."""
    known = [(epoch.index, epoch.anon_bytes) for epoch in epochs if epoch.index > 1 and epoch.anon_bytes is not None]
    if len(known) < 2:
        return None
    slope, half = _slope(known), (len(known) + 1) // 2
    early, late = (known[:half], known[-half:])
    is_steady = len(known) >= LEAST_EPOCHS and slope > 0 and _slope(late) >= STEADY_SHARE * _slope(early) > 0
    return Growth(slope, known[-1][1], len(known), is_steady)


def _slope(points: Sequence[tuple[int, int]]) -> float:
    return linear_regression([index for index, _ in points], [size for _, size in points]).slope

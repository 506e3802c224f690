"""Payback: the epoch from which a cache has cost no more time in all than none, never, or not known. Pure.

Three values of three types, so that nobody can take what was not measured for what never happens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PaysFrom:
    """The cache has paid for its filling at the end of this epoch."""

    epoch: int

    def training(self, epochs: int) -> int:
        """Return the training, of so many epochs each, in which a cache that is kept between them has paid."""
        return max(1, math.ceil(self.epoch / epochs))


@dataclass(frozen=True, slots=True)
class NeverPays:
    """The cache never pays: its later epochs take no less time (in seconds) than those without it."""

    cached_epoch_s: float
    uncached_epoch_s: float


@dataclass(frozen=True, slots=True)
class PaybackUnknown:
    """Whether the cache pays was not measured; ``reason`` says what is missing."""

    reason: str


MOST_EPOCHS = 10**6
"""A cache that is still behind after so many epochs never pays."""

Payback = PaysFrom | NeverPays | PaybackUnknown


def find_payback(
    *, fill_s: float, cached_epoch_s: float, uncached_first_s: float, uncached_epoch_s: float
) -> PaysFrom | NeverPays:
    """Return the first epoch after which a training with the cache is no longer behind one without, and stays so.

    Smallest k with fill + (k - 1) · cached ≤ first + (k - 1) · uncached, all in seconds, where the later epochs with
    the cache are the faster ones. With the article's 42, 14, 23 and 23 minutes: the fourth.
    """
    gain_s, behind_s = uncached_epoch_s - cached_epoch_s, fill_s - uncached_first_s
    if gain_s >= 0 and behind_s <= 0:
        return PaysFrom(1)
    if gain_s <= 0 or behind_s / MOST_EPOCHS > gain_s:
        return NeverPays(cached_epoch_s, uncached_epoch_s)
    return PaysFrom(1 + math.ceil(behind_s / gain_s - 1e-9))


def payback_fields(payback: Payback, epochs: int) -> dict[str, int | str | None]:
    """Return what a record keeps of a payback, by epochs and by trainings: a number, ``never``, null if not known."""
    match payback:
        case PaysFrom(epoch):
            return {"payback_epoch": epoch, "payback_training": payback.training(epochs)}
        case NeverPays():
            return {"payback_epoch": "never", "payback_training": "never"}
        case PaybackUnknown():
            return {"payback_epoch": None, "payback_training": None}

"""Payback: the epoch from which a cache pays for itself, never, or not known. Pure.

The three results are three types, so that a result that is not known cannot be confused with never.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PaysFrom:
    """At the end of this epoch the cache has paid for its filling."""

    epoch: int

    def training(self, epochs: int) -> int:
        """Return the number of the training, with so many epochs each, in which a kept cache has paid."""
        return max(1, math.ceil(self.epoch / epochs))


@dataclass(frozen=True, slots=True)
class NeverPays:
    """The cache never pays: later epochs (in seconds) are not shorter than without it."""

    cached_epoch_s: float
    uncached_epoch_s: float


@dataclass(frozen=True, slots=True)
class PaybackUnknown:
    """Whether the cache pays is not known; ``reason`` states what is missing."""

    reason: str


MOST_EPOCHS = 10**6
"""A cache that has not paid after so many epochs never pays."""

Payback = PaysFrom | NeverPays | PaybackUnknown


def find_payback(
    *, fill_s: float, cached_epoch_s: float, uncached_first_s: float, uncached_epoch_s: float
) -> PaysFrom | NeverPays:
    """Return the first epoch after which a training with the cache has taken no longer than one without it.

    It is the smallest k with fill + (k - 1) · cached ≤ first + (k - 1) · uncached, all in seconds, if later epochs are
    faster with the cache. With the article's 42, 14, 23 and 23 minutes it is 4.
    """
    gain_s, behind_s = uncached_epoch_s - cached_epoch_s, fill_s - uncached_first_s
    if gain_s >= 0 and behind_s <= 0:
        return PaysFrom(1)
    if gain_s <= 0 or behind_s / MOST_EPOCHS > gain_s:
        return NeverPays(cached_epoch_s, uncached_epoch_s)
    return PaysFrom(1 + math.ceil(behind_s / gain_s - 1e-9))


def payback_fields(payback: Payback, epochs: int) -> dict[str, int | str | None]:
    """Return the fields of a record for a payback, by epoch and by training: a number, ``never``, or null."""
    match payback:
        case PaysFrom(epoch):
            return {"payback_epoch": epoch, "payback_training": payback.training(epochs)}
        case NeverPays():
            return {"payback_epoch": "never", "payback_training": "never"}
        case PaybackUnknown():
            return {"payback_epoch": None, "payback_training": None}

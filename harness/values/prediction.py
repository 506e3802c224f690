"""The prediction for a case before it runs, which is stored in its record."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Fit = Literal["fits", "may not fit", "does not fit", "unknown"]
"""Whether a case fits its memory limit. ``unknown``: the limit or the need is not known."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(_Frozen):
    """A predicted number: the expected value, and the lowest and highest possible values."""

    low: int
    expected: int
    high: int

    def plus(self, other: Interval) -> Interval:
        """Return the sum of two intervals. Their errors may have the same cause, so their ends are added."""
        return Interval(low=self.low + other.low, expected=self.expected + other.expected, high=self.high + other.high)


class Need(_Frozen):
    """What a case needs on ``images`` images, and whether that fits its limit.

    ``cache_bytes`` and ``disk_bytes`` are 0 without a cache (on disk), and None if not known. ``peak_memory_bytes`` is
    the memory that counts against the limit and cannot be reclaimed; None if not known. ``images_until_oom`` is the
    number of images that a case delivers before it runs out of memory; it is set if and only if ``fit`` is
    ``may not fit`` or ``does not fit``.
    """

    images: int
    cache_bytes: int | None
    disk_bytes: int | None
    peak_memory_bytes: Interval | None
    fit: Fit
    reason: str
    images_until_oom: Interval | None = None


class Prediction(Need):
    """The need of a case, the need of the same case on the whole data set, and times in seconds.

    ``whole_set`` is None if the size of the data set is not known; without ``max_images`` it equals the case's own
    need. ``basis`` is ``rehearsal`` if a trial run on some images was made. These fields are None without one:
    ``rehearsed_images``; ``fill_s`` and ``steady_s`` (the first and a later epoch); ``oom_at_s`` (the second at which
    the first epoch runs out of memory; also None if it does not); ``payback_epoch`` (from which a cache pays for
    itself) and ``payback_training`` (the same in trainings of that many epochs). The last two are also None if there
    was no trial run of the same loader without a cache.
    """

    whole_set: Need | None
    basis: Literal["formula", "rehearsal"] = "formula"
    rehearsed_images: int | None = None
    duration_s: float
    fill_s: float | None = None
    steady_s: float | None = None
    oom_at_s: float | None = None
    payback_epoch: int | Literal["never"] | None = None
    payback_training: int | Literal["never"] | None = None

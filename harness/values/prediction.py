"""What is predicted of a case before it runs: typed, and kept in its record as JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Fit = Literal["fits", "may not fit", "does not fit", "unknown"]
"""Whether a case lives under its limit. ``unknown``: no limit or no need is known."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(_Frozen):
    """A number that is predicted: what is expected, and the least and the most that it may turn out to be."""

    low: int
    expected: int
    high: int

    def plus(self, other: Interval) -> Interval:
        """Return the sum of two intervals whose errors may have the same cause: their ends are added."""
        return Interval(low=self.low + other.low, expected=self.expected + other.expected, high=self.high + other.high)


class Need(_Frozen):
    """What a case needs on ``images`` images, and what comes of it under its limit.

    ``cache_bytes`` and ``disk_bytes`` are 0 where there is no cache, or none on a disk, and None where they are not
    known. ``peak_memory_bytes`` is what counts against the limit and cannot be given back; None where it is not known.
    ``images_until_oom``: how many images a case delivers before the limit ends it; it is there exactly
    where ``fit`` is ``may not fit`` or ``does not fit``.
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

    ``whole_set`` is None where the size of the set is not known; without ``max_images`` it says what the case itself
    says. ``basis`` is ``rehearsal`` where some images of the data were run before; what only that can tell is None
    without one: ``rehearsed_images``, ``fill_s`` and ``steady_s`` (the first and a later epoch), ``oom_at_s`` (the
    second of measuring at which the limit ends the first epoch; None also where it does not), ``payback_epoch`` (from
    which a cache pays for itself) and ``payback_training`` (likewise, in trainings of so many epochs); these two are
    None also where the same loader without a cache was not rehearsed.
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

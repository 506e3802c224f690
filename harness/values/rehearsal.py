"""What a host found when it ran a loader setting in small; it comes from outside, and is parsed into bounded values."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_IMAGES = 400
"""Images of a rehearsal; a set that has no more is run whole."""

_Bytes = Annotated[int, Field(ge=0, le=2**50)]
_Count = Annotated[int, Field(ge=1, le=2**32)]
_Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class MemoryRun(BaseModel):
    """What a program held in one run: before its first batch, and at the most up to each batch since the one before.

    ``points`` are, for each batch of all passes, the images that had come with it, and these bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_bytes: _Bytes
    points: tuple[tuple[_Count, _Bytes], ...] = Field(min_length=1, max_length=100_000)

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        images = [count for count, _ in self.points]
        if any(later <= earlier for earlier, later in pairwise(images)):
            raise ValueError("the points of a rehearsal are not in the order of their images")
        return self


class Rehearsal(BaseModel):
    """One loader setting on the first ``images`` images of a set, run one time or some.

    ``batches_wanted`` is how many batches it was to run for; it may have given up before. ``first_s`` and ``steady_s``
    are seconds an image of the first and of a later pass; ``cache_bytes`` what a cache's files hold, None where there
    are none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: _Count
    batches_wanted: _Count
    first_s: _Seconds
    steady_s: _Seconds
    cache_bytes: _Bytes | None = None
    runs: tuple[MemoryRun, ...] = Field(min_length=1, max_length=10)

"""The result of a trial run of a loader setting on few images. It comes from a host and is parsed with bounds."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_IMAGES = 400
"""Images of a trial run; a data set with fewer images is run whole."""

_Bytes = Annotated[int, Field(ge=0, le=2**50)]
_Count = Annotated[int, Field(ge=1, le=2**32)]
_Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class MemoryRun(BaseModel):
    """The memory of one trial run: before its first batch, and the peak between each batch and the one before.

    ``points`` has, for each batch of all passes, the number of images delivered so far, and that peak in bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_bytes: _Bytes
    points: tuple[tuple[_Count, _Bytes], ...] = Field(min_length=1, max_length=100_000)

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        images = [count for count, _ in self.points]
        if any(later <= earlier for earlier, later in pairwise(images)):
            raise ValueError("the points of a trial run are not ordered by images")
        return self


class Rehearsal(BaseModel):
    """The trial run of one loader setting on the first ``images`` images of a data set, once or several times.

    ``batches_wanted`` is the intended number of batches; it may have ended before. ``first_s`` and ``steady_s`` are
    seconds per image in the first and in a later pass; ``cache_bytes`` is the size of the cache's files, None without.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: _Count
    batches_wanted: _Count
    first_s: _Seconds
    steady_s: _Seconds
    cache_bytes: _Bytes | None = None
    runs: tuple[MemoryRun, ...] = Field(min_length=1, max_length=10)

"""Bounded types for numbers and text from outside; pydantic checks the bounds wherever a value is read.

A bound excludes what cannot have been measured, not what is unlikely. Values within the bounds can safely be added,
divided and written to tables.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from harness.values.text import cut_text

LARGEST = 2**63 - 1
"""The largest number of bytes or counts: cgroups use it for no limit, and tables (Parquet, pandas) hold no more."""

Count = Annotated[int, Field(ge=0, le=LARGEST)]
"""A number of images, bytes, pages or rounds."""

Place = Annotated[int, Field(ge=1, le=10**6)]
"""The number of an epoch, from 1; a training has some hundred."""

Seconds = Annotated[float, Field(ge=0, le=10**9, allow_inf_nan=False)]
"""Seconds, at most thirty years."""


def _check_duration(seconds: float) -> float:
    if 0 < seconds < 1e-6:
        raise ValueError("is too short for a duration")
    return seconds


Duration = Annotated[Seconds, AfterValidator(_check_duration)]
"""Seconds from which a rate is computed. The smallest value is a thousand times a clock's resolution."""

Rate = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
"""A number per second."""

Words = Annotated[str, AfterValidator(lambda text: cut_text(text, 200))]
"""A short text, such as a name, type or kind."""

Message = Annotated[str, AfterValidator(lambda text: cut_text(text, 4000))]
"""A message of another program. TensorFlow's messages name the reason in their first or last lines."""


def parse_moment(text: str | None) -> datetime | None:
    """Parse an ISO 8601 time with a time zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment


def _check_moment(text: str) -> str:
    if len(text) > 40 or parse_moment(text) is None:
        raise ValueError("is not an ISO 8601 time with a time zone")
    return text


Moment = Annotated[str, AfterValidator(_check_moment)]
"""An ISO 8601 time with a time zone, as text."""

"""Figures and words that come from outside: each kind with its bounds, checked wherever one is read.

A bound says what nobody can have measured, not what is likely; but what is within them can be added, divided and
written into a table by whoever reads it later.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from harness.values.text import cut_text

LARGEST = 2**63 - 1
"""Of bytes and counts: cgroups say so for no limit, and tables (Parquet, pandas) hold no more."""

Count = Annotated[int, Field(ge=0, le=LARGEST)]
"""Of images, bytes, pages, rounds."""

Place = Annotated[int, Field(ge=1, le=10**6)]
"""Of an epoch: a training has some hundred."""

Seconds = Annotated[float, Field(ge=0, le=10**9, allow_inf_nan=False)]
"""Thirty years at the most."""


def _check_duration(seconds: float) -> float:
    if 0 < seconds < 1e-6:
        raise ValueError("is too short for anything that takes place")
    return seconds


Duration = Annotated[Seconds, AfterValidator(_check_duration)]
"""Of something whose rate is asked for: a clock's tick is a thousand times shorter than the least."""

Rate = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
"""Of anything in a second."""

Words = Annotated[str, AfterValidator(lambda text: cut_text(text, 200))]
"""A name, a type, a kind."""

Message = Annotated[str, AfterValidator(lambda text: cut_text(text, 4000))]
"""What somebody else's program says: TensorFlow's messages name the reason within their first or last lines."""


def parse_moment(text: str | None) -> datetime | None:
    """Return a moment of ISO 8601 with its zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment


def _check_moment(text: str) -> str:
    if len(text) > 40 or parse_moment(text) is None:
        raise ValueError("is no moment of ISO 8601 with its zone")
    return text


Moment = Annotated[str, AfterValidator(_check_moment)]
"""When something took place."""

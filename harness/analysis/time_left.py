"""How long a host still needs: by what it has measured of the same cases, else by prediction. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median

from harness.values.prediction import Prediction
from harness.values.record import Record

_RAN = frozenset({"ok", "oom", "timeout"})
"""The same end is expected again, after the same time."""


def seconds_left(coming: Iterable[tuple[str, Prediction | None]], records: Sequence[Record]) -> float | None:
    """Return the seconds that invocations, given as (case_id, prediction), take; None where nobody can know.

    A case that has run takes its median; one that has not what was predicted, by the pace at which this host has run
    others; and one without a prediction the mean of what has run.
    """
    medians = _medians(records)
    pace = _pace(records)
    total = 0.0
    for case_id, prediction in coming:
        if case_id in medians:
            total += medians[case_id]
        elif prediction is not None:
            total += prediction.duration_s * pace
        elif medians:
            total += sum(medians.values()) / len(medians)
        else:
            return None
    return total


def seconds_of(record: Record) -> float | None:
    """Return how long an invocation took from start to end; None where it did not run to an end of its own."""
    if record.status not in _RAN or record.started_at is None or record.finished_at is None:
        return None
    try:
        begun, ended = (datetime.fromisoformat(each) for each in (record.started_at, record.finished_at))
        seconds = (ended - begun).total_seconds()
    except (ValueError, TypeError):  # a time stamp of an edited record, or only one of the two with a zone
        return None
    return seconds if seconds > 0 else None


def _medians(records: Iterable[Record]) -> dict[str, float]:
    """Return the median time of each case that has run, by case_id."""
    seen: dict[str, list[float]] = {}
    for record in records:
        if (seconds := seconds_of(record)) is not None:
            seen.setdefault(record.case_id, []).append(seconds)
    return {case_id: median(found) for case_id, found in seen.items()}


def _pace(records: Iterable[Record]) -> float:
    """Return how much longer invocations took than predicted, in the median; 1 where none has run."""
    factors = [
        seconds / record.predictions.duration_s
        for record in records
        if record.predictions is not None and record.predictions.duration_s > 0
        if (seconds := seconds_of(record)) is not None
    ]
    return median(factors) if factors else 1.0

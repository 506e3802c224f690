"""How long a host still needs: by its runs of the same cases, else by prediction. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median

from harness.values.prediction import Prediction
from harness.values.record import Record

_RAN = frozenset({"ok", "oom", "timeout"})
"""Statuses of runs that are expected to take the same time again."""


def seconds_left(coming: Iterable[tuple[str, Prediction | None]], records: Sequence[Record]) -> float | None:
    """Return the seconds of runs, given as (case_id, prediction); None where they cannot be estimated.

    A case that has run takes its median; a new one its prediction times the pace of this host; one without a prediction
    the mean of the others.
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
    """Return how long a run took from start to end; None where it was not finished."""
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
    """Return how much longer runs took than predicted, in the median; 1 where none has run."""
    factors = [
        seconds / record.predictions.duration_s
        for record in records
        if record.predictions is not None and record.predictions.duration_s > 0
        if (seconds := seconds_of(record)) is not None
    ]
    return median(factors) if factors else 1.0

"""Comparison of a run with its prediction. Pure.

A wrong prediction does not affect the measurement: it is a finding that never lowers the validity of a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.values.prediction import Interval, Prediction
from harness.values.record import Record, count
from harness.values.units import format_bytes

UNSEEN_SHARE = 0.03
"""Share of a peak that sampling a few times a second may miss."""
DEATH_SHARE = 0.10
"""Tolerated error of the number of images before an OOM, as a share of it; at least a batch."""
AHEAD_SHARE = 0.5
"""Share of the remaining memory that tf.data may use to prepare batches (``budgets.RAM_SHARE``)."""


@dataclass(frozen=True)
class PredictionCheck:
    """A run, whether it ran out of memory (``has_died``), and its prediction.

    ``peak_bytes`` is None where it is not known. ``died_after`` are the images of the first epoch before the OOM, all
    of them if it came in a later epoch; None without an OOM or where it is not known. ``problems`` are sentences, none
    where the prediction was right.
    """

    predicted: Prediction
    has_died: bool
    peak_bytes: int | None
    died_after: int | None
    problems: tuple[str, ...] = ()


def check_prediction(record: Record) -> PredictionCheck | None:
    """Compare a run with its prediction; None where nothing was predicted, or the run shows nothing about memory."""
    predicted = record.predictions
    if predicted is None or record.status not in ("ok", "oom") or not record.evidence:
        return None
    if record.evidence.get("failure_kind") == "gpu_oom":
        return None  # predictions are about the memory of the host
    check = PredictionCheck(
        predicted, record.status == "oom", record.memory.peak_anon, _images_before_death(record, predicted)
    )
    return PredictionCheck(
        predicted, check.has_died, check.peak_bytes, check.died_after, tuple(_compare(record, check))
    )


def _images_before_death(record: Record, predicted: Prediction) -> int | None:
    if record.status != "oom":
        return None
    if (count(record.evidence, "last_epoch") or 1) > 1:
        return predicted.images
    return count(record.evidence, "last_images") or 0


def _compare(record: Record, check: PredictionCheck) -> Iterator[str]:
    predicted, limit = check.predicted, record.memory.limit_effective or record.memory.limit_asked
    if predicted.fit == "fits" and check.has_died:
        yield f"it was predicted to fit in {format_bytes(limit)}, but ran out of memory"
    if predicted.fit == "does not fit" and not check.has_died:
        yield f"it was predicted not to fit in {format_bytes(limit)}, but did"
    peak = predicted.peak_memory_bytes
    if not check.has_died and peak is not None and check.peak_bytes is not None:
        yield from _compare_peak(peak, check.peak_bytes, limit)
    until = predicted.images_until_oom
    if record.case.cache == "memory" and until is not None and check.died_after is not None:
        allowed = max(record.case.batch_size, round(DEATH_SHARE * check.died_after))
        if not until.low - allowed <= check.died_after <= until.high + allowed:
            span = _say_span(until)
            yield f"it was predicted to run out of memory after {span} images, but did after {check.died_after}"


def _compare_peak(predicted: Interval, measured: int, limit: int | None) -> Iterator[str]:
    ahead = 0 if limit is None else round(AHEAD_SHARE * max(0, limit - predicted.expected))
    if measured < predicted.low * (1 - UNSEEN_SHARE) or measured > predicted.high + ahead:
        low, high = format_bytes(predicted.low), format_bytes(predicted.high)
        yield f"{low} to {high} of memory were predicted, but {format_bytes(measured)} measured"


def _say_span(interval: Interval) -> str:
    return f"{interval.low}" if interval.low == interval.high else f"{interval.low} to {interval.high}"

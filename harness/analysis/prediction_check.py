"""What was predicted of an invocation beside what became of it. Pure.

A wrong prediction makes a measurement no worse: it is a finding of its own, and never lowers an invocation's validity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.values.prediction import Interval, Prediction
from harness.values.record import Record, count
from harness.values.units import format_bytes

UNSEEN_SHARE = 0.03
"""Of a peak, at the most, that looking a few times a second may miss."""
DEATH_SHARE = 0.10
"""How far a death may be off, in images that were taken in; a batch is always allowed."""
AHEAD_SHARE = 0.5
"""Of what a limit leaves, that tf.data may use to keep batches ahead (``budgets.RAM_SHARE``)."""


@dataclass(frozen=True)
class PredictionCheck:
    """One invocation that a memory limit ended (``has_died``) or did not, and what was predicted of it.

    ``peak_bytes`` is None where nobody watched. ``died_after`` are images of its first epoch, all of them where a later
    one was reached; None where it lived or nothing is known of it. ``problems`` are sentences; none: as predicted.
    """

    predicted: Prediction
    has_died: bool
    peak_bytes: int | None
    died_after: int | None
    problems: tuple[str, ...] = ()


def check_prediction(record: Record) -> PredictionCheck | None:
    """Compare an invocation with its prediction; None where nothing was predicted, or it says nothing of memory."""
    predicted = record.predictions
    if predicted is None or record.status not in ("ok", "oom") or not record.evidence:
        return None
    if record.evidence.get("failure_kind") == "gpu_oom":
        return None  # a GPU has memory of its own
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
        yield f"it was predicted to fit in {format_bytes(limit)}, and died of memory"
    if predicted.fit == "does not fit" and not check.has_died:
        yield f"it was predicted not to fit in {format_bytes(limit)}, and lived"
    peak = predicted.peak_memory_bytes
    if not check.has_died and peak is not None and check.peak_bytes is not None:
        yield from _compare_peak(peak, check.peak_bytes, limit)
    until = predicted.images_until_oom
    if record.case.cache == "memory" and until is not None and check.died_after is not None:
        allowed = max(record.case.batch_size, round(DEATH_SHARE * check.died_after))
        if not until.low - allowed <= check.died_after <= until.high + allowed:
            yield f"it was predicted to die after {_say_span(until)} images, and died after {check.died_after}"


def _compare_peak(predicted: Interval, measured: int, limit: int | None) -> Iterator[str]:
    ahead = 0 if limit is None else round(AHEAD_SHARE * max(0, limit - predicted.expected))
    if measured < predicted.low * (1 - UNSEEN_SHARE) or measured > predicted.high + ahead:
        low, high = format_bytes(predicted.low), format_bytes(predicted.high)
        yield f"{low} to {high} of memory were predicted, {format_bytes(measured)} were measured"


def _say_span(interval: Interval) -> str:
    return f"{interval.low}" if interval.low == interval.high else f"{interval.low} to {interval.high}"

"""Findings about predictions that differ from the measurements by more than is tolerated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analysis.findings import Entry, Family, find
from harness.analysis.prediction_check import check_prediction
from harness.values.facts import Facts
from harness.values.record import Finding, Record

ENTRIES = {
    "prediction-off": Entry(
        "info",
        "invocation",
        cause=(
            "the prediction of this run's memory was wrong: it was predicted to fit and ran out of memory, or not to "
            "fit and did; its peak is outside the predicted interval (and above it by more than tf.data may use for "
            "further batches, half of what the limit leaves); or it ran out of memory at a number of images that "
            "differs from the prediction by more than 10 % and a batch. The measurement is not affected."
        ),
        cure=(
            "use the measurement, and leave 10 % of margin near a limit. [methodology.md](methodology.md) explains how "
            "predictions are made; report a case that is often wrong."
        ),
    ),
}


def judge(record: Record, _facts: Facts | None, _peers: Sequence[Record]) -> Iterator[Finding]:
    """Yield a finding about the wrong predictions of a run; its validity does not depend on them."""
    check = check_prediction(record)
    if check is not None and check.problems:
        basis = "by a trial run" if check.predicted.basis == "rehearsal" else "by formula"
        hint = "the measurement counts; leave 10 % of margin near a limit, and report this case"
        yield find("prediction-off", f"{'; '.join(check.problems)} ({basis})", hint)


FAMILY = Family(rank=45, title="Predictions", entries=ENTRIES, judge=judge)

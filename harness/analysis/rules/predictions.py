"""Findings about predictions: where they and what was measured differ by more than they should."""

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
            "what was predicted of this invocation's memory and what became of it differ by more than they should: it "
            "was said to fit and died, or not to fit and lived; its peak lies outside the predicted interval (above it "
            "by more than tf.data may keep ahead, half of what the limit leaves); or its cache in memory died over "
            "a tenth, and a batch, away from the predicted number of images. What was measured is not worse for it."
        ),
        cure=(
            "believe what was measured, and leave a tenth of room near a limit. How predictions are made stands in "
            "[methodology.md](methodology.md); a case that is off again and again is worth an issue."
        ),
    ),
}


def judge(record: Record, _facts: Facts | None, _peers: Sequence[Record]) -> Iterator[Finding]:
    """Yield what was predicted wrongly of one invocation; its validity does not depend on that."""
    check = check_prediction(record)
    if check is not None and check.problems:
        basis = "rehearsed" if check.predicted.basis == "rehearsal" else "by formula"
        hint = "what was measured counts; near a limit leave a tenth of room, and tell the authors of this case"
        yield find("prediction-off", f"{'; '.join(check.problems)} ({basis})", hint)


FAMILY = Family(rank=45, title="Predictions", entries=ENTRIES, judge=judge)

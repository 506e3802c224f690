"""Findings about memory that grows from epoch to epoch."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analysis.findings import Entry, Family, find, join_rules
from harness.analysis.growth import LEAST_EPOCHS, STEADY_SHARE, find_growth
from harness.values.record import Finding, Record
from harness.values.text import plural
from harness.values.units import format_bytes

MOST_EPOCHS = 100
"""Growth that would reach the limit after more epochs than a training usually has does not matter."""

ENTRIES = {
    "memory-grows": Entry(
        "info",
        "invocation",
        "memory grows",
        cause=(
            "the anonymous memory at the end of each epoch (`epochs[].anon_bytes`) grows steadily after the first "
            f"epoch and would reach the limit within {MOST_EPOCHS} epochs, by a line through at least {LEAST_EPOCHS} "
            f"epochs whose later half grew by at least {STEADY_SHARE} of the growth of the earlier half."
        ),
        cure=(
            "measure with more `epochs` to see whether it continues. A loader of your own may keep what it has "
            "delivered; for loaders of TensorFlow, `MALLOC_ARENA_MAX=2` in the environment limits what glibc keeps."
        ),
    ),
}


def _find_growth(record: Record) -> Iterator[Finding]:
    growth, limit = find_growth(record.epochs), record.memory.limit_effective
    left = growth.epochs_until(limit) if growth is not None and limit is not None else None
    if growth is None or limit is None or left is None or left > MOST_EPOCHS:
        return
    each, last = format_bytes(round(growth.bytes_per_epoch)), format_bytes(growth.last_bytes)
    message = (
        f"memory grows by {each} per epoch (over {growth.epochs} epochs, to {last}): at this rate the limit of "
        f"{format_bytes(limit)} is reached after {plural(round(left), 'more epoch')}"
    )
    yield find("memory-grows", message, "measure more epochs to see whether it continues; check what the loader keeps")


FAMILY = Family(rank=15, title="Growth", entries=ENTRIES, judge=join_rules(_find_growth))

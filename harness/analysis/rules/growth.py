"""Findings about memory that grows from epoch to epoch."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analysis.findings import Entry, Family, find, join_rules
from harness.analysis.growth import LEAST_EPOCHS, STEADY_SHARE, find_growth
from harness.values.record import Finding, Record
from harness.values.text import plural
from harness.values.units import format_bytes

MOST_EPOCHS = 100
"""What a training has at most, as a rule: growth that would reach the limit later hardly matters."""

ENTRIES = {
    "memory-grows": Entry(
        "info",
        "invocation",
        "memory grows",
        cause=(
            "the anonymous memory at the end of each epoch (`epochs[].anon_bytes`) grows steadily behind the first, "
            f"and would reach the limit within {MOST_EPOCHS} epochs: the slope of a line through at least "
            f"{LEAST_EPOCHS} of them, whose later half grew by no less than {STEADY_SHARE} of what the earlier did."
        ),
        cure=(
            "measure with more `epochs` to see whether it goes on; a loader of your own may keep what it has "
            "delivered; with TensorFlow's own, `MALLOC_ARENA_MAX=2` in the environment keeps glibc from hoarding."
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
        f"memory grows by {each} an epoch (over {growth.epochs} epochs, to {last}): at this pace the limit of "
        f"{format_bytes(limit)} is reached after {plural(round(left), 'epoch')} more"
    )
    yield find("memory-grows", message, "measure more epochs to see whether it goes on; look for what the loader keeps")


FAMILY = Family(rank=15, title="Growth", entries=ENTRIES, judge=join_rules(_find_growth))

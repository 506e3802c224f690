"""Findings about caches and the budgets of tf.data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.analysis.findings import Entry, Family, find, join_rules
from harness.values.record import Finding, Record
from harness.values.units import format_bytes

_CACHE_TOLERANCE = 0.01

ENTRIES = {
    "cache-size-off": Entry(
        "warning",
        "invocation",
        "wrong cache size",
        cause=(
            "the size of the cache file differs by more than 1 % from "
            "`images × (height × width × 3 × bytes per value + label + index)`."
        ),
        cure="see the log: the cache may not contain all images.",
    ),
    "budget-beyond-limit": Entry(
        "info",
        "invocation",
        cause=(
            "with `budgets: default` tf.data chose half of the *host's* free memory as its budget, which is more than "
            "the limit of the container."
        ),
        cure="nothing: this case shows that behaviour; `budgets: container` sets the budget from the limit.",
    ),
}


def _find_cache(record: Record) -> Iterator[Finding]:
    cache = record.cache
    if record.status != "ok" or cache is None or cache.bytes is None or not cache.predicted_bytes:
        return
    if record.case.element == "encoded":
        return  # the size is that of the files, and those of a part of a set may be larger than the mean
    if abs(cache.bytes / cache.predicted_bytes - 1) > _CACHE_TOLERANCE:
        message = f"the cache has {format_bytes(cache.bytes)}, but {format_bytes(cache.predicted_bytes)} by the formula"
        yield find("cache-size-off", message, "the cache may not contain all images: see the log")


def _find_budget(record: Record) -> Iterator[Finding]:
    budgets = record.environment.get("budgets")
    limit = record.memory.limit_effective
    if record.case.budgets != "default" or not isinstance(budgets, Mapping) or limit is None:
        return
    assumed = budgets.get("assumed_ram_bytes")
    if isinstance(assumed, int) and assumed > limit:
        message = f"tf.data chose a budget of {format_bytes(assumed)} in a container of {format_bytes(limit)}"
        yield find("budget-beyond-limit", message, "`budgets: container` sets the budget from the limit")


FAMILY = Family(rank=40, title="Caches and budgets", entries=ENTRIES, judge=join_rules(_find_cache, _find_budget))

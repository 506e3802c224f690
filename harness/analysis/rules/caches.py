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
        "cache of another size",
        cause="the cache file is not `images × (height × width × 3 × bytes per value + label + index)` within 1 %.",
        cure="see the log: it may not hold what it should.",
    ),
    "budget-beyond-limit": Entry(
        "info",
        "invocation",
        cause=(
            "with `budgets: default` tf.data gave itself half of the *host's* free memory as a budget, more than "
            "the container may use."
        ),
        cure="that is what this case shows; `budgets: container` tells tf.data the truth.",
    ),
}


def _find_cache(record: Record) -> Iterator[Finding]:
    cache = record.cache
    if record.status != "ok" or cache is None or cache.bytes is None or not cache.predicted_bytes:
        return
    if record.case.element == "encoded":
        return  # files as they are: those of a part of a set may be larger than their mean
    if abs(cache.bytes / cache.predicted_bytes - 1) > _CACHE_TOLERANCE:
        message = f"the cache holds {format_bytes(cache.bytes)}, the formula says {format_bytes(cache.predicted_bytes)}"
        yield find("cache-size-off", message, "the cache may not hold what it should: see the log")


def _find_budget(record: Record) -> Iterator[Finding]:
    budgets = record.environment.get("budgets")
    limit = record.memory.limit_effective
    if record.case.budgets != "default" or not isinstance(budgets, Mapping) or limit is None:
        return
    assumed = budgets.get("assumed_ram_bytes")
    if isinstance(assumed, int) and assumed > limit:
        message = f"tf.data gave itself {format_bytes(assumed)} of memory in a container of {format_bytes(limit)}"
        yield find("budget-beyond-limit", message, "`budgets: container` tells it the truth")


FAMILY = Family(rank=40, title="Caches and budgets", entries=ENTRIES, judge=join_rules(_find_cache, _find_budget))

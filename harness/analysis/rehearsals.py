"""Predictions from a rehearsal: some hundred images of the real data on the real host, run before the first case. Pure.

What a rehearsal cannot tell (another loader's speed, what a limit does to speed) stays as the formulas have it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from harness.analysis.payback import Payback, PaybackUnknown, find_payback, payback_fields
from harness.analysis.predictions import images_of
from harness.values.case import Case, digest_of
from harness.values.units import format_bytes

SETTING = (
    "data", "loader", "mode", "model", "image_size", "batch_size", "interpolation", "element", "precision", "cpus",
    "gpus", "augment", "decoding",
)  # fmt: skip
"""What must be equal for one rehearsal to speak for two cases."""

BESIDE_BYTES = 12 * 10**6
"""What else a limit holds: the supervisor, and the kernel's own memory of the job."""


def setting_key(case: Case) -> str:
    """Twelve hex digits, equal for cases that one rehearsal speaks for."""
    setting = case.model_dump(mode="json")
    return digest_of({name: setting.get(name) for name in SETTING})[:12]


def representative(case: Case) -> Case:
    """The case that is rehearsed for a setting."""
    changes = {"cache": "none", "cache_reuse": "fresh", "memory_limit": "none", "page_cache": "cold-start"}
    return case.model_copy(update={**changes, "max_images": None, "epochs": 2, "cache_disk": "scratch"})


def predict_from(
    case: Case, images: int, *, limit: int | None, rehearsal: Mapping[str, Any], by_formula: Mapping[str, Any]
) -> dict[str, Any]:
    """The predictions of a case: those of ``by_formula`` with what a rehearsal knows better.

    Adds ``basis``, ``fill_s`` and ``steady_s`` (seconds of the first and of a later epoch), ``oom_at_s`` (seconds
    of measuring until the limit ends it), ``disk_bytes`` and ``payback_fields``.
    """
    count = images_of(case, images)
    found: dict[str, Any] = {**by_formula, "basis": "rehearsal", "rehearsed_images": rehearsal.get("images")}
    times = _times(case, count, rehearsal)
    found.update(times)
    if case.cache == "file":
        found["disk_bytes"] = by_formula.get("cache_bytes")
        found.update(payback_fields(_payback(case, count, rehearsal), case.epochs))
    base, each = rehearsal.get("base_bytes"), rehearsal.get("image_bytes")
    if case.cache == "memory" and base and each:
        found.update(_memory(count, limit, base=float(base), each=float(each), fill_s=times.get("fill_s")))
    return found


def _memory(count: int, limit: int | None, *, base: float, each: float, fill_s: float | None) -> dict[str, Any]:
    peak = round(base + each * count + BESIDE_BYTES)
    fits = limit is None or peak <= limit
    alive = None if fits or limit is None else max(0, min(count, math.floor((limit - base - BESIDE_BYTES) / each)))
    need = f"about {format_bytes(peak)} of memory, {format_bytes(round(each * count))} of it the cache (rehearsed)"
    return {
        "peak_memory_bytes": peak,
        "fits": fits,
        "reason": f"needs {need}" if fits else f"would need {need}, more than its limit of {format_bytes(limit)}",
        "images_until_oom": alive,
        "oom_at_s": None if alive is None or fill_s is None else round(fill_s * alive / count, 1),
    }


def _times(case: Case, count: int, rehearsal: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds of the first and of a later epoch; None for a cache that was not rehearsed."""
    first, steady = rehearsal.get(f"{case.cache}_first_s"), rehearsal.get(f"{case.cache}_steady_s")
    if first is None or steady is None:
        return {"fill_s": None, "steady_s": None}
    is_reused = case.cache_reuse == "reused"
    return {"fill_s": round(count * (steady if is_reused else first), 2), "steady_s": round(count * steady, 2)}


def _payback(case: Case, count: int, rehearsal: Mapping[str, Any]) -> Payback:
    none, fill = rehearsal.get("none_steady_s"), rehearsal.get("file_first_s")
    steady = rehearsal.get("file_steady_s")
    if none is None or fill is None or steady is None:
        return PaybackUnknown("a cache file was not rehearsed")
    none_s = none * count
    return find_payback(
        fill_s=fill * count, cached_epoch_s=steady * count, uncached_first_s=none_s, uncached_epoch_s=none_s
    )

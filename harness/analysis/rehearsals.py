"""Predictions from a rehearsal: some hundred images of the real data on the real host, run before the first case. Pure.

What a rehearsal cannot tell (another loader's speed, what a limit does to speed) stays as the formulas have it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from harness.analysis.payback import Payback, PaybackUnknown, find_payback, payback_fields
from harness.analysis.predictions import explain_fit, images_of, judge_fit, lift_subset
from harness.values.case import Case, digest_of
from harness.values.prediction import Interval, Need, Prediction

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
    case: Case, images: int, *, limit: int | None, rehearsal: Mapping[str, Any], by_formula: Prediction
) -> Prediction:
    """The predictions of a case on a set of ``images``: those of ``by_formula`` with what a rehearsal knows better."""
    first, steady = _seconds_an_image(case, rehearsal)
    need = _need(case, images, limit, rehearsal, by_formula)
    whole = by_formula.whole_set and _need(lift_subset(case), images, limit, rehearsal, by_formula.whole_set)
    alive = need.images_until_oom
    payback = _payback(case, need.images, rehearsal)
    return by_formula.model_copy(
        update={
            **dict(need),
            "whole_set": whole,
            "basis": "rehearsal",
            "rehearsed_images": rehearsal.get("images"),
            "fill_s": None if first is None else round(need.images * first, 2),
            "steady_s": None if steady is None else round(need.images * steady, 2),
            "oom_at_s": None if alive is None or first is None else round(first * alive.expected, 1),
            **payback_fields(payback, case.epochs),
        }
    )


def _need(case: Case, images: int, limit: int | None, rehearsal: Mapping[str, Any], by_formula: Need) -> Need:
    base, each = rehearsal.get("base_bytes"), rehearsal.get("image_bytes")
    if case.cache != "memory" or not base or not each:
        return Need(**{name: getattr(by_formula, name) for name in Need.model_fields})
    count = images_of(case, images)
    expected = round(base + each * count + BESIDE_BYTES)
    peak = Interval(low=expected, expected=expected, high=expected)
    fit = judge_fit(peak, limit)
    alive = None
    if limit is not None and fit not in ("fits", "unknown"):
        until = max(0, min(count, math.floor((limit - base - BESIDE_BYTES) / each)))
        alive = Interval(low=until, expected=until, high=until)
    return Need(
        images=count,
        cache_bytes=by_formula.cache_bytes,
        disk_bytes=by_formula.disk_bytes,
        peak_memory_bytes=peak,
        fit=fit,
        reason=explain_fit(fit, peak, round(each * count), limit),
        images_until_oom=alive,
    )


def _seconds_an_image(case: Case, rehearsal: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Seconds an image of the first and of a later epoch; None for a cache that was not rehearsed."""
    first, steady = rehearsal.get(f"{case.cache}_first_s"), rehearsal.get(f"{case.cache}_steady_s")
    if first is None or steady is None:
        return None, None
    return (steady if case.cache_reuse == "reused" else first), steady


def _payback(case: Case, count: int, rehearsal: Mapping[str, Any]) -> Payback:
    if case.cache != "file":
        return PaybackUnknown("only a cache file is rehearsed")
    none, fill = rehearsal.get("none_steady_s"), rehearsal.get("file_first_s")
    steady = rehearsal.get("file_steady_s")
    if none is None or fill is None or steady is None:
        return PaybackUnknown("a cache file was not rehearsed")
    none_s = none * count
    return find_payback(
        fill_s=fill * count, cached_epoch_s=steady * count, uncached_first_s=none_s, uncached_epoch_s=none_s
    )

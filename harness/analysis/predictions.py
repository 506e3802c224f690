"""Predictions of what a case needs: cache, memory, disk and time, for the case and for its whole data set. Pure.

`plan`, `run` and all other commands use these. The bytes of a cache are computed and right to a fraction of a per cent.
Memory is an interval: by a trial run on the host where that was possible, else by formula, which is wider.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.analysis import arenas
from harness.analysis.durations import duration_s
from harness.analysis.memory import MemoryModel, model_as_rehearsed, model_by_formula
from harness.analysis.payback import Payback, PaybackUnknown, find_payback, payback_fields
from harness.analysis.rehearsals import setting_key
from harness.analysis.set_size import buffer_bytes, case_cache_bytes, images_of, lift_subset
from harness.bench.protocol.loader_registry import CACHES
from harness.values.case import Case
from harness.values.comparability import without_cache
from harness.values.prediction import Fit, Interval, Need, Prediction
from harness.values.record import SetSize
from harness.values.rehearsal import Rehearsal
from harness.values.units import format_bytes


def predict(
    case: Case,
    size: SetSize | None,
    *,
    cpus: int = 4,
    limit: int | None = None,
    has_gpu: bool = False,
    rehearsals: Mapping[str, Rehearsal] | None = None,
) -> Prediction | None:
    """Predict the needs of a case, which its record keeps as ``predictions``; None where nothing is known.

    ``size`` is the size of the data set, None where it is not known: a case with ``max_images`` is then assumed to
    have as many. ``limit`` is the limit that will be enforced, in bytes; ``rehearsals`` are by ``setting_key``.
    """
    if size is None and case.max_images is None:
        return None
    known = SetSize(images=case.max_images or 0) if size is None else size
    found = rehearsals or {}
    rehearsal = found.get(setting_key(case))
    need = predict_need(case, known, limit=limit, cpus=cpus, rehearsal=rehearsal)
    whole = None
    if size is not None:
        whole = predict_need(lift_subset(case), size, limit=limit, cpus=cpus, rehearsal=rehearsal)
    until = need.images_until_oom
    dies_after = until.expected if until is not None and until.expected < need.images else None
    seconds = duration_s(case, known, cpus=cpus, has_gpu=has_gpu, dies_after=dies_after, rehearsal=rehearsal)
    prediction = Prediction(**dict(need), whole_set=whole, duration_s=round(seconds, 1))
    if rehearsal is None:
        return prediction
    first_s = rehearsal.steady_s if case.cache_reuse == "reused" else rehearsal.first_s
    return prediction.model_copy(
        update={
            "basis": "rehearsal",
            "rehearsed_images": rehearsal.images,
            "fill_s": round(need.images * first_s, 2),
            "steady_s": round(need.images * rehearsal.steady_s, 2),
            "oom_at_s": None if dies_after is None else round(dies_after * first_s, 1),
            **payback_fields(_find_payback(case, need.images, found), case.epochs),
        }
    )


def predict_need(
    case: Case, size: SetSize, *, limit: int | None, cpus: int = 4, rehearsal: Rehearsal | None = None
) -> Need:
    """Predict what a case needs on a set, from its trial run where there was one."""
    count = images_of(case, size.images)
    cache = case_cache_bytes(case, size)
    if cache is None and rehearsal is not None and rehearsal.cache_bytes is not None:
        cache = round(rehearsal.cache_bytes * count / rehearsal.images)
    model = model_memory(case, size, cpus=cpus, rehearsal=rehearsal)
    peak = None if model is None else model.peak(count, case.epochs)
    fit = judge_fit(peak, limit)
    until = None
    if model is not None and limit is not None and fit in ("may not fit", "does not fit"):
        until = model.images_until(limit, count)
    in_memory = cache if case.cache == "memory" else 0
    return Need(
        images=count,
        cache_bytes=cache,
        disk_bytes=cache if CACHES[case.cache].is_on_disk else 0,
        peak_memory_bytes=peak,
        fit=fit,
        reason=explain_fit(fit, peak, in_memory, limit, is_rehearsed=rehearsal is not None),
        images_until_oom=until,
    )


def judge_fit(peak: Interval | None, limit_bytes: int | None) -> Fit:
    """Compare a predicted peak with the limit that will be enforced."""
    if peak is None or limit_bytes is None:
        return "unknown"
    if peak.high <= limit_bytes:
        return "fits"
    return "does not fit" if peak.low > limit_bytes else "may not fit"


def explain_fit(
    fit: Fit, peak: Interval | None, cache: int | None, limit_bytes: int | None, *, is_rehearsed: bool
) -> str:
    """Return in numbers what a case needs and whether it fits its limit; ``cache`` is its cache in memory, in bytes."""
    if peak is None:
        return "how much memory it needs is not known"
    need = f"about {format_bytes(peak.expected)} of memory"
    need += f", {format_bytes(cache)} of it the cache" if cache else ""
    if limit_bytes is None:
        return f"needs {need}"
    limit = f"limit of {format_bytes(limit_bytes)}"
    by = "" if is_rehearsed else " by formula, without a trial run"
    span = f"{format_bytes(peak.low)} to {format_bytes(peak.high)}"
    return {
        "fits": f"needs {need}, less than its {limit}",
        "may not fit": f"may not fit: needs {need} ({span}{by}), and its {limit} is within that",
        "does not fit": f"would need {need}, more than its {limit}",
    }.get(fit, f"needs {need}")


def model_memory(case: Case, size: SetSize, *, cpus: int, rehearsal: Rehearsal | None = None) -> MemoryModel | None:
    """Build the model of a case's memory, by formula without a trial run; None where its cache is not known."""
    cached = case_cache_bytes(case, size) if case.cache == "memory" else 0
    if cached is None:
        return None
    image_bytes = cached / max(1, images_of(case, size.images))
    used = max(1, min(cpus, case.cpus or cpus))
    if rehearsal is None:
        model = model_by_formula(case, image_bytes, used)
    else:
        model = model_as_rehearsed(case, image_bytes, rehearsal, used)
    return model if case.shuffle_buffer == "auto" else model.with_more(*_buffered(case, size, used, rehearsal))


def _buffered(case: Case, size: SetSize, cpus: int, rehearsal: Rehearsal | None) -> tuple[float, float, float]:
    """Return the least, expected and most bytes of a case's shuffle buffer, minus those of its trial run.

    The memory of a freed buffer stays in its arena, and the thread of the next epoch may use another arena: peaks of
    2.5 to 5.1 times the buffer were measured behind a cache on disk, and of 2.1 to 2.6 without one, on two CPUs.
    """
    file_bytes = (size.bytes or 0) / max(1, size.images)
    held = buffer_bytes(case, images_of(case, size.images), file_bytes)
    had = 0.0 if rehearsal is None else buffer_bytes(case, rehearsal.images, file_bytes)
    most = min(case.epochs, arenas.PER_CPU * cpus)
    expected, high = (2, 3) if case.cache == "none" else (3, 6)
    return held - had, min(expected, most) * held - had, min(high, most + 1) * held - had


def _find_payback(case: Case, images: int, rehearsals: Mapping[str, Rehearsal]) -> Payback:
    """Find when a cache pays for itself, by the trial runs with it and without a cache."""
    if case.cache == "none":
        return PaybackUnknown("there is no cache")
    cached, uncached = rehearsals.get(setting_key(case)), rehearsals.get(setting_key(without_cache(case)))
    if cached is None or uncached is None:
        return PaybackUnknown("the same loader without a cache had no trial run")
    return find_payback(
        fill_s=cached.first_s * images,
        cached_epoch_s=cached.steady_s * images,
        uncached_first_s=uncached.steady_s * images,
        uncached_epoch_s=uncached.steady_s * images,
    )

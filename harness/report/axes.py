"""The results of an axis in words: how many workers are enough, and which shuffle buffer to use."""

from __future__ import annotations

from collections.abc import Iterable

from harness.analysis.knees import Ladder, find_ladders
from harness.analysis.matrix import Setting
from harness.analysis.shuffle_buffers import Buffer, Buffers, find_buffers
from harness.report.labels import say_ends
from harness.report.words import format_number, format_seconds
from harness.values.names import name_buffer, name_limit, name_pipeline
from harness.values.text import NOTHING, plural
from harness.values.units import format_bytes


def say_knees(setting: Setting) -> Iterable[str]:
    """Yield a sentence for each pipeline that was measured with several numbers of workers."""
    has_limits = len(setting.limits) > 1
    for ladder in find_ladders(setting):
        where = f" with {name_limit(ladder.knee.case.memory_limit)}" if has_limits else ""
        yield f"{name_pipeline(ladder.case)}{where}: {_say_knee(ladder)} ({_say_rates(ladder, setting)})."


def _say_knee(ladder: Ladder) -> str:
    workers = ladder.knee.case.workers or 0
    gain = "gains" if workers == 1 else "gain"
    doubt = "" if ladder.is_settled else " on average, but this is not settled"
    match ladder.kind:
        case "knee":
            return f"more than {plural(workers, 'worker')} {gain} nothing{doubt}"
        case "none":
            return f"{plural(workers, 'worker')}, the most that were measured, are the fastest{doubt}"
        case "short":
            return "its epochs are too short to show how many workers are enough"


def _say_rates(ladder: Ladder, setting: Setting) -> str:
    """Return ``images/s by workers: 0: 390, 1: 402, 2: 780``."""
    rates = [(row.case.workers, row.summary.rate(setting.metric)) for row in ladder.rows]
    said = ", ".join(f"{workers}: {format_number(rate.value if rate else None)}" for workers, rate in rates)
    return f"images/s by workers: {said}"


def say_buffers(setting: Setting) -> Iterable[str]:
    """Yield two sentences for each pipeline with several shuffle buffers: which one to use, and their figures."""
    has_limits = len(setting.limits) > 1
    for buffers in find_buffers(setting):
        where = f" with {name_limit(buffers.case.memory_limit)}" if has_limits else ""
        name = f"{name_pipeline(buffers.case)}{where}"
        yield f"Shuffling of {name}: {_say_best(buffers)}."
        sizes = "; ".join(_say_size(size, setting) for size in buffers.sizes)
        yield (
            f"Shuffle buffers of {name} (mean distance that an image moves, as a share of the set; share of neighbours "
            f"that stay together; peak memory; wait for the first batch of an epoch; images/s): {sizes}."
        )


def _say_best(buffers: Buffers) -> str:
    if buffers.best is None:
        return "which buffer to use is not known: too few of them have a result, or their epochs are too short"
    size = buffers.best.row.case.shuffle_buffer
    name = "the loader's own order" if size == "auto" else f"a {name_buffer(size)}"
    speed = "but another one is certainly faster" if buffers.is_slower else "and no other one is certainly faster"
    return f"use {name}: no other one mixes more than 10 % better, {speed}"


def _say_size(size: Buffer, setting: Setting) -> str:
    """Return ``1,000: 20.2 %, 0.1 %, 748 MB, 1.53 s, 721``."""
    asked, summary = size.row.case.shuffle_buffer, size.row.summary
    name = f"{asked:,}" if isinstance(asked, int) else asked
    if not size.has_result:
        return f"{name}: {say_ends(summary.records)}"
    rate = summary.rate(setting.metric)
    said = (
        *(NOTHING if share is None else f"{100 * share:.1f} %" for share in (size.displacement, size.neighbours_kept)),
        format_bytes(summary.peak_anon_bytes),
        format_seconds(size.first_batch_s),
        format_number(rate.value if rate else None),
    )
    return f"{name}: {', '.join(said)}"

"""What an axis of an experiment comes to, in words: how many workers are enough, which shuffle buffer to take."""

from __future__ import annotations

from collections.abc import Iterable

from harness.analysis.knees import Ladder, find_ladders
from harness.analysis.matrix import Setting
from harness.analysis.shuffle_buffers import Buffer, Buffers, find_buffers
from harness.report.labels import say_ends
from harness.report.words import format_number, format_seconds
from harness.values.names import name_buffer, name_limit, name_pipeline
from harness.values.text import plural
from harness.values.units import format_bytes


def say_knees(setting: Setting) -> Iterable[str]:
    """A sentence for each pipeline that was measured with several numbers of workers."""
    has_limits = len(setting.limits) > 1
    for ladder in find_ladders(setting):
        where = f" with {name_limit(ladder.knee.case.memory_limit)}" if has_limits else ""
        yield f"{name_pipeline(ladder.case)}{where}: {_say_knee(ladder)} ({_say_rates(ladder, setting)})."


def _say_knee(ladder: Ladder) -> str:
    workers = ladder.knee.case.workers or 0
    gain = "gains" if workers == 1 else "gain"
    doubt = "" if ladder.is_settled else " by the means, which is not settled"
    match ladder.kind:
        case "knee":
            return f"more than {plural(workers, 'worker')} {gain} nothing{doubt}"
        case "none":
            return f"the most workers that were measured, {workers}, are the fastest{doubt}"
        case "short":
            return "its epochs are too short to say how many workers are enough"


def _say_rates(ladder: Ladder, setting: Setting) -> str:
    """``images/s by workers: 0: 390, 1: 402, 2: 780``."""
    rates = [(row.case.workers, row.summary.rate(setting.metric)) for row in ladder.rows]
    said = ", ".join(f"{workers}: {format_number(rate.value if rate else None)}" for workers, rate in rates)
    return f"images/s by workers: {said}"


def say_buffers(setting: Setting) -> Iterable[str]:
    """A sentence for each pipeline that was measured with several shuffle buffers."""
    has_limits = len(setting.limits) > 1
    for buffers in find_buffers(setting):
        where = f" with {name_limit(buffers.case.memory_limit)}" if has_limits else ""
        sizes = "; ".join(_say_size(size, setting) for size in buffers.sizes)
        yield f"Shuffling of {name_pipeline(buffers.case)}{where}: {_say_best(buffers)}. {sizes}."


def _say_best(buffers: Buffers) -> str:
    if buffers.best is None:
        return "which buffer to take is not known, for too few of them have a result, or their epochs are too short"
    size = buffers.best.row.case.shuffle_buffer
    name = "the loader's own order" if size == "auto" else f"a {name_buffer(size)}"
    speed = "but others are surely faster" if buffers.is_slower else "and none is surely faster"
    return f"take {name}: none mixes better by more than a tenth, {speed}"


def _say_size(size: Buffer, setting: Setting) -> str:
    """``1,000: moves an image by 4.1 % of the set, keeps 0.1 % of neighbours, 540 MB at the peak, …``."""
    asked, summary = size.row.case.shuffle_buffer, size.row.summary
    name = f"{asked:,}" if isinstance(asked, int) else asked
    if not size.has_result:
        return f"{name}: {say_ends(summary.records)}"
    said = []
    if size.displacement is not None and size.neighbours_kept is not None:
        said += [f"moves an image by {100 * size.displacement:.1f} % of the set in the mean"]
        said += [f"keeps {100 * size.neighbours_kept:.1f} % of neighbours"]
    said += [f"{format_bytes(summary.peak_anon_bytes)} at the peak"] if summary.peak_anon_bytes is not None else []
    if size.first_batch_s is not None:
        said += [f"the first batch of an epoch after {format_seconds(size.first_batch_s)}"]
    rate = summary.rate(setting.metric)
    return f"{name}: {', '.join(said)}, {format_number(rate.value if rate else None)} images/s"

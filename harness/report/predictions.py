"""Predicted and measured side by side: memory, when a case runs out of it, bytes of its cache."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.analysis.matrix import HardwareGroup, Row
from harness.analysis.prediction_check import PredictionCheck, check_prediction
from harness.report.view import Mark, PredictionRow, PredictionTable
from harness.report.words import shorten_hardware
from harness.values.names import CaseNames, name_limit
from harness.values.prediction import Interval
from harness.values.text import NOTHING, cap_list, clean_text, plural
from harness.values.units import format_bytes

MOST_ROWS = 200
_GOOD = Mark("✓", "as predicted", "good")


def view_predictions(groups: Sequence[HardwareGroup], names: CaseNames) -> PredictionTable | None:
    """Build the table, wrong predictions first; None where nothing was predicted."""
    found = []
    for group in groups:
        where = shorten_hardware(group.hardware) if len(groups) > 1 else ""
        for setting in group.settings:
            for row in (*setting.rows, *setting.trials):
                checks = [c for record in row.summary.records if (c := check_prediction(record)) is not None]
                if checks:
                    found.append(_view_row(row, checks, where, names))
    if not found:
        return None
    found.sort(key=lambda row: row.judged == _GOOD)
    return PredictionTable(tuple(found[:MOST_ROWS]), max(0, len(found) - MOST_ROWS))


def _view_row(row: Row, checks: Sequence[PredictionCheck], where: str, names: CaseNames) -> PredictionRow:
    summary, case = row.summary, row.case
    died = sum(check.has_died for check in checks)
    lived = [check.peak_bytes for check in checks if check.peak_bytes is not None and not check.has_died]
    until = [check.predicted.images_until_oom for check in checks if check.predicted.images_until_oom is not None]
    is_cached = case.cache == "memory"
    predicted = [check.predicted.cache_bytes for check in checks]
    return PredictionRow(
        case=names.name(case, summary.alias),
        where=where,
        limit=name_limit(case.memory_limit),
        said=cap_list(sorted({check.predicted.fit for check in checks})),
        ended=_say_end(died, len(checks)),
        memory=cap_list(sorted({_say_bytes(check.predicted.peak_memory_bytes) for check in checks}), 3),
        peak=_span([format_bytes(min(lived)), format_bytes(max(lived))]) if lived else NOTHING,
        dies_after=_say_images(until) if is_cached and until else NOTHING,
        died_after=_say_died([check.died_after for check in checks]) if is_cached else NOTHING,
        cache=format_bytes(predicted[0]) if predicted[0] else NOTHING,
        held=format_bytes(summary.cache_bytes) if summary.cache_bytes else NOTHING,
        judged=_judge(checks),
    )


def _say_end(died: int, count: int) -> str:
    if died in (0, count):
        return "out of memory" if died else "finished"
    return f"out of memory in {died} of {plural(count, 'run')}"


def _say_bytes(interval: Interval | None) -> str:
    return NOTHING if interval is None else _span([format_bytes(interval.low), format_bytes(interval.high)])


def _say_images(intervals: Sequence[Interval]) -> str:
    return _span([f"{min(one.low for one in intervals):,}", f"{max(one.high for one in intervals):,}"]) + " images"


def _say_died(images: Iterable[int | None]) -> str:
    known = [count for count in images if count is not None]
    return _span([f"{min(known):,}", f"{max(known):,}"]) + " images" if known else NOTHING


def _span(ends: Sequence[str]) -> str:
    return ends[0] if ends[0] == ends[-1] else f"{ends[0]} – {ends[-1]}"


def _judge(checks: Sequence[PredictionCheck]) -> Mark:
    problems = dict.fromkeys(problem for check in checks for problem in check.problems)
    if not problems:
        return _GOOD
    return Mark("!", "wrong", "open", clean_text("; ".join(list(problems)[:3]), 400))

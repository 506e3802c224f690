"""Marks: how a status and a verdict are shown."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.comparison import Comparison
from harness.analysis.matrix import Row
from harness.analysis.summary import CaseSummary
from harness.report.view import Mark
from harness.report.words import (
    NOTHING,
    STATUS_SIGNS,
    clean_text,
    format_number,
    format_range,
    format_ratio,
    plural,
    say_disturbance,
)
from harness.values.record import Record

TROUBLE_ORDER = ("error", "disk_full", "timeout", "lost", "oom", "skipped", "ok")


def mark_status(summary: CaseSummary) -> Mark:
    """The status of a case: one word where all invocations ended alike, else a count of each, the worst first."""
    total = len(summary.records)
    order = [status for status in TROUBLE_ORDER if status in summary.statuses]
    sign, word, tint = STATUS_SIGNS[order[0]]
    worst = [record for record in summary.records if record.status == order[0]]
    detail = describe_end(worst) if order[0] != "ok" else ""
    if len(order) == 1:
        rounds = plural(total, "invocation")
        return Mark(sign, word, tint, "; ".join(part for part in (rounds, detail) if part))
    counted = ", ".join(f"{STATUS_SIGNS[status][1]} {summary.statuses[status]} of {total}" for status in order)
    return Mark(sign, counted, tint, detail)


def describe_end(records: Sequence[Record]) -> str:
    """Where invocations of one status ended: the place of an OOM, the reason of a skip, else the first cause."""
    if records[0].status == "oom":
        place = describe_place(records)
        if place:
            return place
    return clean_text(records[0].cause, 160) if records[0].cause else ""


def describe_place(records: Sequence[Record]) -> str:
    """``in epoch 1, step 21–24, 12.4–12.9 s after the start``, as far as the evidence goes; else empty."""
    parts = []
    epochs, steps = _numbers(records, "last_epoch"), _numbers(records, "last_step")
    seconds = _numbers(records, "oom_at_s") or _numbers(records, "last_progress_s")
    if epochs:
        parts.append(f"in epoch {_span(epochs)}")
    if steps:
        parts.append(f"step {_span(steps)}")
    if seconds:
        parts.append(f"{_span(seconds)} s after the start")
    if not epochs and records[0].status == "oom" and seconds:
        return f"before the first batch, {_span(seconds)} s after the start"
    return ", ".join(parts)


def mark_verdict(row: Row) -> Mark:
    """The verdict of a row against its baseline."""
    if row.is_baseline:
        return Mark("●", "baseline", "quiet")
    comparison = row.comparison
    if comparison is None or comparison.ratio is None:
        why = "no baseline to compare with" if comparison is None else "no round has both it and the baseline"
        return Mark("", NOTHING, "none", why if row.summary.used else "")
    verdict = comparison.verdict
    detail = _sureness(comparison)
    if verdict.kind == "faster":
        return Mark("▲", "faster", "good", detail)
    if verdict.kind == "slower":
        return Mark("▼", "slower", "bad", detail)
    if verdict.kind == "same":
        return Mark("≈", "about the same", "quiet", detail)
    return Mark("?", "can’t tell", "open", describe_openness(comparison))


def describe_openness(comparison: Comparison) -> str:
    """Why a verdict is open, and what would close it."""
    verdict, ratio = comparison.verdict, comparison.ratio
    if ratio is None:
        return "no round has both"
    if ratio.n == 1:
        return "one pair of invocations gives no interval: at least 2 more"
    lean = f"leans {verdict.side}; " if verdict.side else ""
    if verdict.more_rounds is None:
        return f"{lean}more rounds would hardly settle it"
    return f"{lean}about {plural(verdict.more_rounds, 'more round')} would settle it"


def mark_glance(row: Row | None, metric_word: str) -> Mark:
    """One cell of the small matrix: how it ended, and if well, the rate and the verdict."""
    if row is None:
        return Mark("", NOTHING, "none", "not in the matrix")
    summary = row.summary
    rate = summary.steady_images_per_s if metric_word == "steady" else summary.first_images_per_s
    if not summary.used or rate is None:
        status = mark_status(summary)
        return Mark(status.sign, status.text, status.tint, status.detail)
    unit = f"{format_number(rate.value)} images/s"
    verdict = mark_verdict(row)
    if row.is_baseline:
        return Mark(verdict.sign, unit, "quiet", "baseline")
    if row.comparison is None or row.comparison.ratio is None:
        return Mark("✓", unit, "none", verdict.detail)
    ratio = row.comparison.ratio
    interval = format_range(ratio, is_ratio=True)
    detail = f"{format_ratio(ratio.value)}" + (f" ({interval})" if interval else "") + f" {verdict.text}"
    return Mark(verdict.sign, unit, verdict.tint, detail)


def _sureness(comparison: Comparison) -> str:
    assert comparison.ratio is not None
    hosts, pairs = len(comparison.hosts), comparison.ratio.n
    said = [plural(pairs, "pair"), say_disturbance(comparison.disturbance, pairs)]
    if comparison.left_out:
        said.append(f"{plural(comparison.left_out, 'disturbed pair')} more not counted")
    if hosts > 1:
        said.append(f"{comparison.agreeing} of {hosts} hosts agree")
    return ", ".join(part for part in said if part)


def _numbers(records: Sequence[Record], key: str) -> list[float]:
    found = [record.evidence.get(key) for record in records]
    return [value for value in found if isinstance(value, int | float) and not isinstance(value, bool)]


def _span(values: Sequence[float]) -> str:
    low, high = (_short(value) for value in (min(values), max(values)))
    return low if low == high else f"{low}–{high}"


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.1f}"

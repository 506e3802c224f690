"""Labels: the marks of outcomes and verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from harness.analysis.comparison import Comparison
from harness.analysis.matrix import Row, Setting
from harness.analysis.outcomes import WORST_FIRST, Outcome, count_outcomes, explain_outcome, outcome_of
from harness.analysis.short_epochs import say_cure
from harness.analysis.signs import LOOKS, VERDICTS, Kind, Look
from harness.analysis.statistics import LEAST_PAIRS
from harness.analysis.summary import CaseSummary
from harness.report.scope import tag_outlook
from harness.report.view import Mark
from harness.report.words import format_number, say_disturbance, say_ratio
from harness.values.record import Record
from harness.values.text import NOTHING, clean_text, join_words, plural


def label_look(look: Look, detail: str = "") -> Mark:
    """Return a look as a mark: a sign with its word and its tint."""
    return Mark(look.sign, look.word, look.tint, detail)


def label_outcome(outcome: Outcome, detail: str = "") -> Mark:
    """Return an outcome as a mark."""
    return Mark(outcome.look.sign, clean_text(outcome.text), outcome.look.tint, detail)


def label_status(summary: CaseSummary) -> Mark:
    """Label the outcome of a case: one where all runs ended alike, else a count of each, the worst first."""
    counts = count_outcomes(summary.records)
    order = [kind for kind in WORST_FIRST if kind in counts]
    worst = [record for record in summary.records if outcome_of(record).kind == order[0]]
    detail = describe_end(worst) if order[0] not in ("ok", "degraded") else ""
    if len(order) == 1:
        number, outcome = plural(len(summary.records), "run"), shared_outcome(worst)
        if outcome.kind == "degraded":  # it has a result: the cause of the disturbance comes second
            outcome, detail = Outcome("degraded"), clean_text(outcome.reason)
        return label_outcome(outcome, _join(number, detail))
    look = LOOKS[order[0]]
    counted = ", ".join(f"{LOOKS[kind].word} {counts[kind]} of {len(summary.records)}" for kind in order)
    reason = shared_outcome(worst).reason
    return Mark(look.sign, counted, look.tint, _join(reason, detail))


def shared_outcome(records: Sequence[Record]) -> Outcome:
    """Return the outcome of records of one kind, with its reason where all have the same."""
    outcomes = {outcome_of(record) for record in records}
    return outcomes.pop() if len(outcomes) == 1 else Outcome(outcome_of(records[0]).kind)


def say_ends(records: Iterable[Record]) -> str:
    """Return how runs ended, the worst first: ``invalid: does other work and out of memory``."""
    by_kind: dict[Kind, list[Record]] = {}
    for record in records:
        by_kind.setdefault(outcome_of(record).kind, []).append(record)
    return clean_text(join_words(shared_outcome(by_kind[kind]).text for kind in WORST_FIRST if kind in by_kind))


def describe_end(records: Sequence[Record]) -> str:
    """Describe where or why runs of one outcome ended: the place of an OOM, else the reason of the first one.

    Empty for invalid runs: their reason is part of the outcome, and the whole text is too long for a table.
    """
    kind = outcome_of(records[0]).kind
    place = describe_place(records) if kind == "oom" else ""
    return place or ("" if kind == "invalid" else clean_text(explain_outcome(records[0]), 160))


def describe_place(records: Sequence[Record]) -> str:
    """Return ``in epoch 1, step 21–24, 12.4–12.9 s after the start``, as far as it is known; else empty."""
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


def label_verdict(row: Row) -> Mark:
    """Label the verdict of a row against its baseline."""
    if row.is_baseline:
        return Mark("●", "baseline", "quiet")
    comparison = row.comparison
    if comparison is None or comparison.ratio is None:
        why = "no round has results of both it and the baseline"
        if comparison is None:
            why = "no baseline to compare with" if row.baseline is None else "the baseline has no result here"
        return Mark("", NOTHING, "none", why if row.summary.used else "")
    kind = comparison.verdict.kind
    if row.summary.alias is not None and kind == "unknown":  # the caveats describe the noise
        return label_look(VERDICTS[kind], "")
    return label_look(VERDICTS[kind], describe_openness(comparison) if kind == "unknown" else _sureness(comparison))


def describe_openness(comparison: Comparison) -> str:
    """State why a verdict is open, and what would settle it."""
    verdict, ratio = comparison.verdict, comparison.ratio
    if ratio is None:
        return "no round has results of both"
    if comparison.images_needed is not None:
        return f"epochs are too short: {say_cure(comparison.images_needed)}"
    if ratio.n < LEAST_PAIRS:
        gives = "one pair of runs gives" if ratio.n == 1 else f"{ratio.n} pairs of runs give"
        return f"{gives} no interval: at least {LEAST_PAIRS - ratio.n} more"
    lean = f"so far {verdict.side}; " if verdict.side else ""
    if verdict.more_rounds is None:
        return f"{lean}more rounds would probably not settle it"
    return f"{lean}about {plural(verdict.more_rounds, 'more round')} would settle it"


def label_glance(row: Row | None, setting: Setting) -> Mark:
    """Label a cell of the matrix: the rate and the verdict, or how the case ended without one."""
    if row is None:
        return Mark("", NOTHING, "none", "not measured")
    summary = row.summary
    rate = summary.rate(setting.metric)
    if not summary.used or rate is None:
        return label_status(summary)
    unit = f"{format_number(rate.value)} images/s"
    verdict, doubts = label_verdict(row), say_doubts(summary)
    scope = () if row.outlook is None else tuple(tag_outlook(row.outlook))
    if row.is_baseline:
        return Mark(verdict.sign, unit, "quiet", _join("baseline", *scope, doubts))
    if row.comparison is None or row.comparison.ratio is None:
        return Mark("✓", unit, "none", _join(verdict.detail, *scope, doubts))
    detail = f"{say_ratio(row.comparison.ratio)} {verdict.text}"
    tint = verdict.tint if row.outlook is None or row.outlook.holds else "open"
    heat = _heat(row.comparison.ratio.value) if tint == "good" else 0
    return Mark(verdict.sign, unit, tint, _join(detail, *scope, doubts), heat)


def _heat(ratio: float) -> int:
    """Return how strongly a cell is tinted, 1 to 4: one step more for each factor of two."""
    return max(1, min(4, 1 + int(math.log2(max(ratio, 1.0)))))


def say_doubts(summary: CaseSummary) -> str:
    """Return ``1 of 3 invalid: does other work; on a busy host`` for a case with a rate; empty without any doubt.

    These are its runs without a result, and what disturbed the others.
    """
    said = []
    for kind in (kind for kind in WORST_FIRST if kind not in ("ok", "degraded")):
        records = [record for record in summary.records if outcome_of(record).kind == kind]
        if records:
            text = shared_outcome(records).text
            said.append(f"{len(records)} of {len(summary.records)} {text}")
    return clean_text(_join(*said, say_disturbance(summary.disturbance, len(summary.used))))


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _sureness(comparison: Comparison) -> str:
    assert comparison.ratio is not None
    hosts, pairs = len(comparison.hosts), comparison.ratio.n
    said = [plural(pairs, "pair"), say_disturbance(comparison.disturbance, pairs)]
    if comparison.left_out:
        said.append(f"{plural(comparison.left_out, 'more disturbed pair')} not counted")
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

"""Advice: a plain sentence for each setting and memory limit about what the data says, as far as verdicts carry it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.comparison import Comparison, compare
from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.report.marks import describe_openness
from harness.report.view import Advice
from harness.report.words import (
    STATUS_SIGNS,
    clean_text,
    format_range,
    format_ratio,
    join_words,
    name_limit,
    name_row,
    name_size,
    plural,
)

_CORES_RATIO = 1.5
_WORK_RATIO = 1.15


def advise_group(group: HardwareGroup) -> list[Advice]:
    """One sentence or a few for each setting and memory limit of a hardware."""
    return [advise_setting(setting, limit) for setting in group.settings for limit in setting.limits]


def advise_setting(setting: Setting, limit: int | str) -> Advice:
    """What the data says of one setting at one memory limit, or what is missing to say something."""
    case = setting.case
    mode = "Training" if case.mode == "train" else "Loading"
    pixels = "pixels as users get them" if case.interpolation == "native" else case.interpolation
    where = "all memory the host can give" if limit == "none" else f"limit {name_limit(limit)}"
    rows = [row for row in setting.rows_at(limit) if row.summary.alias is None]
    answer, said = _say_best(rows, setting)
    text = "; ".join([said, *_say_dead(rows)]) + "." + _say_bound(rows)
    return Advice(
        lead=clean_text(f"{mode} {case.data}, {name_size(case)}, {pixels}, {where}"),
        answer=clean_text(answer),
        text=clean_text(text if answer else text[0].upper() + text[1:], 2000),
    )


def _say_best(rows: Sequence[Row], setting: Setting) -> tuple[str, str]:
    """The winner's name, empty where no verdict names one, and what is to be said."""
    baseline = next((row for row in rows if row.is_baseline), None)
    if baseline is None:
        return "", "no verdict, for the baseline was not measured here"
    if not baseline.summary.used:
        ends = join_words(STATUS_SIGNS[s][1] for s in baseline.summary.statuses)
        return "", f"no verdict, for the baseline {_name(baseline)} has no result here ({ends})"
    compared = [
        (row, row.comparison) for row in rows if row.comparison is not None and row.comparison.ratio is not None
    ]
    if not compared:
        return "", f"no verdict, for nothing but {_name(baseline)} has a result here"
    faster = [(row, found) for row, found in compared if found.verdict.kind == "faster"]
    if faster:
        best, found = max(faster, key=lambda pair: _value(pair[1]))
        return _name(best), _say_winner(best, found, baseline, compared, setting)
    kinds = {found.verdict.kind for _, found in compared}
    if kinds == {"same"}:
        return "", f"no practical difference to {_name(baseline)} (all within 5 %)"
    if "unknown" not in kinds:
        return "", f"nothing is faster than {_name(baseline)}"
    return "", _say_open(compared, baseline)


def _say_winner(
    best: Row, found: Comparison, baseline: Row, compared: Sequence[tuple[Row, Comparison]], setting: Setting
) -> str:
    assert found.ratio is not None
    rate = "steady images/s" if setting.metric == "steady" else "images/s"
    hosts = f", {found.agreeing} of {len(found.hosts)} hosts agree" if len(found.hosts) > 1 else ""
    interval = format_range(found.ratio, is_ratio=True)
    text = (
        f"delivers {format_ratio(found.ratio.value)} ({interval}) the {rate} "
        f"of {_name(baseline)} ({plural(found.ratio.n, 'pair')} of runs{hosts})"
    )
    ended = best.summary.statuses.get("ok", 0)
    if ended < len(best.summary.records):
        text += f", though only {ended} of its {plural(len(best.summary.records), 'run')} ended well"
    if best.summary.basis == "degraded" or baseline.summary.basis == "degraded":
        text += ", from degraded runs"
    level = [row for row, _ in compared if row is not best and _is_level(row, best, setting)]
    if level:
        text += f", not told apart from {join_words(_name(row) for row in level)}"
    if best.payback is not None:
        text += f"; its cache has paid for itself from epoch {best.payback} on"
    return text + _say_cores(best, found)


def _say_cores(best: Row, found: Comparison) -> str:
    """Whether the gain is cheaper work or more cores at work (images per CPU second beside images/s)."""
    work = best.per_cpu.ratio if best.per_cpu else None
    if work is None or found.ratio is None:
        return ""
    interval = format_range(work, is_ratio=True)
    said = f"; per CPU second it delivers {format_ratio(work.value)}" + (f" ({interval})" if interval else "")
    if work.value <= _WORK_RATIO and found.ratio.value / work.value >= _CORES_RATIO:
        return said + ", so the gain is more cores at work, not cheaper work"
    return said


def _say_open(compared: Sequence[tuple[Row, Comparison]], baseline: Row) -> str:
    row, found = max(
        ((row, found) for row, found in compared if found.verdict.kind == "unknown"), key=lambda pair: _value(pair[1])
    )
    assert found.ratio is not None
    interval = format_range(found.ratio, is_ratio=True)
    ratio = format_ratio(found.ratio.value) + (f" ({interval})" if interval else "")
    return f"no verdict yet: {_name(row)} stands at {ratio} of {_name(baseline)}; {describe_openness(found)}"


def _say_dead(rows: Sequence[Row]) -> list[str]:
    dead = [row for row in rows if "oom" in row.summary.statuses]
    if not dead:
        return []
    names = join_words(_name(row) for row in dead)
    return [f"{names} {'runs' if len(dead) == 1 else 'run'} out of memory"]


def _say_bound(rows: Sequence[Row]) -> str:
    bound = [row for row in rows if row.model_bound]
    if not bound:
        return ""
    if all(row.model_bound for row in rows if row.summary.used):
        return " All of them reach the ceiling (model-bound): no loader can win here; a faster model or GPU would tell."
    names = join_words(_name(row) for row in bound)
    return (
        f" {names} {'reaches' if len(bound) == 1 else 'reach'} the ceiling (model-bound): the model is the limit there."
    )


def _is_level(row: Row, best: Row, setting: Setting) -> bool:
    if not row.summary.used:
        return False
    found = compare(best.summary.measurements(setting.metric), row.summary.measurements(setting.metric))
    return found.verdict.kind in ("same", "unknown")


def _name(row: Row) -> str:
    loader, cache = name_row(row.summary.case)
    return loader if cache == "none" else f"{loader} with {cache} cache"


def _value(found: Comparison) -> float:
    return found.ratio.value if found.ratio else 0.0

"""Advice: which pipeline to use from which memory limit on, by the verdicts of one setting.

Pure: from a setting with its comparisons to spans of memory limits with one choice each; ``harness.report.advice``
writes the sentences. Advice is about the whole data set: a row whose result does not hold there (``whole_set``) is set
aside and passed on, so that the report names it. Among rows that are as fast as the fastest, the cheapest is chosen: no
cache before a memory cache before files on a disk. No winner is named among cases whose bottleneck is the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

from harness.analysis.comparison import Comparison, compare
from harness.analysis.matrix import Row, Setting
from harness.analysis.selection import UNDISTURBED, Disturbance
from harness.analysis.statistics import THRESHOLD
from harness.values.comparability import PIPELINE, without_cache

CORES_RATIO = 1.5
"""If the gain in images/s is this many times the gain per CPU second, it comes from more cores."""

WORK_RATIO = 1.15
"""Images per CPU second within this factor count as equal."""

Kind = Literal[
    "winner",
    "bound",
    "survivor",
    "few",
    "open",
    "same",
    "baseline",
    "unpaired",
    "alone",
    "dead",
    "unmeasured",
    "set-aside",
    "short",
]
"""The kinds of answers for a memory limit.

``winner``: certainly faster than the baseline; ``bound``: all rows with a result reach the model limit, so no loader
can win; ``survivor``: the fastest row with a result, where the baseline has none; ``few``: too few pairs for an
interval; ``open``: not settled against the baseline; ``same``: all within 5 % of the baseline; ``baseline``: no row is
more than 5 % faster; ``unpaired``: no round has results of both the baseline and another row; ``alone``: only the
baseline has a result; ``dead``: all ran out of memory; ``unmeasured``: no row has a result, for other reasons;
``set-aside``: no result holds on the whole data set; ``short``: epochs of ``level`` are too short for a verdict.
"""

Gain = Literal["cores", "cores-and-cache", "cheaper"]
"""The source of a gain: more busy cores, more cores and the cache, or less work for each image."""

_CHEAPEST = ("none", "memory")


@dataclass(frozen=True, slots=True)
class Choice:
    """The answer for one memory limit.

    ``row`` is the pipeline to use (or the leading one, where nothing is certain), ``found`` its comparison with the
    baseline, ``level`` the rows that may be used as well; ``within`` is the share by which these and ``row`` differ at
    most, None where it is not known. ``dead`` are the rows that ran out of memory. ``plain`` is the same loader without
    a cache, where the gain of the cache is separated. ``pairs`` counts the pairs (without a comparison: the runs) on
    which the answer is based, ``disturbance`` is what disturbed some of them; ``left_out`` counts disturbed pairs that
    do not count. ``aside`` are rows whose result does not hold on the whole data set, the fastest first.
    """

    limit: int | str
    kind: Kind
    row: Row | None = None
    found: Comparison | None = None
    baseline: Row | None = None
    level: tuple[Row, ...] = ()
    within: float | None = None
    dead: tuple[Row, ...] = ()
    gain: Gain | None = None
    plain: Row | None = None
    pairs: int = 0
    disturbance: Disturbance = UNDISTURBED
    left_out: int = 0
    aside: tuple[Row, ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        """Return all rows that the answer names."""
        named = [row for row in (self.row, self.baseline, *self.level) if row is not None]
        return tuple({id(row): row for row in named}.values())


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring memory limits with the same answer, smallest first; ``choice`` is the most cautious one."""

    limits: tuple[int | str, ...]
    choice: Choice


@dataclass(frozen=True, slots=True)
class SettingAdvice:
    """The advice for one setting."""

    setting: Setting
    spans: tuple[Span, ...]


def advise(setting: Setting) -> SettingAdvice:
    """Return spans of memory limits with one choice each, the smallest first."""
    spans: list[Span] = []
    for limit in setting.limits:
        choice = choose(setting, limit)
        if spans and _is_alike(spans[-1].choice, choice):
            last = spans.pop()
            spans.append(Span((*last.limits, limit), min(last.choice, choice, key=_caution)))
        else:
            spans.append(Span((limit,), choice))
    return SettingAdvice(setting, tuple(spans))


def choose(setting: Setting, limit: int | str) -> Choice:
    """Choose the answer at one memory limit, with the number and the disturbance of the pairs behind it."""
    choice = _choose(setting, limit)
    found = _comparisons_behind(choice, setting)
    if found:
        return replace(
            choice,
            pairs=sum(one.ratio.n for one in found if one.ratio),
            disturbance=reduce(Disturbance.plus, (one.disturbance for one in found)),
            left_out=sum(one.left_out for one in found),
        )
    if choice.kind in ("survivor", "alone") and choice.row is not None:
        summary = choice.row.summary
        pairs, disturbance, left_out = len(summary.used), summary.disturbance, summary.left_out
        return replace(choice, pairs=pairs, disturbance=disturbance, left_out=left_out)
    return choice


def _comparisons_behind(choice: Choice, setting: Setting) -> list[Comparison]:
    """Return the comparisons behind an answer: one, or all of them where no row is better than the others."""
    if choice.found is not None:
        return [choice.found]
    if choice.kind == "bound":
        return [row.against_ceiling for row in choice.level if row.against_ceiling is not None]
    if choice.kind in ("same", "baseline"):
        apart = {id(row) for row in choice.aside}
        rows = [row for row in setting.pipelines_at(choice.limit) if id(row) not in apart]
        return [row.comparison for row in rows if row.comparison is not None]
    return []


def _choose(setting: Setting, limit: int | str) -> Choice:
    rows = setting.pipelines_at(limit)
    with_rate = sorted((row for row in rows if _rate(row, setting) > 0), key=lambda row: -_rate(row, setting))
    aside = [row for row in with_rate if row.outlook is not None and not row.outlook.holds]
    kept = [row for row in rows if not any(row is other for other in aside)]
    baseline = next((row for row in setting.rows_at(limit) if row.is_baseline), None)
    choice = _choose_among(kept, setting, limit, baseline)
    if aside and choice.kind in ("dead", "unmeasured"):
        choice = Choice(limit, "set-aside", baseline=choice.baseline, dead=choice.dead)
    return replace(choice, aside=tuple(aside))


def _choose_among(rows: Sequence[Row], setting: Setting, limit: int | str, baseline: Row | None) -> Choice:
    dead = tuple(row for row in rows if "oom" in row.summary.statuses and not row.summary.used)
    living = [row for row in rows if _rate(row, setting) > 0]
    if not living:
        only_oom = bool(rows) and all(set(row.summary.statuses) == {"oom"} for row in rows)
        return Choice(limit, "dead" if only_oom else "unmeasured", baseline=baseline, dead=dead)
    short = tuple(row for row in living if row.summary.short_epochs(setting.metric) is not None)
    if short and (len(living) > 1 or len(setting.pipelines_at(limit)) == 1):  # else it is the only one with a result
        return Choice(limit, "short", baseline=baseline, level=short, dead=dead)
    if baseline is None or baseline not in living:
        return _choose_survivor(limit, living, setting, baseline, dead)
    if len(living) == 1:
        return Choice(limit, "alone", row=baseline, baseline=baseline, dead=dead)
    if all(row.model_bound for row in living):
        return Choice(limit, "bound", baseline=baseline, level=tuple(living), dead=dead)
    compared = [(row, row.comparison) for row in living if row.comparison is not None and row.comparison.ratio]
    if not compared:
        return Choice(limit, "unpaired", row=baseline, baseline=baseline, dead=dead)
    return _choose_compared(limit, compared, setting, baseline, dead)


def _choose_survivor(
    limit: int | str, living: Sequence[Row], setting: Setting, baseline: Row | None, dead: tuple[Row, ...]
) -> Choice:
    if len(living) > 1 and all(row.model_bound for row in living):
        return Choice(limit, "bound", baseline=baseline, level=tuple(living), dead=dead)
    best = max(living, key=lambda row: _rate(row, setting))
    level = tuple(row for row in living if row is not best and _is_level(row, best, setting))
    within = _within(best, level, setting)
    return Choice(limit, "survivor", row=best, baseline=baseline, level=level, within=within, dead=dead)


def _choose_compared(
    limit: int | str,
    compared: Sequence[tuple[Row, Comparison]],
    setting: Setting,
    baseline: Row,
    dead: tuple[Row, ...],
) -> Choice:
    leader, lead = max(compared, key=lambda pair: _value(pair[1]))
    if all(found.ratio is None or found.ratio.low is None for _, found in compared):
        return Choice(limit, "few", leader, lead, baseline, dead=dead)
    faster = [(row, found) for row, found in compared if found.verdict.kind == "faster"]
    if faster:
        best, found, level = _pick_cheapest(faster, compared, setting)
        gain, plain = _explain_gain(best, found, compared)
        within = _within(best, level, setting)
        return Choice(limit, "winner", best, found, baseline, level, within, dead, gain, plain)
    kinds = {found.verdict.kind for _, found in compared}
    if kinds == {"same"}:
        return Choice(limit, "same", baseline, None, baseline, dead=dead)
    unknown = [pair for pair in compared if pair[1].verdict.kind == "unknown" and can_gain(pair[1])]
    if not unknown:
        return Choice(limit, "baseline", baseline, None, baseline, dead=dead)
    leader, lead = max(unknown, key=lambda pair: _value(pair[1]))
    level = (
        *(row for row, _ in unknown if row is not leader and can_gain(compare_rows(row, leader, setting))),
        baseline,
    )
    return Choice(limit, "open", leader, lead, baseline, level, _within(leader, level, setting), dead)


def can_gain(found: Comparison) -> bool:
    """Return whether the first of a comparison may be more than 5 % faster than the other."""
    return found.ratio is None or found.ratio.high is None or found.ratio.high > THRESHOLD


def _within(best: Row, level: Sequence[Row], setting: Setting) -> float | None:
    """Return the share by which rows differ from the best at most; None where it is not known."""
    ratios = [compare_rows(row, best, setting).ratio for row in level]
    bounds = [max(ratio.high, 1 / ratio.low) for ratio in ratios if ratio is not None and ratio.low and ratio.high]
    return max(bounds) - 1 if bounds and len(bounds) == len(ratios) else None


def _pick_cheapest(
    faster: Sequence[tuple[Row, Comparison]], compared: Sequence[tuple[Row, Comparison]], setting: Setting
) -> tuple[Row, Comparison, tuple[Row, ...]]:
    """Return the cheapest of the rows that are certainly as fast as the fastest, and the rows not proven slower."""
    fastest, found = max(faster, key=lambda pair: _value(pair[1]))
    equals = [(fastest, found)]
    for row, own in faster:
        is_at_ceiling = bool(row.model_bound and fastest.model_bound)
        if row is not fastest and (is_at_ceiling or _verdict(row, fastest, setting) == "same"):
            equals.append((row, own))
    best, found = min(equals, key=lambda pair: (_cost(pair[0]), -_value(pair[1])))
    level = tuple(row for row, _ in compared if row is not best and _is_level(row, fastest, setting))
    return best, found, level


def _explain_gain(
    best: Row, found: Comparison, compared: Sequence[tuple[Row, Comparison]]
) -> tuple[Gain | None, Row | None]:
    if _is_cores(best, found):
        return "cores", None
    case = best.case
    if case.cache != "none":
        plains = (row for row, _ in compared if row.case.cache == "none")
        plain = next((row for row in plains if without_cache(row.case) == without_cache(case)), None)
        if plain is not None and plain.comparison is not None and _is_cores(plain, plain.comparison):
            return "cores-and-cache", plain
    work = best.per_cpu.ratio if best.per_cpu else None
    return ("cheaper", None) if work is not None and work.value > WORK_RATIO else (None, None)


def _is_cores(row: Row, found: Comparison) -> bool:
    work = row.per_cpu.ratio if row.per_cpu else None
    if work is None or found.ratio is None:
        return False
    return work.value <= WORK_RATIO and found.ratio.value / work.value >= CORES_RATIO


def _is_alike(one: Choice, other: Choice) -> bool:
    if one.aside or other.aside:  # the text about these names one limit
        return False
    return one.kind == other.kind and _key(one.row) == _key(other.row)


def _key(row: Row | None) -> tuple[str, ...]:
    if row is None:
        return ()
    return tuple(str(getattr(row.case, name)) for name in PIPELINE)


def _caution(choice: Choice) -> float:
    ratio = choice.found.ratio if choice.found else None
    if ratio is None:
        return math.inf
    return ratio.low if ratio.low is not None else ratio.value


def compare_rows(row: Row, other: Row, setting: Setting) -> Comparison:
    """Compare a row with another row of its setting."""
    metric = setting.metric
    return compare(row.summary.measurements(metric), other.summary.measurements(metric), setting.evidence)


def _verdict(row: Row, other: Row, setting: Setting) -> str:
    return compare_rows(row, other, setting).verdict.kind


def _is_level(row: Row, best: Row, setting: Setting) -> bool:
    """Return whether a row may be used as well as the fastest: it is as fast, or may be more than 5 % faster.

    Two rows that reach the model limit are equally fast.
    """
    if row is best or (row.model_bound and best.model_bound):
        return True
    found = compare_rows(row, best, setting)
    return found.verdict.kind == "same" or can_gain(found)


def _cost(row: Row) -> int:
    cache = row.case.cache
    return _CHEAPEST.index(cache) if cache in _CHEAPEST else len(_CHEAPEST)


def _rate(row: Row, setting: Setting) -> float:
    found = row.summary.rate(setting.metric)
    return found.value if found and row.summary.used else 0.0


def _value(found: Comparison) -> float:
    return found.ratio.value if found.ratio else 0.0

"""Advice: which pipeline to use from which memory limit on, as far as the verdicts of one setting carry it.

Pure: a setting with its comparisons goes in, spans of memory limits with one choice each come out; words are made
elsewhere. Advice is about the whole data set: what does not hold there, by what was measured and by what it will need
(``whole_set``), is set aside and handed on, to be said. Among rows that are level with the fastest the cheapest is
chosen: no cache before a memory cache before files on a disk. No winner is named among model-bound cases.
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
"""A gain of images/s that is this many times the gain per CPU second is called a gain of cores."""

WORK_RATIO = 1.15
"""Images per CPU second within this factor are called alike."""

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
"""What a limit's verdicts say.

``winner``: faster than the baseline, and surely; ``bound``: all that live reach the ceiling, so no loader can win;
``survivor``: the baseline has no result, this is the fastest that has; ``few``: too few pairs for an interval;
``open``: not settled against the baseline; ``same``: all within 5 % of the baseline; ``baseline``: nothing is faster
by more than 5 %; ``unpaired``: no round has a result of both the baseline and another; ``alone``: only the baseline
has a result; ``dead``: all ran out of memory; ``unmeasured``: nothing has a result, for other reasons; ``set-aside``:
what has a result has none that holds on the whole data set; ``short``: epochs are too short for a verdict, those of
``level``.
"""

Gain = Literal["cores", "cores-and-cache", "cheaper"]
"""Where a gain comes from: more cores at work, those and the cache, or less work an image."""

_CHEAPEST = ("none", "memory")


@dataclass(frozen=True, slots=True)
class Choice:
    """What one memory limit says.

    ``row`` is the pipeline to use (or the one that leads, where nothing is sure), ``found`` its comparison with the
    baseline, ``level`` what may be chosen as well; ``within`` is by what share of it ``row`` and those may differ at
    the most, None where that is not known. ``dead`` is what ran out of memory. ``plain`` is the same loader without a
    cache, where the gain is told from the cache's. ``pairs`` is how many pairs (without a comparison: how
    many invocations) the answer rests on, ``disturbance`` what disturbed some of them; ``left_out`` were disturbed and
    do not count. ``aside`` are rows with a result that does not hold on the whole data set, the fastest first.
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
        """All rows that the answer names."""
        named = [row for row in (self.row, self.baseline, *self.level) if row is not None]
        return tuple({id(row): row for row in named}.values())


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring memory limits, smallest first, that say the same; ``choice`` is the most cautious of them."""

    limits: tuple[int | str, ...]
    choice: Choice


@dataclass(frozen=True, slots=True)
class SettingAdvice:
    """All that is advised for one setting."""

    setting: Setting
    spans: tuple[Span, ...]


def advise(setting: Setting) -> SettingAdvice:
    """Spans of memory limits with one choice each, the smallest first."""
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
    """What the verdicts at one memory limit say, and how undisturbed what they rest on was."""
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
    """The comparisons that an answer rests on: one, or where nothing stands out all of them."""
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
    if short and (len(living) > 1 or len(setting.pipelines_at(limit)) == 1):  # else it is what lives, however fast
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
    """Whether the first of a comparison may be faster than the other by more than 5 %, as far as is known."""
    return found.ratio is None or found.ratio.high is None or found.ratio.high > THRESHOLD


def _within(best: Row, level: Sequence[Row], setting: Setting) -> float | None:
    """Return by what share rows may differ from the best at the most; None where that is not known."""
    ratios = [compare_rows(row, best, setting).ratio for row in level]
    bounds = [max(ratio.high, 1 / ratio.low) for ratio in ratios if ratio is not None and ratio.low and ratio.high]
    return max(bounds) - 1 if bounds and len(bounds) == len(ratios) else None


def _pick_cheapest(
    faster: Sequence[tuple[Row, Comparison]], compared: Sequence[tuple[Row, Comparison]], setting: Setting
) -> tuple[Row, Comparison, tuple[Row, ...]]:
    """The fastest, or of those that are surely as fast the cheapest; and what was not told apart from the fastest."""
    fastest, found = max(faster, key=lambda pair: _value(pair[1]))
    twins = [(fastest, found)]
    for row, own in faster:
        is_at_ceiling = bool(row.model_bound and fastest.model_bound)
        if row is not fastest and (is_at_ceiling or _verdict(row, fastest, setting) == "same"):
            twins.append((row, own))
    best, found = min(twins, key=lambda pair: (_cost(pair[0]), -_value(pair[1])))
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
    if one.aside or other.aside:  # what is said of these is said of one limit
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
    """Return how a row compares with another one of its setting."""
    metric = setting.metric
    return compare(row.summary.measurements(metric), other.summary.measurements(metric), setting.evidence)


def _verdict(row: Row, other: Row, setting: Setting) -> str:
    return compare_rows(row, other, setting).verdict.kind


def _is_level(row: Row, best: Row, setting: Setting) -> bool:
    """Whether a row may be chosen as well as the fastest: it is as fast, or may be faster by more than 5 %.

    At the ceiling both are as fast as can be.
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

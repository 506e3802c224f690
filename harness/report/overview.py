"""The first screen: for each hardware group what to use, how much faster that is, what it costs, how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.analysis.advice import Choice, SettingAdvice, Span
from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.analysis.payback import NeverPays, PaysFrom
from harness.analysis.statistics import Estimate
from harness.report.advice import is_provisional, name_answer, say_cache_size, view_span
from harness.report.confidence import MARKS, rate_confidence
from harness.report.labels import describe_openness
from harness.report.scope import name_setting
from harness.report.view import GroupView, OverviewAnswer
from harness.report.words import format_range, format_ratio
from harness.values.names import name_pipeline
from harness.values.text import NOTHING, clean_text

_MOST_SETTINGS = 4
_ANSWERLESS = {
    "alone": "no answer: only the baseline has a result",
    "dead": "no answer: every case ran out of memory",
    "unmeasured": "no answer: no pipeline has a result",
    "set-aside": "no answer: no result holds on the whole set",
}


def view_answers(advised: Sequence[SettingAdvice], group: HardwareGroup) -> tuple[OverviewAnswer, ...]:
    """Return a group's answers, one for each of its first settings."""
    asked = [advice for advice in advised if advice.spans][:_MOST_SETTINGS]
    return tuple(_view_answer(advice, name_setting(advice.setting, group.settings)) for advice in asked)


def scale_bars(groups: Sequence[GroupView]) -> list[GroupView]:
    """Scale the bars of all groups: the largest ratio has a bar of 100 % of the width."""
    most = max((answer.times for group in groups for answer in group.answers), default=0.0)
    return [
        replace(
            group,
            answers=tuple(replace(one, bar=round(100 * one.times / most) if most else 0) for one in group.answers),
        )
        for group in groups
    ]


def _view_answer(advice: SettingAdvice, name: str) -> OverviewAnswer:
    setting, spans = advice.setting, advice.spans
    place = _pick_span(spans)
    choice = spans[place].choice
    found = rate_confidence(choice, setting)
    ratio = _ratio_of(choice)
    return OverviewAnswer(
        setting=name,
        use=_name_use(choice),
        ratio=format_ratio(ratio.value) if ratio is not None else NOTHING,
        interval=format_range(ratio, is_ratio=True),
        times=ratio.value if ratio is not None else 0.0,
        baseline="" if choice.baseline is None else name_pipeline(choice.baseline.case),
        memory=_say_memory(spans, place, setting),
        cost=clean_text(_say_cost(choice)),
        confidence=MARKS[found.level],
        reasons=found.reasons,
    )


def _pick_span(spans: Sequence[Span]) -> int:
    """Return the place of the span that is shown for a setting: the one with an answer and the most memory."""
    for place in range(len(spans) - 1, -1, -1):
        if spans[place].choice.kind not in _ANSWERLESS:
            return place
    return len(spans) - 1


def _name_use(choice: Choice) -> str:
    """Return what to use, in a few words."""
    if choice.kind in _ANSWERLESS:
        return _ANSWERLESS[choice.kind]
    if choice.kind == "bound":
        return "any loader: the model is the bottleneck"
    if choice.kind == "same" and choice.baseline is not None:
        return f"any loader: all are within 5 % of {name_pipeline(choice.baseline.case)}"
    if answer := name_answer(choice):
        return clean_text(answer, 300)
    leader = choice.row if choice.kind in ("few", "open") else None
    return "no answer yet" + (f": {name_pipeline(leader.case)} leads" if leader is not None else "")


def _ratio_of(choice: Choice) -> Estimate | None:
    """Return the ratio of the named pipeline to the baseline; None where it is not known."""
    return choice.found.ratio if choice.found is not None else None


def _say_memory(spans: Sequence[Span], place: int, setting: Setting) -> str:
    """Return for which memory limits the answer holds, and what to use under others."""
    said = [view_span(spans, place, setting).where]
    below = list(range(place - 1, -1, -1))
    for other in (*below, *range(place + 1, len(spans))):
        where = "below" if len(below) == 1 and other < place else view_span(spans, other, setting).where
        said.append(f"{where}: {_name_use(spans[other].choice)}")
    return "; ".join(one[0].lower() + one[1:] for one in said)


def _say_cost(choice: Choice) -> str:
    """Return how much memory or disk the answer takes and from which epoch it pays, or what would settle it."""
    if choice.kind == "short":
        return "epochs are too short: measure more images"
    if is_provisional(choice):
        return describe_openness(choice.found) if choice.found is not None else "more rounds are needed"
    if choice.row is None or choice.kind in _ANSWERLESS:
        return NOTHING
    return _say_row_cost(choice.row)


def _say_row_cost(row: Row) -> str:
    if row.case.cache == "none":
        return "no cache"
    if row.case.cache_reuse == "reused":
        return f"{say_cache_size(row)}; the cache was made before the run"
    match row.payback:
        case PaysFrom(epoch):
            pays = f"pays for itself from epoch {epoch}"
        case NeverPays():
            pays = "does not pay for itself"
        case _:
            pays = "whether it pays for itself is not known"
    return "; ".join(part for part in (say_cache_size(row), pays) if part)

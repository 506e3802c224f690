"""Confidence: how far an answer may be relied on, in one word, with the reasons for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from harness.analysis.advice import Choice
from harness.analysis.matrix import Setting
from harness.analysis.statistics import LEAST_PAIRS
from harness.report.advice import is_provisional
from harness.report.labels import describe_openness, say_ends
from harness.report.scope import name_part
from harness.report.view import Mark
from harness.report.words import format_range, say_disturbance
from harness.values.text import clean_text, plural

Level = Literal["high", "medium", "low", "none"]

_MOST_MEDIUM = 2
"""With more doubts than these an answer that is settled is of low confidence."""
_WIDE = 2.0
"""An interval whose ends differ by more than this factor is a doubt."""

MARKS: dict[Level, Mark] = {
    "high": Mark("✓", "high", "good"),
    "medium": Mark("~", "medium", "open"),
    "low": Mark("!", "low", "bad"),
    "none": Mark("?", "none", "quiet"),
}


@dataclass(frozen=True)
class Confidence:
    """A level with its reasons: first what the answer is based on, then each doubt."""

    level: Level
    reasons: tuple[str, ...]


def rate_confidence(choice: Choice, setting: Setting) -> Confidence:
    """Rate an answer: high without a doubt, medium with one or two, low with more or while it is not settled.

    The level is none where no pipeline has a result that holds.
    """
    if choice.kind in ("alone", "dead", "unmeasured", "set-aside"):
        return Confidence("none", (_NOTHING[choice.kind],))
    doubts = tuple(clean_text(doubt, 300) for doubt in _doubt(choice, setting))
    reasons = (*_base(choice, setting), *doubts)
    if is_provisional(choice) or choice.kind == "short" or _has_few(choice):
        return Confidence("low", reasons)
    return Confidence("high" if not doubts else "medium" if len(doubts) <= _MOST_MEDIUM else "low", reasons)


_NOTHING = {
    "alone": "only the baseline has a result",
    "dead": "every case ran out of memory",
    "unmeasured": "no pipeline has a result",
    "set-aside": "no result holds on the whole set",
}


def _has_few(choice: Choice) -> bool:
    """Return whether an answer without a ratio is based on fewer runs than a ratio would need."""
    return choice.kind == "survivor" and choice.pairs < LEAST_PAIRS


def _base(choice: Choice, setting: Setting) -> Iterator[str]:
    """Yield what an answer is based on."""
    ratio = choice.found.ratio if choice.found is not None else None
    if choice.kind == "short":
        yield "epochs are too short for a verdict"
    elif is_provisional(choice):
        yield "not settled" if choice.found is None else f"not settled: {describe_openness(choice.found)}"
    elif ratio is not None and choice.kind == "winner":
        yield f"the whole 95 % interval ({format_range(ratio, is_ratio=True)}) is above 1.05"
    elif choice.kind in ("same", "baseline"):
        yield "no other pipeline is more than 5 % faster"
    elif choice.kind == "bound":
        yield "every pipeline is within noise of the model limit"
    if choice.pairs:
        unit = "run" if choice.kind in ("survivor", "alone") else "pair"
        hosts = len(choice.found.hosts) if choice.found is not None else 0
        where = f" on {plural(hosts, 'host')}" if hosts else ""
        yield f"based on {plural(choice.pairs, unit)}{' of runs' if unit == 'pair' else ''}{where}"


def _doubt(choice: Choice, setting: Setting) -> Iterator[str]:
    """Yield each reason to rely on an answer less."""
    found, row = choice.found, choice.row
    if disturbed := say_disturbance(choice.disturbance, choice.pairs):
        yield f"measured {disturbed}" if disturbed.startswith("on ") else disturbed
    if found is not None and found.ratio is not None and found.ratio.low and found.ratio.high:
        if found.ratio.high / found.ratio.low > _WIDE:
            yield f"the interval is wide: {format_range(found.ratio, is_ratio=True)}"
        if len(found.hosts) > found.agreeing:
            yield f"{found.agreeing} of {len(found.hosts)} hosts agree"
    if _has_few(choice):
        yield f"fewer than {LEAST_PAIRS} runs"
    if choice.kind == "survivor":
        yield "the baseline has no result here, so there is no ratio"
    if part := name_part(setting):
        yield f"measured on {part}"
    if row is not None and (bad := [r for r in row.summary.records if r.status != "ok"]):
        yield f"{len(bad)} of its {plural(len(row.summary.records), 'run')} did not succeed: {say_ends(bad)}"
    if setting.case.interpolation == "native" and choice.kind in ("winner", "survivor", "open"):
        yield "each loader resizes in its own way, so a difference may come from that"
    if setting.case.model is not None and setting.case.model.is_emulated:
        yield "the accelerator is emulated"

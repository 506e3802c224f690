"""The signs, words and tints of console and page, one table for each kind of judgement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from harness.analysis.host_check import Outcome as CheckOutcome
from harness.analysis.statistics import VerdictKind
from harness.values.record import Severity

Tint = Literal["none", "quiet", "good", "open", "bad"]

Kind = Literal["ok", "degraded", "skipped", "oom", "lost", "timeout", "disk_full", "error", "invalid"]
"""What an invocation is counted as: its status, or its validity where that says more."""


class Look(NamedTuple):
    """A sign, a word and the name of a tint: never colour alone."""

    sign: str
    word: str
    tint: Tint


LOOKS: Mapping[Kind, Look] = {
    "ok": Look("✓", "ok", "none"),
    "degraded": Look("~", "disturbed", "open"),
    "skipped": Look("∅", "skipped", "quiet"),
    "oom": Look("⊠", "out of memory", "bad"),
    "lost": Look("?", "lost", "open"),
    "timeout": Look("◷", "timeout", "bad"),
    "disk_full": Look("▣", "disk full", "bad"),
    "error": Look("!", "error", "bad"),
    "invalid": Look("✗", "invalid", "bad"),
}
"""In the order of counts: what is fine first, what needs a cure last."""

VERDICTS: Mapping[VerdictKind, Look] = {
    "faster": Look("▲", "faster", "good"),
    "slower": Look("▼", "slower", "bad"),
    "same": Look("≈", "about the same", "quiet"),
    "unknown": Look("?", "can’t tell", "open"),
}

SEVERITIES: Mapping[Severity, Look] = {
    "error": Look("✗", "error", "bad"),
    "warning": Look("!", "warning", "open"),
    "info": Look("i", "note", "quiet"),
}

CHECKS: Mapping[CheckOutcome, Look] = {
    "ok": Look("✓", "ok", "none"),
    "warning": Look("!", "warning", "open"),
    "failure": Look("✗", "failure", "bad"),
    "unproven": Look("?", "unproven", "open"),
}

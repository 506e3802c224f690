"""The signs, words and tints of console and page: one table for each kind of result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from harness.analysis.host_check import Outcome as CheckOutcome
from harness.analysis.statistics import VerdictKind
from harness.values.record import Severity

Tint = Literal["none", "quiet", "good", "open", "bad"]

Kind = Literal["ok", "degraded", "skipped", "oom", "lost", "timeout", "disk_full", "error", "invalid"]
"""The outcomes of runs: a status, or a validity that is more important."""


class Look(NamedTuple):
    """A sign, a word and the name of a tint, so that nothing depends on colour alone."""

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
"""In the order of counts: ok first, what needs attention last."""

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

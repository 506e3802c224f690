"""Outcomes: how the end of an invocation is shown, everywhere.

An outcome joins the status (how the invocation ended) with the validity (whether it may be believed). What is invalid
is never called ok, and never counted as ok. Console, page and exports take sign, word and tint from ``signs``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.findings import catalogue
from harness.analysis.signs import LOOKS, Kind, Look
from harness.values.record import FAILED, Finding, Record, Severity, Status, Validity

WORST_FIRST: tuple[Kind, ...] = tuple(reversed(list(LOOKS)))
"""What needs a cure first."""

NO_RESULT: frozenset[Kind] = frozenset({"lost", "timeout", "disk_full", "error", "invalid"})
"""Outcomes that leave nothing to use: they are listed at a session's end, and make a run exit with 1."""

_SEVERITY: Mapping[Kind, Severity] = {"invalid": "error", "degraded": "warning"}
_MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one invocation is shown. ``reason`` is a few words, empty where the kind says all."""

    kind: Kind
    reason: str = ""

    @property
    def look(self) -> Look:
        """Sign, word and tint."""
        return LOOKS[self.kind]

    @property
    def text(self) -> str:
        """``ok``, ``invalid: does other work``: the words without the sign."""
        return f"{self.look.word}: {self.reason}" if self.reason else self.look.word

    def __str__(self) -> str:
        return f"{self.look.sign} {self.text}"


_OK = Outcome("ok")


def judge_outcome(status: Status, validity: Validity, findings: Sequence[Finding] = ()) -> Outcome:
    """Name the outcome of an invocation.

    What is invalid is shown as invalid: also an error that came of it, a loader that was not measured because it does
    other work, and a death under a limit that was not enforced. A timeout, a full disk and what was lost stay what they
    are, for the findings do not explain them.
    """
    if status in FAILED and not (status == "error" and validity == "invalid"):
        return Outcome(status, _say_reasons("invalid", findings, "invalid: ") if validity == "invalid" else "")
    if validity == "invalid":
        return Outcome("invalid", _say_reasons("invalid", findings))
    if validity == "degraded" and status in ("ok", "oom"):
        reasons = _say_reasons("degraded", findings, "disturbed: " if status == "oom" else "")
        return Outcome("degraded" if status == "ok" else status, reasons)
    return Outcome(status)


def outcome_of(record: Record) -> Outcome:
    """Name the outcome of a record."""
    if record.status == "ok" and record.validity == "valid":
        return _OK  # nearly all of very many
    return judge_outcome(record.status, record.validity, record.findings)


def explain_outcome(record: Record) -> str:
    """Say in one line why an invocation has no usable result, or what disturbed it; empty where it is ok.

    Of what is invalid the findings say why: the error that came of it, often in a library's words, is for its log.
    """
    kind = outcome_of(record).kind
    severity = _SEVERITY.get("invalid" if record.validity == "invalid" else kind)
    said = [finding.message for finding in record.findings if finding.severity == severity]
    if record.cause and not (kind == "invalid" and said):
        said.insert(0, record.cause)
    return "; ".join(dict.fromkeys(" ".join(text.split()) for text in said if text.strip()))


def count_outcomes(records: Iterable[Record]) -> dict[Kind, int]:
    """Count records by outcome, in the order of ``LOOKS``; kinds without a record are left out."""
    found = Counter(outcome_of(record).kind for record in records)
    return {kind: found[kind] for kind in LOOKS if kind in found}


def say_counts(counts: Mapping[Kind, int]) -> str:
    """``6 ok, 2 disturbed, 11 invalid``; empty where nothing is counted."""
    return ", ".join(f"{counts[kind]} {look.word}" for kind, look in LOOKS.items() if counts.get(kind))


def say_places(records: Iterable[Record], most: int = 8) -> str:
    """``ws01, rounds 1, 2, 3; ws02, round 1``: the hosts and rounds of records; of many hosts the first ones."""
    by_host: dict[str, set[int]] = {}
    for record in records:
        by_host.setdefault(record.host, set()).add(record.round)
    said = []
    for host, rounds in sorted(by_host.items()):
        numbers = ", ".join(str(number) for number in sorted(rounds)[:12])
        more = ", …" if len(rounds) > 12 else ""
        said.append(f"{host}, round{'s' if len(rounds) > 1 else ''} {numbers}{more}")
    shown = "; ".join(said[:most])
    return shown if len(said) <= most else f"{shown}; and {len(said) - most} more hosts"


def name_reason(finding: str) -> str:
    """A finding, by its id, in a few words."""
    entry = catalogue().get(finding)
    return (entry.reason if entry else "") or finding.replace("-", " ")


def _say_reasons(kind: Kind, findings: Sequence[Finding], before: str = "") -> str:
    reasons = list(dict.fromkeys(name_reason(one.id) for one in findings if one.severity == _SEVERITY[kind]))
    if not reasons:
        return before.rstrip(": ")
    more = f" and {len(reasons) - _MOST_REASONS} more" if len(reasons) > _MOST_REASONS else ""
    return before + ", ".join(reasons[:_MOST_REASONS]) + more


def is_done_again(record: Record) -> bool:
    """Whether the same command measures an invocation again: it is lost, or its host was paused meanwhile."""
    return record.status == "lost" or any(finding.id == "host-paused" for finding in record.findings)

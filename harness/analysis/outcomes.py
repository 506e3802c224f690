"""Outcomes: how the end of a run is shown on console and page and in exports.

An outcome joins the status (how the run ended) with the validity (whether its figures can be used). An invalid run is
never shown or counted as ok. ``signs`` has the sign, word and tint of each outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.findings import catalogue
from harness.analysis.signs import LOOKS, Kind, Look
from harness.values.record import FAILED, Finding, Record, Severity, Status, Validity

WORST_FIRST: tuple[Kind, ...] = tuple(reversed(list(LOOKS)))
"""The outcomes in the order in which they need attention."""

NO_RESULT: frozenset[Kind] = frozenset({"lost", "timeout", "disk_full", "error", "invalid"})
"""Outcomes without usable figures: they are listed at the end of a session, and `harness run` exits with 1."""

_SEVERITY: Mapping[Kind, Severity] = {"invalid": "error", "degraded": "warning"}
_MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run is shown; ``reason`` is a few words, empty where the kind is enough."""

    kind: Kind
    reason: str = ""

    @property
    def look(self) -> Look:
        """Return sign, word and tint."""
        return LOOKS[self.kind]

    @property
    def text(self) -> str:
        """Return the words without the sign: ``invalid: does other work``, ``out of memory (the host was busy)``."""
        if not self.reason:
            return self.look.word
        is_cause = self.kind in (*_SEVERITY, "skipped")  # else a remark on a run that ended for another reason
        return f"{self.look.word}: {self.reason}" if is_cause else f"{self.look.word} ({self.reason})"

    def __str__(self) -> str:
        return f"{self.look.sign} {self.text}"


_OK = Outcome("ok")


def judge_outcome(status: Status, validity: Validity, findings: Sequence[Finding] = ()) -> Outcome:
    """Return the outcome of a run.

    An invalid run is shown as invalid, also if it ended with an error for that reason, was not measured because its
    loader does other work, or ran out of memory under a limit that was not enforced. A timeout, a full disk and a lost
    run keep their status, since findings do not explain them.
    """
    if status in FAILED and not (status == "error" and validity == "invalid"):
        return Outcome(status, _say_reasons("invalid", findings, "invalid: ") if validity == "invalid" else "")
    if validity == "invalid":
        return Outcome("invalid", _say_reasons("invalid", findings))
    if validity == "degraded" and status in ("ok", "oom"):
        return Outcome("degraded" if status == "ok" else status, _say_reasons("degraded", findings))
    return Outcome(status)


def outcome_of(record: Record) -> Outcome:
    """Return the outcome of a record."""
    if record.status == "ok" and record.validity == "valid":
        return _OK  # the usual case, for speed
    return judge_outcome(record.status, record.validity, record.findings)


def read_outcome(kind: str, reason: str = "") -> Outcome:
    """Return an outcome as an event has it, in text; an unknown one counts as lost."""
    return next((Outcome(known, reason) for known in LOOKS if known == kind), Outcome("lost"))


def explain_outcome(record: Record) -> str:
    """Return in one line why a run has no usable result, or what disturbed it; empty where it is ok.

    For an invalid run these are its findings; the error that followed from them is in its log.
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
    """Return ``6 ok, 2 disturbed, 11 invalid``; empty where nothing is counted."""
    return ", ".join(f"{counts[kind]} {look.word}" for kind, look in LOOKS.items() if counts.get(kind))


def say_places(records: Iterable[Record], most: int = 8) -> str:
    """Return the hosts and rounds of records, ``ws01, rounds 1, 2, 3; ws02, round 1``; of many hosts the first."""
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
    """Return the reason of a finding in a few words, by its id."""
    entry = catalogue().get(finding)
    return (entry.reason if entry else "") or finding.replace("-", " ")


def _say_reasons(kind: Kind, findings: Sequence[Finding], before: str = "") -> str:
    reasons = list(dict.fromkeys(name_reason(one.id) for one in findings if one.severity == _SEVERITY[kind]))
    if not reasons:
        return before.rstrip(": ")
    more = f" and {len(reasons) - _MOST_REASONS} more" if len(reasons) > _MOST_REASONS else ""
    return before + ", ".join(reasons[:_MOST_REASONS]) + more


def is_done_again(record: Record) -> bool:
    """Return whether the same command measures a run again: it is lost, or its host was paused meanwhile."""
    return record.status == "lost" or any(finding.id == "host-paused" for finding in record.findings)

"""Whether an invocation may be believed: pure rules (``rules``) over its record, its host's facts and its peers.

The same rules judge a record while its session runs and an old session when a report is made. ``peers`` are
other records of the session: with more of them a rule can see more. ``docs/findings.md`` documents each finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.analysis.findings import catalogue, load_families
from harness.analysis.rules.work import DIFFERS, UNPROVEN, find_work
from harness.values.facts import Facts
from harness.values.record import Finding, Record, Validity
from harness.values.work import is_proven, work_key


def judge_record(
    record: Record, facts: Facts | None = None, peers: Sequence[Record] = ()
) -> tuple[Validity, tuple[Finding, ...]]:
    """Findings of one invocation, and the worst of them as its validity."""
    if not record.evidence:
        return record.validity, record.findings  # it left nothing to judge: skipped, refused or lost
    found = [one for family in load_families() if family.judge for one in family.judge(record, facts, peers)]
    return worst(found), tuple(found)


def judge_all(records: Iterable[Record], facts: Mapping[str, Facts] | None = None) -> list[Record]:
    """All records of one session, judged again with all others as peers; findings of unknown ids are kept."""
    known = list(records)
    by_case: dict[tuple[str, str], list[Record]] = {}
    for record in known:
        by_case.setdefault((record.host, record.case_id), []).append(record)
    firsts = first_on_hosts(known)
    refuted = {_work_of(record): found for record in known for found in find_work(record) if found.id == DIFFERS}
    judged = []
    for record in known:
        peers = [*by_case[record.host, record.case_id], *firsts]
        _, found = judge_record(record, (facts or {}).get(record.host), peers)
        if (differs := refuted.get(_work_of(record))) and not is_proven(record.environment):
            found = found if any(one.id == DIFFERS for one in found) else (differs, *_without(UNPROVEN, found))
        kept = [one for one in record.findings if one.id not in catalogue() and one not in found]
        every = (*found, *kept)
        judged.append(record.model_copy(update={"findings": every, "validity": worst(every)}))
    return judged


def first_on_hosts(records: Iterable[Record]) -> list[Record]:
    """The record of each host that began first."""
    first: dict[str, Record] = {}
    for record in records:
        if record.started_at is not None:
            held = first.get(record.host)
            if held is None or (held.started_at or "") > record.started_at:
                first[record.host] = record
    return list(first.values())


def worst(findings: Iterable[Finding]) -> Validity:
    """What findings come to: an error is ``invalid``, a warning ``degraded``."""
    severities = {finding.severity for finding in findings}
    return "invalid" if "error" in severities else "degraded" if "warning" in severities else "valid"


def _without(identifier: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    return (finding for finding in findings if finding.id != identifier)


def _work_of(record: Record) -> tuple[str, str]:
    """Equal for records of one host whose loaders do the same work in the same way."""
    return record.host, work_key(record.case, record.case.data)

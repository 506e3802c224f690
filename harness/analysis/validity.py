"""Validity of a run, by pure rules (``rules``) over its record, its host's facts and its peers.

The same rules judge a record while its session runs, and again when a report is made. ``peers`` are other records of
the session: with more of them a rule may find more. ``docs/findings.md`` documents each finding.
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
    """Return the validity and the findings of a run; the worst finding decides the validity."""
    if not record.evidence:
        return record.validity, record.findings  # there is nothing to judge: skipped, refused or lost
    found = [one for family in load_families() if family.judge for one in family.judge(record, facts, peers)]
    return worst(found), tuple(found)


def judge_all(records: Iterable[Record], facts: Mapping[str, Facts] | None = None) -> list[Record]:
    """Judge all records of a session again, with all others as peers; findings with unknown ids are kept."""
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
    """Return the first record of each host, by its start."""
    first: dict[str, Record] = {}
    for record in records:
        if record.started_at is not None:
            held = first.get(record.host)
            if held is None or (held.started_at or "") > record.started_at:
                first[record.host] = record
    return list(first.values())


def worst(findings: Iterable[Finding]) -> Validity:
    """Return the validity of findings: ``invalid`` with an error, ``degraded`` with a warning, else ``valid``."""
    severities = {finding.severity for finding in findings}
    return "invalid" if "error" in severities else "degraded" if "warning" in severities else "valid"


def _without(identifier: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    return (finding for finding in findings if finding.id != identifier)


def _work_of(record: Record) -> tuple[str, str]:
    """Return a key that is equal for records of one host whose loaders do the same work in the same way."""
    return record.host, work_key(record.case, record.case.data)

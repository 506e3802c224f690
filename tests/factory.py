"""Records of invented invocations: every test of this tree gets its records here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.session.invocations import Invocation
from harness.values.case import Case
from harness.values.record import Record


def plain_record(case: Case | None = None, /, **fields: Any) -> Record:
    """Return an ``ok`` record of a case, without epochs; ``fields`` are what the test is about."""
    case = fields.get("case") or case or Case(data="d", loader="tfdata")
    plain: dict[str, Any] = {
        "session": "s",
        "experiment": "e",
        "invocation": "i",
        "attempt": 1,
        "host": "h",
        "hardware": "hw",
        "engine": "process",
        "image_digest": "1" * 64,
        "payload_digest": "2" * 64,
        "data_fingerprint": "3" * 64,
        "case": case,
        "case_id": case.case_id,
        "round": 1,
        "order": 1,
        "status": "ok",
    }
    return Record(**{**plain, **fields})


def without_repeats(records: Iterable[Record]) -> list[Record]:
    """Leave out what was done once more because it was disturbed: how often that is, depends on who else computes."""
    measured: set[str] = set()
    found = []
    for record in records:
        if record.invocation not in measured or record.status == "skipped":
            found.append(record)
        if record.status == "ok" and record.validity != "invalid":
            measured.add(record.invocation)
    return found


def record_of(item: Invocation, **fields: Any) -> Record:
    """Return the record that a session writes of an invocation it had planned."""
    planned: dict[str, Any] = {
        "invocation": item.identity,
        "attempt": item.attempt,
        "host": item.host,
        "alias": item.alias,
        "round": item.round,
        "order": item.order,
    }
    return plain_record(item.case, **{**planned, **fields})

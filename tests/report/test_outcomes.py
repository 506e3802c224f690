"""One rule for how the end of a run is shown: what is invalid is never ok."""

from __future__ import annotations

from typing import Any

import pytest
from builder import make_case, make_finding, make_oom, make_record

from harness.analysis.findings import catalogue, find
from harness.analysis.outcomes import (
    Outcome,
    count_outcomes,
    explain_outcome,
    judge_outcome,
    outcome_of,
    say_counts,
    say_places,
)
from harness.analysis.signs import LOOKS
from harness.values.record import Finding

WORK = find("work-differs", "mine does not do the same work as the others: it drops the last batch", "mend the loader")
BUSY = find("host-busy", "other programs used 1.20 of 2 CPUs during the run", "measure again")
STOLEN = find("cpu-stolen", "the hypervisor took 4.0 % of the CPU time", "measure elsewhere")


@pytest.mark.parametrize(
    ("status", "validity", "findings", "shown"),
    [
        ("ok", "valid", (), "✓ ok"),
        ("ok", "invalid", (WORK,), "✗ invalid: does other work"),
        ("skipped", "invalid", (WORK,), "✗ invalid: does other work"),
        ("oom", "invalid", (find("limit-not-enforced", "m", "h"),), "✗ invalid: memory limit not enforced"),
        ("ok", "degraded", (BUSY, STOLEN), "~ disturbed: the host was busy, CPU time was stolen"),
        ("oom", "degraded", (BUSY,), "⊠ out of memory (the host was busy)"),
        ("oom", "valid", (), "⊠ out of memory"),
        ("skipped", "valid", (), "∅ skipped"),
        ("timeout", "invalid", (WORK,), "◷ timeout (invalid: does other work)"),
        ("error", "valid", (), "! error"),
        ("error", "invalid", (WORK,), "✗ invalid: does other work"),
        ("error", "degraded", (BUSY,), "! error"),
        ("lost", "degraded", (BUSY,), "? lost"),
        ("disk_full", "valid", (), "▣ disk full"),
        ("ok", "invalid", (), "✗ invalid"),
        ("ok", "invalid", (WORK, BUSY), "✗ invalid: does other work"),
    ],
)
def test_status_and_validity_make_one_outcome(status: Any, validity: Any, findings: Any, shown: str) -> None:
    assert str(judge_outcome(status, validity, findings)) == shown


def test_each_outcome_has_a_sign_and_a_word_of_its_own() -> None:
    assert len({look.sign for look in LOOKS.values()}) == len({look.word for look in LOOKS.values()}) == len(LOOKS) == 9


def test_each_finding_that_makes_invalid_or_disturbed_has_a_short_reason() -> None:
    lacking = [name for name, one in catalogue().items() if one.scope == "invocation" and one.severity != "info"]
    assert [name for name in lacking if not catalogue()[name].reason] == []
    assert max(len(one.reason) for one in catalogue().values()) <= 30


def test_a_finding_of_another_version_is_named_by_its_id() -> None:
    foreign = Finding(id="moon-was-full", severity="error", message="m", hint="h")
    assert judge_outcome("ok", "invalid", (foreign,)) == Outcome("invalid", "moon was full")


def test_many_reasons_are_cut() -> None:
    many = [make_finding(f"reason-{number}", "error") for number in range(5)]
    assert judge_outcome("ok", "invalid", many).reason == "reason 0, reason 1, reason 2 and 2 more"


def test_an_invalid_record_is_never_counted_as_ok() -> None:
    case = make_case()
    records = [make_record(case, round=number) for number in range(6)]
    records += [make_record(case, round=number, validity="invalid", findings=(WORK,)) for number in range(11)]
    records += [make_record(case, validity="degraded", findings=(BUSY,)), make_oom(case)]
    counts = count_outcomes(records)
    assert counts == {"ok": 6, "degraded": 1, "oom": 1, "invalid": 11}
    assert say_counts(counts) == "6 ok, 1 disturbed, 1 out of memory, 11 invalid"
    assert say_counts({}) == ""


def test_an_outcome_is_explained_in_full() -> None:
    case = make_case()
    assert explain_outcome(make_record(case)) == ""
    assert explain_outcome(make_record(case, validity="invalid", findings=(BUSY, WORK))) == WORK.message
    assert explain_outcome(make_record(case, validity="degraded", findings=(BUSY,))) == BUSY.message
    skipped = make_record(case, status="skipped", validity="invalid", findings=(WORK,), cause="not measured", epochs=())
    assert explain_outcome(skipped) == WORK.message
    shapes = "Shape of tensor zeros [8,128]\n\t [[{{node EnsureShape}}]]"
    broken = make_record(case, status="error", validity="invalid", findings=(WORK,), cause=shapes, epochs=())
    assert explain_outcome(broken) == WORK.message
    assert explain_outcome(broken.model_copy(update={"validity": "valid", "findings": ()})) == (
        "Shape of tensor zeros [8,128] [[{{node EnsureShape}}]]"
    )
    late = make_record(case, status="timeout", validity="invalid", findings=(WORK,), cause="not done", epochs=())
    assert explain_outcome(late) == f"not done; {WORK.message}"
    assert outcome_of(skipped).kind == "invalid"
    assert explain_outcome(make_oom(case)).startswith("killed by the kernel at its memory limit")


def test_places_name_hosts_and_rounds() -> None:
    records = [make_record(make_case(), host=host, round=number) for host in ("b", "a") for number in (3, 1)]
    assert say_places(records) == "a, rounds 1, 3; b, rounds 1, 3"
    assert say_places(records[:1]) == "b, round 3"
    many = [make_record(make_case(), host=f"h{number}") for number in range(10)]
    assert say_places(many, most=2) == "h0, round 1; h1, round 1; and 8 more hosts"

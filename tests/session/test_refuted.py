"""A loader that does other work is not measured: recorded once, as invalid, and tried again when it is mended."""

# mypy: disable-error-code="index"

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from stub import stub_cases, stub_setup

from harness.analysis.outcomes import outcome_of
from harness.analysis.validity import judge_all
from harness.engine.kinds.process import ProcessEngine
from harness.experiment import expand, parse_experiment
from harness.hosts.local import LocalConnection
from harness.records.folder import SessionFolder
from harness.records.journal import Journal
from harness.session.collect import SessionIdentity, build_skipped
from harness.session.invocations import HostDigests, Invocation, is_done, plan_host, remaining
from harness.session.run_options import RunOptions
from harness.session.runner import HostRunner, RunSettings
from harness.session.setup import HostSetup
from harness.values.case import Case
from harness.values.event import Event, SessionFinding
from harness.values.record import TRIAL, Record
from harness.values.work import WorkProof, read_proof, unproven, work_key
from harness.workflow.planning import PlannedHost, refusals_of
from harness.workflow.resolve import Resolved
from harness.workflow.run.rounds import HostRounds
from harness.workflow.run.searching import search_limits

SOUND, ODD = (
    case.model_copy(update={"loader": name}) for case, name in zip(stub_cases(2), ("tfdata", "grain"), strict=False)
)
FAILS = WorkProof(
    is_proven=True, problems=("its pictures are upside down (81 of 81 pictures)",), log="logs/here/x-1.log"
)
PROVEN = WorkProof(is_proven=True)
IDENTITY = SessionIdentity("s", "e", "s.1")


@pytest.fixture
def setup(tmp_path: Path) -> HostSetup:
    for name in ("scratch", "data"):
        (tmp_path / name).mkdir()
    connection = LocalConnection("here")
    engine = ProcessEngine(connection, scratch=str(tmp_path / "scratch"))
    return stub_setup(engine, connection, tmp_path / "scratch", tmp_path / "data")


def prove(setup: HostSetup, proof: WorkProof) -> HostSetup:
    proofs = {work_key(SOUND, "folder"): PROVEN, work_key(ODD, "folder"): proof}
    return replace(setup, samework=proofs, engine_facts=replace(setup.engine_facts, can_limit_memory=True))


def plan(setup: HostSetup, rounds: int) -> tuple[Invocation, ...]:
    cases = (SOUND, ODD)
    return plan_host(
        HostDigests("here", "1" * 64, "5" * 64, {"tiny": "2" * 64}),
        cases,
        rounds=rounds,
        order=lambda given, _number: given,
        limits={case.case_id: 10**8 for case in cases},
        predictions={},
        refusals=refusals_of(cases, PlannedHost.of(setup), {}),
    )


def measured(setup: HostSetup, invocation: Invocation, samework: dict[str, object]) -> Record:
    record = build_skipped(IDENTITY, setup, invocation, reason="", at="2026-01-01T00:00:00Z")
    fields = {"status": "ok", "validity": "degraded", "findings": (), "evidence": {"child": 0}, "cause": None}
    return record.model_copy(update={**fields, "environment": {"samework": samework}})


def test_it_is_planned_once_and_recorded_as_invalid(setup: HostSetup) -> None:
    planned = plan(prove(setup, FAILS), 3)
    assert [(one.case.loader, one.round, one.order) for one in planned] == [
        ("tfdata", 1, 1), ("grain", 1, 2), ("tfdata", 2, 1), ("tfdata", 3, 1),
    ]  # fmt: skip
    odd = planned[1]
    words = "grain does not do the same work as the others: its pictures are upside down (81 of 81 pictures)"
    assert (odd.skip, odd.is_refuted) == (words, True)
    assert odd.identity == plan(prove(setup, PROVEN), 3)[1].identity
    record = build_skipped(IDENTITY, prove(setup, FAILS), odd, reason=odd.skip or "", at="2026-01-01T00:00:00Z")
    assert (record.status, record.validity, record.cause, record.log) == (
        "skipped",
        "invalid",
        words,
        "logs/here/x-1.log",
    )
    (finding,) = record.findings
    assert (finding.id, finding.severity, finding.message) == ("work-differs", "error", words)
    assert "not measured" in finding.hint and "full error: logs/here/x-1.log" in finding.hint
    assert record.environment["samework"]["problems"] == ["its pictures are upside down (81 of 81 pictures)"]
    assert str(outcome_of(record)) == "✗ invalid: does other work"
    (judged,) = judge_all([record])
    assert (judged.validity, judged.findings) == ("invalid", record.findings)


def test_it_stays_so_until_it_is_mended(setup: HostSetup) -> None:
    refuted, mended = prove(setup, FAILS), prove(setup, PROVEN)
    odd = plan(refuted, 2)[1]
    record = build_skipped(IDENTITY, refuted, odd, reason=odd.skip or "", at="2026-01-01T00:00:00Z")
    for rerun in (False, True):
        left = remaining(plan(refuted, 2), [record], rerun_failed=rerun)
        assert [one.case.loader for one in left] == ["tfdata", "tfdata"]
    again = [one for one in remaining(plan(mended, 2), [record], rerun_failed=False) if one.case.loader == "grain"]
    assert [(one.round, one.attempt, one.skip) for one in again] == [(1, 2, None), (2, 1, None)]


def test_what_was_measured_unproven_does_not_stand_when_it_is_refuted(setup: HostSetup) -> None:
    """The proof could not be had at first; the same command then finds that the loader does other work."""
    refuted = prove(setup, FAILS)
    rounds = [one for one in plan(prove(setup, unproven("no disk")), 2) if one.case.loader == "grain"]
    before = [measured(setup, one, unproven("no disk").as_fields()) for one in rounds]
    assert len(before) == 2
    (todo,) = [one for one in remaining(plan(refuted, 2), before, rerun_failed=False) if one.case.loader == "grain"]
    assert (todo.round, todo.attempt) == (1, 2)
    record = build_skipped(IDENTITY, refuted, todo, reason=todo.skip or "", at="2026-01-01T00:00:00Z")
    judged = judge_all([record, before[1]])
    assert [one.validity for one in judged] == ["invalid", "invalid"]
    assert [one.id for one in judged[1].findings].count("work-differs") == 1
    assert "work-unproven" not in [one.id for one in judged[1].findings]
    proven = measured(setup, rounds[0], PROVEN.as_fields())
    assert is_done(proven, skip=todo.skip, rerun_failed=False, is_refuted=True)  # was proven when it was measured
    assert [one.id for one in judge_all([record, proven])[1].findings].count("work-differs") == 0


def test_a_search_for_its_limits_leaves_one_record(setup: HostSetup, tmp_path: Path) -> None:
    refuted = prove(setup, FAILS)
    folder = SessionFolder(tmp_path / "session")
    journal = Journal(folder)
    events: list[Event] = []
    settings = RunSettings(IDENTITY, folder, seed=1, timeout_s=60.0)
    text = "{parameters: {data: tiny, loader: grain, batch_size: 9, memory_limit: search}}"
    experiment = parse_experiment(text, "search.yaml")
    matrix = expand(experiment)
    (case,) = matrix.cases
    resolved = Resolved(None, (), experiment, "", matrix, matrix.cases, is_part=False)  # type: ignore[arg-type]
    on = HostRounds(
        resolved=resolved,
        setup=refuted,
        digests=HostDigests("here", "1" * 64, "5" * 64, {"tiny": "2" * 64}),
        folder=folder,
        journal=journal,
        runner=HostRunner(settings, refuted, journal, events.append, threading.Event()),
        emit=events.append,
        options=RunOptions(Path("lab.yaml")),
    )
    for _ in range(2):
        identities = search_limits([case], on)
        (record,) = journal.records_of("here")
        assert identities == {record.invocation}
        assert (record.status, record.validity, record.alias) == ("skipped", "invalid", TRIAL)
    assert not [event for event in events if isinstance(event, SessionFinding)]
    journal.close()


def test_what_a_job_says_is_bounded_and_makes_sense() -> None:
    proof = read_proof(
        {"is_proven": True, "problems": ["a\x1b[31m\tb" + "x" * 9000] * 50, "trace": "y" * 90_000, "z": 1}
    )
    assert len(proof.problems) == 12 and proof.problems[0].startswith("a [31m bx") and len(proof.problems[0]) == 400
    assert len(proof.trace or "") == 20_000 and "trace" not in proof.as_fields()
    nonsense: object
    for nonsense in (None, [], {"is_proven": "perhaps"}, {"is_proven": True, "pixel_difference": float("nan")}):
        assert read_proof(nonsense) == unproven("its result is not valid")


def test_cases_that_do_the_same_work_share_a_proof() -> None:
    other = Case(data="d", loader="tfdata", batch_size=4, image_size=(9, 9), memory_limit=10**9)
    assert work_key(other, "folder") == work_key(Case(data="d", loader="tfdata"), "folder")
    assert work_key(other, "coco") != work_key(other, "folder")
    assert work_key(other.model_copy(update={"cache": "memory"}), "folder") != work_key(other, "folder")

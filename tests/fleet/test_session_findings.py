"""What a session says of itself and of its hosts beside the records: each finding where it belongs, by its id."""

# mypy: disable-error-code="union-attr"

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from fleet_clock import SimulatedClock
from fleet_session import INVOCATIONS, TROUBLES, Outcome, Workstation, fleet_world, make_fleet, run_fleet

from harness.analysis.stage_settings import stage_key
from harness.console import Console
from harness.engine.interface import Engine
from harness.engine.kinds import docker
from harness.records.session_data import read_session
from harness.report import page
from harness.session.run_options import RunOptions
from harness.ship.kept_settings import Found
from harness.values.errors import EngineUnavailable
from harness.values.event import SessionFinding
from harness.values.rehearsal import Rehearsal
from harness.values.stages import StageCosts
from harness.workflow.run import proving, stage_costing
from harness.workflow.run.run import run_session


def fleet_of(count: int, clock: SimulatedClock, **troubles: str) -> list[Workstation]:
    """Hosts without trouble but for those named (``ws0000="dead"``)."""
    fleet = make_fleet(count, clock, troubled=0.0, kinds=1)
    for one in fleet:
        one.trouble = troubles.get(one.name, "none")
        assert one.trouble in TROUBLES
        if one.trouble in ("dead", "gone"):
            one.machine.away = ((0.0 if one.trouble == "dead" else 2000.0, float("inf")),)
    return fleet


def findings_of(outcome: Outcome, named: str) -> list[dict[str, Any]]:
    """Those of an id, once each."""
    return [event for event in outcome.events if event["event"] == "SessionFinding" and event["id"] == named]


def test_a_session_without_trouble_says_nothing_of_these(tmp_path: Path) -> None:
    clock = SimulatedClock()
    outcome = run_fleet(tmp_path, fleet_of(2, clock), clock)
    said = {event["id"] for event in outcome.events if event["event"] == "SessionFinding"}
    assert outcome.code == 0
    assert not said & {"cut-line", "max-fail", "lock-left", "report-failed", "engine-fallback", "not-rehearsed"}
    assert "stages-unknown" not in said


def test_images_that_are_left_out_are_listed_beside_the_session_and_counted_on_the_page(tmp_path: Path) -> None:
    clock = SimulatedClock()
    outcome = run_fleet(tmp_path, fleet_of(1, clock), clock, skip_unreadable=True)
    listed = outcome.folder.left_out_file("ws0000", "pets")
    assert listed.read_text() == "path\treason\ncat/9.jpg\tit is not an image\n…\tand 2 more\n"
    assert "3 images that not every loader reads" in outcome.folder.report_file.read_text()
    (ready,) = [event for event in outcome.events if event["event"] == "DataReady"]
    assert ready["skipped"] == 3
    assert ready["said"][0] == "one folder of images per class: 2 classes (cat, dog), 100 images"


def test_a_half_written_line_is_cut_off_and_said_and_its_job_measured_again(tmp_path: Path) -> None:
    clock = SimulatedClock()
    fleet = fleet_of(1, clock)
    outcome = run_fleet(tmp_path, fleet, clock)
    (written,) = [file for file in outcome.folder.path.rglob("*.jsonl") if "records" in str(file)]
    lines = written.read_text().splitlines()
    written.write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:50])  # a power cut in the middle of the last record
    again = run_fleet(tmp_path, fleet, clock)
    (found,) = findings_of(again, "cut-line")
    assert found["severity"] == "info" and lines[-1][:20] in found["message"]
    assert len(again.records) == INVOCATIONS and again.statuses("ws0000") == outcome.statuses("ws0000")
    assert fleet[0].program.measured == INVOCATIONS + 1


def test_more_failed_hosts_than_allowed_end_the_session(tmp_path: Path) -> None:
    clock = SimulatedClock()
    fleet = fleet_of(4, clock, ws0000="gone", ws0001="gone")
    outcome = run_fleet(tmp_path, fleet, clock, max_fail_percent=25)
    (found,) = findings_of(outcome, "max-fail")
    assert found["severity"] == "error" and "2 of 4" in found["message"]
    for one in fleet[2:]:
        assert 1 <= outcome.statuses(one.name).total() == one.program.measured < INVOCATIONS  # what ran was fetched
        assert not one.jobs.jobs and one.machine.lock is None


def test_as_many_failed_hosts_as_allowed_end_nothing(tmp_path: Path) -> None:
    clock = SimulatedClock()
    outcome = run_fleet(tmp_path, fleet_of(4, clock, ws0000="dead"), clock, max_fail_percent=25)
    assert not findings_of(outcome, "max-fail")
    assert len(outcome.records) == 3 * INVOCATIONS


def test_a_host_that_goes_for_good_keeps_its_lock_which_is_said(tmp_path: Path) -> None:
    clock = SimulatedClock()
    fleet = fleet_of(2, clock, ws0000="gone")
    outcome = run_fleet(tmp_path, fleet, clock)
    (found,) = findings_of(outcome, "lock-left")
    assert (found["host"], found["severity"]) == ("ws0000", "info") and "harness unlock" in found["hint"]
    assert fleet[0].machine.lock is not None and fleet[1].machine.lock is None


def test_a_report_that_cannot_be_made_costs_no_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_sources: list[Path], _file: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page, "write_report", full)
    clock = SimulatedClock()
    outcome = run_fleet(tmp_path, fleet_of(1, clock), clock)
    found = findings_of(outcome, "report-failed")
    assert found and "No space left on device" in found[-1]["message"] and "harness report" in found[-1]["hint"]
    assert len(outcome.records) == INVOCATIONS and not outcome.folder.report_file.exists()


def test_a_host_without_docker_is_measured_by_process_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        def probe(self, _image: str) -> None:
            raise EngineUnavailable("no Docker socket", where="ws0000", hint="start it")

    monkeypatch.setattr(docker, "SPEC", replace(docker.SPEC, make=lambda _means: cast(Engine, Silent())))
    clock = SimulatedClock()
    outcome = run_fleet(tmp_path, fleet_of(1, clock), clock, engine="auto")
    (found,) = findings_of(outcome, "engine-fallback")
    assert (found["host"], found["severity"]) == ("ws0000", "warning")
    assert "no Docker socket" in found["message"] and "using `process`" in found["message"]
    assert {record.engine for record in outcome.records} == {"process"}


def test_a_setting_that_could_not_be_rehearsed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_on: object, settings: Mapping[str, object], *_more: object, **_named: object) -> Found[Rehearsal]:
        return Found({}, {min(settings): "the trial was killed"})

    monkeypatch.setattr(proving, "rehearse", refuse)
    clock = SimulatedClock()
    outcome = run_fleet(tmp_path, fleet_of(1, clock), clock)
    (found,) = findings_of(outcome, "not-rehearsed")
    assert (found["host"], found["severity"]) == ("ws0000", "info") and "the trial was killed" in found["message"]
    assert len(outcome.records) == INVOCATIONS
    assert {record.predictions.basis for record in outcome.records} == {"formula"}


def test_every_setting_is_rehearsed(tmp_path: Path) -> None:
    clock = SimulatedClock()
    outcome = run_fleet(tmp_path, fleet_of(1, clock), clock)
    assert {record.predictions.basis for record in outcome.records} == {"rehearsal"}
    assert {record.predictions.rehearsed_images for record in outcome.records} == {400}


def test_what_stages_cost_is_found_once_for_each_loader_setting_and_stands_in_every_record(tmp_path: Path) -> None:
    clock = SimulatedClock()
    fleet = fleet_of(1, clock)
    outcome = run_fleet(tmp_path, fleet, clock)
    asked, records = list(fleet[0].program.costed), outcome.records
    assert len(asked) == len(set(asked)) == len({stage_key(record.case) for record in records})
    assert all(record.stages is not None and record.stages.images == 96 for record in records)
    again = run_fleet(tmp_path, fleet, clock, rounds=2)
    assert len(again.records) > len(records) and fleet[0].program.costed == asked, "it is kept on the host"
    assert all(record.stages is not None for record in again.records)


def test_without_them_no_stage_is_looked_for(tmp_path: Path) -> None:
    clock = SimulatedClock()
    fleet = fleet_of(1, clock)
    outcome = run_fleet(tmp_path, fleet, clock, skip_stages=True)
    assert fleet[0].program.costed == [] and {record.stages for record in outcome.records} == {None}


def test_a_loader_whose_stages_could_not_be_found_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_on: object, settings: Mapping[str, object], *_more: object, **_named: object) -> Found[StageCosts]:
        return Found({}, {min(settings): "it was ended by signal 9"})

    monkeypatch.setattr(stage_costing, "cost_stages", refuse)
    clock = SimulatedClock()
    outcome = run_fleet(tmp_path, fleet_of(1, clock), clock)
    (found,) = findings_of(outcome, "stages-unknown")
    assert (found["host"], found["severity"]) == ("ws0000", "info") and "signal 9" in found["message"]
    assert outcome.code == 0 and len(outcome.records) == INVOCATIONS


def test_the_same_work_check_and_the_trial_runs_count_against_the_budget(tmp_path: Path) -> None:
    clock = SimulatedClock()
    with fleet_world(tmp_path, fleet_of(1, clock), clock) as files:
        with Path(files["experiment"]).open("a") as stream:
            stream.write("budget: 100s\n")
        assert run_session(Console(quiet=True), RunOptions(**files, name="short")) == 0
    session = read_session(tmp_path / "reports" / "short", kinds=None)
    found = {each.id: each for each in session.events_of(SessionFinding)}
    assert found["budget-short"].message.startswith(
        "1 min 40 s of the budget of 1 min 40 s were used before the first round: nothing is left, and the first"
    )
    assert (found["budget-short"].needed_s or 0.0) > 100
    assert "harness run " in found["budget-short"].hint and "(with `budget: " in found["budget-short"].hint
    assert "4 runs not started" in found["budget-over"].message and not session.records

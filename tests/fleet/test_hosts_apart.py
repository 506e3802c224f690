"""Hosts told apart, or together: one name for other files, two names for one machine, a new name for a host."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fleet_clock import SimulatedClock
from fleet_session import INVOCATIONS, Workstation, fleet_world, make_fleet, run_fleet

from harness.console import Console
from harness.session.run_options import RunOptions, SessionOptions
from harness.values.errors import ConfigurationError, DataError, SessionError
from harness.workflow.machines import check_hosts as checking
from harness.workflow.plan.plan import show_plan
from harness.workflow.run.run import run_session

OTHER = "4" * 64


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


def fleet_of(count: int, clock: SimulatedClock) -> list[Workstation]:
    """Hosts without trouble, of one kind."""
    return make_fleet(count, clock, troubled=0.0, kinds=1)


def copy_of(one: Workstation, name: str) -> Workstation:
    """Another entry of the inventory that leads to the same machine."""
    return replace(one, name=name, links=[])


def count_files(one: Workstation, images: int, size: int) -> None:
    one.machine.counted = f"pile {images} {size} cat\t.jpg\tcat/1.jpg\n"


def check(
    work: Path, fleet: list[Workstation], clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch, *, as_json: bool
) -> int:
    monkeypatch.setattr(checking, "probe_limit", lambda *_arguments, **_named: None)
    with fleet_world(work, fleet, clock) as files:
        return checking.check_hosts(
            Console(),
            files["inventory"],
            limit=None,
            engine=None,
            ship=False,
            base_image=None,
            forks=9,
            as_json=as_json,
        )


def plan(work: Path, fleet: list[Workstation], clock: SimulatedClock, **options: Any) -> int:
    with fleet_world(work, fleet, clock) as files:
        return show_plan(Console(), SessionOptions(**files, **options), is_offline=False, as_json=False)


class TestOneNameForOtherFiles:
    def test_what_is_counted_differs_and_nothing_is_prepared(self, tmp_path: Path, clock: SimulatedClock) -> None:
        fleet = fleet_of(3, clock)
        for one, images in zip(fleet, (300, 1_399, 1_399), strict=True):
            count_files(one, images, images * 100_000)
        with pytest.raises(DataError) as refused:
            run_fleet(tmp_path, fleet, clock)
        said = refused.value
        assert "ws0000 has /srv/data/pets; folder, 300 images, 30 MB" in said.message
        assert "ws0001, ws0002 have /srv/data/pets; folder, 1,399 images, 140 MB" in said.message
        assert "images and bytes differ" in said.message
        assert all(cure in (said.hint or "") for cure in ("a different name", "ship --data", "--own-data"))
        assert not any(one.program.work_s for one in fleet)
        assert not (tmp_path / "reports").exists()

    def test_check_and_plan_say_it(
        self,
        tmp_path: Path,
        clock: SimulatedClock,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        fleet = fleet_of(2, clock)
        count_files(fleet[0], 300, 10**6)
        count_files(fleet[1], 301, 10**6)
        assert check(tmp_path, fleet, clock, monkeypatch, as_json=False) == 0
        said = "data pets: data set 'pets' has different files on different hosts (images differ)"
        assert f"! ws0000, ws0001: {said}" in (capsys.readouterr().out)
        assert plan(tmp_path, fleet, clock) == 2
        assert "has different files on different hosts" in capsys.readouterr().err
        assert plan(tmp_path, fleet, clock, own_data=True) == 0

    def test_what_only_the_check_of_all_files_finds_is_found_before_anything_is_measured(
        self, tmp_path: Path, clock: SimulatedClock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fleet = fleet_of(3, clock)
        fleet[0].program.fingerprint = OTHER
        with fleet_world(tmp_path, fleet, clock) as files:
            assert run_session(Console(), RunOptions(**files)) == 2
        said = " ".join(capsys.readouterr().err.split())
        for name in ("ws0000", "ws0001", "ws0002"):
            clash = "data set 'pets' has different files on different hosts (contents differ)"
            assert f"{name}: not ready: {clash}" in said
        assert "fingerprint 444444444444" in said and "fingerprint dddddddddddd" in said and "--own-data" in said
        assert not (tmp_path / "reports").exists()
        assert not any(one.program.measured or one.jobs.jobs or one.machine.lock for one in fleet)

    def test_each_on_its_own_files_is_never_pooled(self, tmp_path: Path, clock: SimulatedClock) -> None:
        fleet = fleet_of(3, clock)
        fleet[0].program.fingerprint = OTHER
        outcome = run_fleet(tmp_path, fleet, clock, own_data=True)
        assert outcome.code == 0 and len(outcome.records) == 3 * INVOCATIONS
        page = outcome.folder.report_file.read_text()
        assert "files 444444444444" in page and "files dddddddddddd" in page
        assert "one pair of runs" in page and "2 pairs of runs" in page and "3 pairs" not in page
        again = run_fleet(tmp_path, fleet, clock)
        assert again.code == 0 and len(again.records) == 3 * INVOCATIONS

    def test_a_host_that_comes_later_is_held_to_the_sessions_files(self, tmp_path: Path, clock: SimulatedClock) -> None:
        fleet = fleet_of(3, clock)
        fleet[0].program.fingerprint = OTHER
        run_fleet(tmp_path, fleet[1:], clock)
        outcome = run_fleet(tmp_path, fleet, clock)
        (said,) = [event for event in outcome.events if event.get("host") == "ws0000"][-1:]
        assert "444444444444, and dddddddddddd on ws0001, ws0002, where this session measured it" in said["message"]
        assert outcome.code == 1 and "--own-data" in said["hint"]


class TestTwoNamesForOneMachine:
    def test_it_is_measured_once_under_the_first_name(self, tmp_path: Path, clock: SimulatedClock) -> None:
        fleet = fleet_of(2, clock)
        outcome = run_fleet(tmp_path, [*fleet, copy_of(fleet[0], "wsx")], clock)
        assert {record.host for record in outcome.records} == {"ws0000", "ws0001"}
        (said,) = [event for event in outcome.events if event.get("host") == "wsx"]
        assert said["state"] == "not_ready" and "it is the same machine as ws0000" in said["message"]
        assert outcome.code == 1
        assert not any(one.machine.tmp for one in fleet)

    def test_the_name_with_records_goes_on(self, tmp_path: Path, clock: SimulatedClock) -> None:
        fleet = fleet_of(2, clock)
        run_fleet(tmp_path, fleet, clock)
        outcome = run_fleet(tmp_path, [copy_of(fleet[0], "copy"), *fleet], clock, rounds=2)
        assert {record.host for record in outcome.records} == {"ws0000", "ws0001"}
        assert len(outcome.records) == 4 * INVOCATIONS

    def test_check_and_plan_say_it(
        self,
        tmp_path: Path,
        clock: SimulatedClock,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        fleet = fleet_of(2, clock)
        fleet.append(copy_of(fleet[0], "wsx"))
        assert check(tmp_path, fleet, clock, monkeypatch, as_json=True) == 1
        states = {host["host"]: host for host in json.loads(capsys.readouterr().out)}
        assert {name: host["state"] for name, host in states.items()} == {
            "ws0000": "ready", "ws0001": "ready", "wsx": "not_ready",
        }  # fmt: skip
        assert states["wsx"]["checks"][-1]["id"] == "machine"
        assert plan(tmp_path, fleet, clock) == 1
        said = capsys.readouterr().out
        assert "wsx (not ready" in said and "it is the same machine as ws0000" in said

    def test_equal_boot_ids_alone_are_two_machines(self, tmp_path: Path, clock: SimulatedClock) -> None:
        fleet = fleet_of(2, clock)
        fleet[1].machine.boot_id = fleet[0].machine.name
        outcome = run_fleet(tmp_path, fleet, clock)
        assert outcome.code == 0 and {record.host for record in outcome.records} == {"ws0000", "ws0001"}


class TestANewName:
    def test_records_kept_under_the_old_name_are_told_of_and_carried_over(
        self, tmp_path: Path, clock: SimulatedClock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        fleet = fleet_of(2, clock)
        before = run_fleet(tmp_path, fleet, clock)
        renamed = [copy_of(fleet[0], "lab-1"), fleet[1]]
        plan(tmp_path, renamed, clock)
        told = "4 runs recorded under the name ws0000"
        said = " ".join(capsys.readouterr().out.split())
        assert told in said and "--rename ws0000=lab-1" in said
        plan(tmp_path, renamed, clock, rename=["ws0000=lab-1"])
        shown = " ".join(capsys.readouterr().out.split())
        assert "4 runs of ws0000 counted for lab-1: `harness run … --rename ws0000=lab-1` carries" in shown
        assert told not in shown and "4 of 4 runs done" in shown and "0 of 4" not in shown
        after = run_fleet(tmp_path, renamed, clock, rename=["ws0000=lab-1"])
        assert after.code == 0 and len(after.records) == len(before.records)
        assert {record.host for record in after.records} == {"lab-1", "ws0001"}
        assert fleet[0].program.measured == INVOCATIONS, "nothing was measured again"
        (event,) = [event for event in after.events if event["event"] == "HostRenamed"]
        assert (event["old"], event["host"], event["records"]) == ("ws0000", "lab-1", INVOCATIONS)
        assert sorted(file.stem for file in after.folder.facts_folder.iterdir()) == ["lab-1", "ws0001"]
        assert "ws0000" not in after.folder.session_file.read_text()

    def test_the_same_command_given_again_has_nothing_to_do_and_says_so(
        self, tmp_path: Path, clock: SimulatedClock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fleet_session.Console", lambda quiet: Console())
        fleet = fleet_of(1, clock)
        folder = run_fleet(tmp_path, fleet, clock).folder
        lines = folder.records_file.read_text().splitlines(keepends=True)
        folder.records_file.write_text("".join([*lines, lines[0].replace('"attempt":1', '"attempt":2')]))
        renamed = [copy_of(fleet[0], "lab-1")]
        capsys.readouterr()
        assert run_fleet(tmp_path, renamed, clock, rename=["ws0000=lab-1"]).code == 0
        assert f"lab-1: {INVOCATIONS} runs of ws0000 carried over" in capsys.readouterr().err
        again = run_fleet(tmp_path, renamed, clock, rename=["ws0000=lab-1"])
        assert again.code == 0 and len([one for one in again.events if one["event"] == "HostRenamed"]) == 1
        assert (
            "--rename ws0000=lab-1: nothing to do, the records are already stored under lab-1"
            in capsys.readouterr().err
        )

    def test_what_cannot_be_is_refused(self, tmp_path: Path, clock: SimulatedClock) -> None:
        fleet = fleet_of(2, clock)
        run_fleet(tmp_path, fleet, clock)
        for text, error in (
            ("ws0000", ConfigurationError),
            ("gone=nowhere", ConfigurationError),
            ("ws0000=ws0001", ConfigurationError),
            ("gone=ws0001", SessionError),
        ):
            with pytest.raises(error):
                run_fleet(tmp_path, fleet, clock, rename=[text])
            with pytest.raises(error):
                plan(tmp_path, fleet, clock, rename=[text])


def test_data_that_a_host_was_never_meant_to_have_is_left_out(
    tmp_path: Path, clock: SimulatedClock, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = make_fleet(2, clock, troubled=0.0, kinds=2)
    fleet[0].sets = ("pets", "birds")
    outcome = run_fleet(tmp_path, fleet, clock, data="[pets, birds]")
    assert outcome.code == 0
    assert outcome.statuses("ws0001")["skipped"] == 0
    assert {record.case.data for record in outcome.records if record.host == "ws0001"} == {"pets"}
    assert {record.case.data for record in outcome.records if record.host == "ws0000"} == {"pets", "birds"}
    (told,) = [event for event in outcome.events if event.get("id") == "data-elsewhere"]
    assert told["host"] == "ws0001" and "no data set 'birds' for this host: 3 cases left out" in told["message"]
    assert "no pipeline has a result here" not in outcome.folder.report_file.read_text()
    with fleet_world(tmp_path, fleet, clock, data="[pets, birds]") as files:
        assert show_plan(Console(), SessionOptions(**files), is_offline=False, as_json=False) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "data set birds: the host has no data set 'birds' (it has pets); its cases are left out here" in said
    assert "4 of 4 runs done" in said


def test_a_host_that_could_not_be_measured_stands_on_the_page(tmp_path: Path, clock: SimulatedClock) -> None:
    fleet = fleet_of(2, clock)
    fleet[1].machine.away = ((0.0, float("inf")),)
    page = run_fleet(tmp_path, fleet, clock).folder.report_file.read_text()
    recap = page.partition('id="recap"')[2].partition("</section>\n</section>")[0]
    (row,) = [row for row in recap.split("<tr>") if '<th scope="row">ws0001</th>' in row]
    assert "unreachable" in row and "no answer within 2 s" in row
    hardware = page.partition('id="hardware"')[2]
    assert "ws0000" in hardware and "ws0001" not in hardware.partition("<section")[0]

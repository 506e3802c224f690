"""What befalls a host before a case starts costs no record: the same command continues after anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fleet_clock import SimulatedClock
from fleet_session import INVOCATIONS, Outcome, Workstation, make_fleet, run_fleet

from harness.engine.interface import JobRequest
from harness.engine.kinds import docker, process
from harness.engine.spec import Means
from harness.values.errors import EngineUnavailable, HostError, HostUnreachable, ImageUnavailable, NoRoomForJob

STATES = {HostUnreachable: "unreachable", ImageUnavailable: "not_ready", NoRoomForJob: "not_ready"}
PATIENCE_S = 30.0


class Image:
    """The image of a fleet's hosts: removed before the second case, and brought as often as it may be."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        self.brought, self._most, self._is_there = 0, most, False
        monkeypatch.setattr(process, "SPEC", replace(process.SPEC, uses_images=True))
        monkeypatch.setattr("harness.ship.engine_choice.bring_image", self._bring)

    def _bring(self, reached: Any, *_more: object) -> tuple[str, str]:
        if self.brought == self._most:
            raise ImageUnavailable("no image could be had", where=reached.name, hint="see why")
        self.brought, self._is_there = self.brought + 1, True
        return "an-image", "shipped"

    def remove(self) -> None:
        self._is_there = False

    def need(self, _request: JobRequest) -> None:
        if not self._is_there:
            raise ImageUnavailable("the image an-image is not on this host", hint="bring it")


def befall(one: Workstation, what: Callable[[JobRequest], None], begin: Callable[[], None] = lambda: None) -> None:
    """Let something befall a host before its second case starts, and last."""
    has_begun = [False]

    def refuse(request: JobRequest) -> None:
        if one.program.measured == 1 and not has_begun[0]:
            has_begun[0] = True
            begin()
        if has_begun[0]:
            what(request)

    one.jobs.refuse = refuse


def states_of(outcome: Outcome, name: str) -> list[str]:
    return [e["state"] for e in outcome.events if e["event"] == "HostStateChanged" and e["host"] == name]


def assert_continues(tmp_path: Path, fleet: list[Workstation], clock: SimulatedClock, before: Outcome) -> Outcome:
    """The same command does all that is left, and nothing that is done."""
    done = before.records
    fleet[0].jobs.refuse = lambda _request: None
    again = run_fleet(tmp_path, fleet, clock)
    assert again.code == 0 and again.records[: len(done)] == done
    for one in fleet:
        assert again.statuses(one.name) == {"ok": INVOCATIONS}
        assert one.program.measured == INVOCATIONS and not one.jobs.jobs
    return again


@pytest.mark.parametrize("error", list(STATES))
def test_a_host_on_which_no_case_can_start_is_set_aside_and_continues(
    tmp_path: Path, error: type[HostError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_request: JobRequest) -> None:
        raise error("it is broken", where="ws0000", hint="mend it")

    image = Image(monkeypatch, 2) if error is ImageUnavailable else None
    clock = SimulatedClock()
    fleet = make_fleet(2, clock, troubled=0.0, kinds=1)
    befall(fleet[0], refuse)
    outcome = run_fleet(tmp_path, fleet, clock, link_patience_s=PATIENCE_S)
    assert outcome.code == 1
    assert outcome.statuses("ws0000") == {"ok": 1}  # no record says what is true of its host alone
    assert outcome.statuses("ws0001") == {"ok": INVOCATIONS}
    assert states_of(outcome, "ws0000") == ["ready", STATES[error]]
    told = [e for e in outcome.events if e["event"] == "HostStateChanged" and e["state"] == STATES[error]]
    assert "broken" in str(told) and "mend it" in str(told) if image is None else "no image" in str(told)
    if image is not None:
        image._most = 9  # noqa: SLF001 - it can be had again
    assert_continues(tmp_path, fleet, clock, outcome)


def test_an_image_that_is_removed_is_brought_again_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, clock = Image(monkeypatch, 2), SimulatedClock()
    fleet = make_fleet(1, clock, troubled=0.0, kinds=1)
    befall(fleet[0], image.need, begin=image.remove)
    outcome = run_fleet(tmp_path, fleet, clock)
    assert image.brought == 2 and outcome.code == 0
    assert outcome.statuses("ws0000") == {"ok": INVOCATIONS} and fleet[0].program.measured == INVOCATIONS
    (found,) = [e for e in outcome.events if e["event"] == "SessionFinding" and e["id"] == "image-removed"]
    assert found["host"] == "ws0000" and "an-image" in found["message"]


def test_an_image_that_comes_back_with_another_content_sets_its_host_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, clock = Image(monkeypatch, 2), SimulatedClock()
    fleet = make_fleet(2, clock, troubled=0.0, kinds=1)
    befall(fleet[0], image.need, begin=image.remove)
    bring = image._bring  # noqa: SLF001

    def bring_other(reached: Any, *more: object) -> tuple[str, str]:
        name, how = bring(reached, *more)
        return (name if image.brought < 2 else "another"), how

    monkeypatch.setattr("harness.ship.engine_choice.bring_image", bring_other)
    image._most = 3  # noqa: SLF001 - one for each host, and once more
    outcome = run_fleet(tmp_path, fleet, clock, forks=1)
    assert outcome.statuses("ws0000") == {"ok": 1} and states_of(outcome, "ws0000") == ["ready", "not_ready"]
    assert "another content" in str(outcome.events)


def test_an_engine_that_is_gone_is_not_replaced_by_another_one_in_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(means: Means) -> Any:
        engine = process.SPEC.make(means)
        engine.name = "docker"
        if not answers:
            raise EngineUnavailable("no Docker socket", where="ws0000", hint="start it")
        return engine

    answers = [True]
    monkeypatch.setattr(docker, "SPEC", replace(docker.SPEC, make=make, uses_images=False))
    clock = SimulatedClock()
    fleet = make_fleet(1, clock, troubled=0.0, kinds=1)
    outcome = run_fleet(tmp_path, fleet, clock, engine="auto")
    assert {record.engine for record in outcome.records} == {"docker"}
    answers.clear()
    outcome = run_fleet(tmp_path, fleet, clock, engine="auto", rounds=2)
    assert outcome.code == 3 and len(outcome.records) == INVOCATIONS
    assert "no Docker socket" in str(outcome.events) and "--fresh" not in str(outcome.events)
    answers.append(True)
    outcome = run_fleet(tmp_path, fleet, clock, engine="auto", rounds=2)
    assert outcome.code == 0 and outcome.statuses("ws0000") == {"ok": 2 * INVOCATIONS}

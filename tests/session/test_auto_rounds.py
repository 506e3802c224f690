"""``rounds: auto``: on until the comparisons that the advice rests on are settled, cannot be settled, or time is up."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from factory import record_of
from stub import stub_setup

from harness.experiment import expand, parse_experiment
from harness.hosts.local import LocalConnection
from harness.records.content import SessionContent
from harness.records.folder import SessionFolder
from harness.records.journal import Journal
from harness.records.reading import read_records
from harness.session.invocations import HostDigests, Invocation
from harness.session.run_options import RunOptions
from harness.values.event import Event, RoundAdded, SessionFinding
from harness.values.record import Epoch, Record
from harness.workflow.resolve import Resolved
from harness.workflow.run.rounds import HostRounds, run_rounds

Rate = Callable[[Invocation], float]

SECONDS = 10.0
"""What each invocation takes."""


class Host:
    """A host whose rates are known, with a budget in seconds; ``disturbed`` says what somebody disturbs."""

    def __init__(
        self,
        folder: Path,
        rate: Rate,
        *,
        seconds: float | None = None,
        rounds: str = "auto",
        budget: str = "",
        loaders: str = "[keras-idg, tfdata]",
        disturbed: Callable[[Invocation], bool] = lambda _item: False,
    ) -> None:
        self.folder, self.rate, self.disturbed = SessionFolder(folder / "session"), rate, disturbed
        self.seconds_left = seconds
        self.journal = Journal(self.folder)
        self.folder.write(SessionContent(name="auto"))
        text = f"parameters: {{data: tiny, loader: {loaders}, memory_limit: 900MB}}\nrounds: {rounds}\n"
        text += f"budget: {budget}\n" if budget else ""
        experiment = parse_experiment(text, "auto.yaml")
        matrix = expand(experiment)
        self.resolved = Resolved(None, (), experiment, "", matrix, matrix.cases, is_part=False)  # type: ignore[arg-type]
        facts = SimpleNamespace(reasons=(), can_limit_memory=True, can_limit_cpus=True)
        engine = SimpleNamespace(probe=lambda _image: facts)
        self.setup = stub_setup(engine, LocalConnection("here"), folder, folder)
        self.events: list[Event] = []
        self.is_over = self.is_stopped = False

    def run(self, todo: Sequence[Invocation], *, repeats_of: Any, is_wanted: Any, **_said: Any) -> None:
        left = list(todo)
        for index, each in enumerate(left):
            if self.seconds_left is not None and self.seconds_left < SECONDS:
                self.is_over = True
                return
            self._measure(each)
            if index + 1 == len(left) or left[index + 1].round != each.round:
                known = read_records(self.folder)
                more = repeats_of(each.round, known)
                left[index + 1 :] = [*more, *(other for other in left[index + 1 :] if more or is_wanted(other, known))]

    def _measure(self, each: Invocation) -> None:
        if self.seconds_left is not None:
            self.seconds_left -= SECONDS
        times = {"started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:10Z"}
        validity = "degraded" if self.disturbed(each) else "valid"
        if not self.rate(each):
            self.journal.write_record(record_of(each, status="oom", **times))
            return
        self.journal.write_record(record_at(each, self.rate(each), validity=validity, **times))

    def measure(self) -> list[Record]:
        digests = HostDigests("here", self.setup.image_digest, "5" * 64, {"tiny": "2" * 64})
        rounds = HostRounds(
            self.resolved,
            self.setup,
            digests,
            self.folder,
            self.journal,
            self,  # type: ignore[arg-type]
            self.events.append,
            RunOptions(Path("lab.yaml")),
        )
        run_rounds(rounds)
        return read_records(self.folder)

    def said(self) -> list[tuple[str, str]]:
        return [(event.id, event.message) for event in self.events if isinstance(event, SessionFinding)]


def record_at(item: Invocation, rate: float, **fields: Any) -> Record:
    epochs = tuple(Epoch(index=index, images=1000, seconds=1000 / rate) for index in (1, 2))
    return record_of(item, epochs=epochs, **fields)


def noisy(noise: float, **rates: float) -> Rate:
    """Rates by loader, with noise that depends on the invocation alone; tf.data at 100 images/s, IDG at 40."""
    known = {"keras_idg": 40.0, "tfdata": 100.0, "tfdata_sequential": 40.0, **rates}

    def rate(item: Invocation) -> float:
        return known[item.case.loader.replace("-", "_")] * random.Random(item.identity).lognormvariate(0, noise)

    return rate


def last_round(records: Sequence[Record]) -> int:
    return max(record.round for record in records)


def test_three_rounds_are_enough_for_a_clear_answer_on_a_quiet_host(tmp_path: Path) -> None:
    host = Host(tmp_path, noisy(0.001))
    assert last_round(host.measure()) == 3
    assert [name for name, _ in host.said()] == ["rounds-settled"]
    assert not any(isinstance(event, RoundAdded) for event in host.events)


def test_a_noisy_one_goes_on_until_the_verdict_is_clear(tmp_path: Path) -> None:
    host = Host(tmp_path, noisy(0.10))
    rounds = last_round(host.measure())
    assert 3 < rounds < 20
    added = [event for event in host.events if isinstance(event, RoundAdded)]
    assert [event.rounds for event in added] == list(range(4, rounds + 1))
    assert {(event.open, event.most) for event in added} == {(1, 20)}
    assert {event.reason for event in added} == {"tfdata, no cache, limit 900 MB against keras-idg, limit 900 MB"}
    ((name, message),) = host.said()
    assert name == "rounds-settled" and f"after {rounds} rounds" in message


def test_what_no_round_would_settle_is_not_waited_for(tmp_path: Path) -> None:
    host = Host(tmp_path, noisy(0.10, tfdata=40.0))
    assert last_round(host.measure()) < 20
    ((name, message),) = host.said()
    assert name == "rounds-open" and "even 20 rounds would not settle them" in message


def test_cases_that_no_open_comparison_needs_stop_taking_part(tmp_path: Path) -> None:
    """One loader is far behind from the third round on; baseline and repeat check go on to the end."""
    host = Host(
        tmp_path, noisy(0.02, tfdata=60.0, tfdata_sequential=20.0), loaders="[keras-idg, tfdata, tfdata-sequential]"
    )
    host.rate = noisy(0.06, tfdata=50.0, tfdata_sequential=10.0)
    records = host.measure()
    later = [record for record in records if record.round > 3]
    assert later and {record.case.loader for record in later} == {"keras-idg", "tfdata"}
    for number in range(4, last_round(records) + 1):
        of_round = [(record.case.loader, record.alias) for record in records if record.round == number]
        assert sorted(of_round, key=str) == [("keras-idg", "b"), ("keras-idg", None), ("tfdata", None)]


def test_a_round_that_the_budget_cannot_end_is_not_begun_and_a_later_command_goes_on_from_there(tmp_path: Path) -> None:
    host = Host(tmp_path, noisy(0.25), seconds=4.5 * 3 * SECONDS)
    assert last_round(host.measure()) == 3
    ((name, message),) = host.said()
    assert name == "rounds-open" and "the rest of the budget" in message
    host.seconds_left, host.is_over = None, False
    host.events.clear()
    records = host.measure()
    assert last_round(records) > 4
    assert len({record.invocation for record in records}) == len(records)


def test_a_controller_that_is_killed_in_a_round_goes_on_with_those_who_took_part_in_it(tmp_path: Path) -> None:
    whole = Host(tmp_path / "whole", noisy(0.10))
    expected = [(r.invocation, r.attempt) for r in whole.measure()]
    for stop in range(10, len(expected)):
        cut = Host(tmp_path / f"cut{stop}", noisy(0.10))
        for record in read_records(whole.folder)[:stop]:
            cut.journal.write_record(record)
        assert [(r.invocation, r.attempt) for r in cut.measure()] == expected


def test_a_disturbed_invocation_is_repeated_at_the_end_of_its_round_with_the_baseline_beside_it(tmp_path: Path) -> None:
    def busy(item: Invocation) -> bool:
        return item.case.loader == "tfdata" and item.round == 2 and item.attempt == 1

    host = Host(tmp_path, noisy(0.001), disturbed=busy)
    records = host.measure()
    second = [(r.case.loader, r.alias, r.attempt) for r in records if r.round == 2]
    assert len(records) == 3 * 3 + 2 and sorted(second[-2:]) == [("keras-idg", None, 2), ("tfdata", None, 2)]
    assert [r.round for r in records] == sorted(r.round for r in records)


def test_a_part_of_the_cases_ends_though_what_it_leaves_out_is_open(tmp_path: Path) -> None:
    host = Host(tmp_path, noisy(0.10))
    host.measure()
    records = [record for record in read_records(host.folder) if record.round <= 3]
    part = Host(tmp_path / "part", noisy(0.10))
    for record in records:
        part.journal.write_record(record)
    part.resolved = replace(part.resolved, cases=part.resolved.cases[:1], is_part=True)
    assert len(part.measure()) == len(records)


def test_a_case_that_died_twice_alike_is_not_tried_a_third_time(tmp_path: Path) -> None:
    host = Host(tmp_path, noisy(0.001, tfdata_sequential=0.0), loaders="[keras-idg, tfdata, tfdata-sequential]")
    records = host.measure()
    assert [r.round for r in records if r.status == "oom"] == [1, 2] and last_round(records) == 3


def test_what_a_budget_left_out_of_fixed_rounds_is_counted(tmp_path: Path) -> None:
    host = Host(tmp_path, noisy(0.1), seconds=2 * 3 * SECONDS, rounds="4")
    assert last_round(host.measure()) == 2
    ((name, message),) = host.said()
    assert name == "budget-over" and ": 6 runs not started" in message


def test_a_budget_that_is_nearly_used_before_the_first_round_is_told_with_the_command_for_more(tmp_path: Path) -> None:
    host = Host(tmp_path, noisy(0.001), seconds=3.0, budget="100s")
    host.measure()
    (event,) = [one for one in host.events if isinstance(one, SessionFinding) and one.id == "budget-short"]
    assert event.message.startswith("97.0 s of the budget of 1 min 40 s were used before the first round: 3.0 s is")
    assert "continue with a new budget:  harness run lab.yaml" in event.hint
    host.events.clear()
    host.seconds_left, host.is_over = 99.0, False
    host.measure()
    assert "budget-short" not in [name for name, _ in host.said()]

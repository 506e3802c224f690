"""``rounds: auto``: on until the intervals are as narrow as was declared, or the budget ends; never until a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from harness.values.event import Event, RoundAdded, SessionFinding
from harness.values.record import Epoch, Record
from harness.workflow.resolve import Resolved
from harness.workflow.run.rounds import HostRounds, run_rounds

Rate = Callable[[Invocation], float]


class Host:
    """A host whose rates are known; its budget ends after ``budget`` rounds."""

    def __init__(
        self, folder: Path, rate: Rate, *, interval: float = 0.1, budget: int = 99, rounds: str = "auto"
    ) -> None:
        self.folder, self.rate, self.budget = SessionFolder(folder / "session"), rate, budget
        self.journal = Journal(self.folder)
        self.folder.write(SessionContent(name="auto"))
        text = "parameters: {data: tiny, loader: [keras-idg, tfdata], memory_limit: 900MB}\n"
        experiment = parse_experiment(text + f"rounds: {rounds}\ninterval: {interval}\n", "auto.yaml")
        matrix = expand(experiment)
        self.resolved = Resolved(None, (), experiment, "", matrix, matrix.cases, is_part=False)  # type: ignore[arg-type]
        facts = SimpleNamespace(reasons=(), can_limit_memory=True, can_limit_cpus=True)
        engine = SimpleNamespace(probe=lambda _image: facts)
        self.setup = stub_setup(engine, LocalConnection("here"), folder, folder)
        self.events: list[Event] = []
        self.is_over = self.is_stopped = False

    def run(self, todo: Sequence[Invocation], **_said: Any) -> None:
        for each in todo:
            if each.round > self.budget:
                self.is_over = True
                return
            self.journal.write_record(record_at(each, self.rate(each)))

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
        )
        run_rounds(rounds)
        return read_records(self.folder)

    def said(self) -> list[tuple[str, str]]:
        return [(event.id, event.message) for event in self.events if isinstance(event, SessionFinding)]


def record_at(item: Invocation, rate: float) -> Record:
    return record_of(item, epochs=tuple(Epoch(index=index, images=1000, seconds=1000 / rate) for index in (1, 2)))


def noisy(size: float) -> Rate:
    """tf.data at 100 images/s, more or less in turn; IDG at 40."""
    return lambda item: 40.0 if item.case.loader == "keras-idg" else 100.0 * (1 + size * (-1) ** item.round)


def test_three_rounds_are_enough_for_a_quiet_host(tmp_path: Path) -> None:
    host = Host(tmp_path, noisy(0.001), interval=0.1)
    assert max(record.round for record in host.measure()) == 3
    assert [name for name, _ in host.said()] == ["rounds-settled"]
    assert not any(isinstance(event, RoundAdded) for event in host.events)


def test_a_noisy_one_goes_on_until_its_interval_is_narrow_although_the_verdict_is_clear_from_the_start(
    tmp_path: Path,
) -> None:
    host = Host(tmp_path, noisy(0.1), interval=0.2)
    rounds = max(record.round for record in host.measure())
    assert rounds > 4
    added = [event for event in host.events if isinstance(event, RoundAdded)]
    assert [event.rounds for event in added] == list(range(4, rounds + 1))
    assert all("20 % are allowed" in event.reason for event in added)
    ((name, message),) = host.said()
    assert name == "rounds-settled" and f"after {rounds} rounds" in message


def test_the_budget_ends_it_and_a_later_command_goes_on_from_there(tmp_path: Path) -> None:
    host = Host(tmp_path, noisy(0.1), interval=0.005, budget=5)
    assert max(record.round for record in host.measure()) == 5
    ((name, message),) = host.said()
    assert name == "rounds-open" and "the budget is used up" in message and "0.5 % are allowed" in message
    host.budget, host.is_over = 7, False
    records = host.measure()
    assert max(record.round for record in records) == 7
    assert len({record.invocation for record in records}) == len(records)


def test_what_a_budget_left_out_of_fixed_rounds_is_counted(tmp_path: Path) -> None:
    host = Host(tmp_path, noisy(0.1), budget=2, rounds="4")
    assert max(record.round for record in host.measure()) == 2
    ((name, message),) = host.said()
    assert name == "budget-over" and ": 6 invocations were not begun" in message

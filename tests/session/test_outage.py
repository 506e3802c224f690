"""The runner on a host that goes away, is in use, or is stopped; and how its outage is told."""

# mypy: disable-error-code="union-attr"

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stub import stub_cases, stub_payload

from harness.console import Console
from harness.console.event_lines import show
from harness.engine.interface import JobHandle, JobRequest, JobState
from harness.engine.jobs import HostData
from harness.hosts.local import LocalConnection
from harness.records.content import SessionContent
from harness.records.folder import SessionFolder
from harness.records.journal import Journal
from harness.records.reading import read_records
from harness.session import admission
from harness.session import runner as runner_module
from harness.session.collect import SessionIdentity
from harness.session.feasibility import limit_of
from harness.session.invocations import HostDigests, Invocation, plan_host
from harness.session.runner import HostRunner, RunSettings
from harness.session.setup import HostSetup
from harness.values.engine_names import EngineFacts
from harness.values.errors import HostLocked, HostUnreachable, JobGone, NoRoomForJob, ResultsRefused
from harness.values.event import Event, HostWaiting, InvocationFinished, InvocationStarted, LinkBack, LinkLost
from harness.values.facts import DiskFacts, Facts
from harness.values.record import Record
from harness.workflow.stops import Stops


class FakeEngine:
    """Jobs that end at once; ``fail`` is asked before each verb and may raise."""

    name = "fake"
    host = "here"

    def __init__(self) -> None:
        self.jobs: dict[str, JobHandle] = {}
        self.starts: list[str] = []
        self.fail: Callable[[str], None] = lambda _verb: None
        self.is_running: Callable[[], bool] = lambda: False
        self.half_made: set[str] = set()

    def probe(self, image: str) -> EngineFacts:
        return EngineFacts("fake", "1", image_digest="1" * 64, can_limit_memory=True)

    def submit(self, request: JobRequest) -> JobHandle:
        self.fail("submit")
        if request.name not in self.jobs:
            self.starts.append(request.name)
            self.jobs[request.name] = JobHandle("here", request.name, request.name, dict(request.labels))
        return self.jobs[request.name]

    def poll(self, handles: Any) -> list[JobState]:
        self.fail("poll")
        if any(handle.name in self.half_made for handle in handles):
            return [JobState("created" if handle.name in self.half_made else "exited") for handle in handles]
        return [JobState("running" if self.is_running() else "exited", exit_code=0) for _ in handles]

    def fetch(self, handle: JobHandle, destination: Path) -> None:
        self.fail("fetch")

    def cancel(self, handles: Any) -> None:
        self.fail("cancel")
        for handle in handles:
            self.jobs.pop(handle.name, None)
            self.half_made.discard(handle.name)

    def list(self, session: str | None = None) -> list[JobHandle]:
        self.fail("list")
        return list(self.jobs.values())


class Bench:
    """One runner on a fake engine."""

    def __init__(self, tmp_path: Path) -> None:
        self.engine = FakeEngine()
        self.events: list[Event] = []
        self.stops = Stops()
        self.beat: Callable[[], None] = lambda: None
        self.patience_s = 600.0
        self.repeats_of: Callable[[int, Sequence[Record]], Sequence[Invocation]] = lambda _round, _records: ()
        self.folder = SessionFolder(tmp_path / "session")
        self.folder.write(SessionContent(name="s"))
        facts = Facts(
            cpu_model="test", logical_cpus=2, ram_bytes=24 * 10**9, disks={"scratch": DiskFacts(path=str(tmp_path))}
        )
        self.setup = HostSetup(
            host="here",
            connection=LocalConnection("here"),
            engine=self.engine,
            engine_facts=self.engine.probe(""),
            facts=facts,
            image="",
            image_digest="1" * 64,
            payload=stub_payload(),
            data={"tiny": HostData("tiny", "folder", "2" * 64, 10, 2, 1000, ())},
            missing_data={},
            disks={"scratch": str(tmp_path)},
            memory_available=10**10,
            cpus=(0,),
        )
        digests = HostDigests("here", "1" * 64, self.setup.payload.digest, {"tiny": "2" * 64})
        cases = stub_cases(2)
        self.planned = plan_host(
            digests,
            cases,
            rounds=1,
            order=lambda given, _round: given,
            limits={case.case_id: limit_of(case, None) for case in cases},
            predictions={},
        )

    def run(self) -> list[str]:
        """Run to the end; the statuses in their order."""
        heartbeat: Any = SimpleNamespace(beat=self.beat)
        settings = RunSettings(
            SessionIdentity("s", "test", "s"), self.folder, seed=1, timeout_s=60.0, link_patience_s=self.patience_s
        )
        journal = Journal(self.folder)
        try:
            emit, stops = self.events.append, self.stops
            runner = HostRunner(settings, self.setup, journal, emit, stops.begin, stops.run, heartbeat=heartbeat)
            runner.run(self.planned, done=0, planned=len(self.planned), repeats_of=self.repeats_of)
        finally:
            journal.close()
        return [record.status for record in read_records(self.folder)]

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(runner_module, "_HOLD_PAUSE_S", 0.01)
    monkeypatch.setattr("harness.session.runner.random.uniform", lambda _low, _high: 0.001)
    return Bench(tmp_path)


def away(times: int, verbs: tuple[str, ...]) -> Callable[[str], None]:
    """A host that does not answer so many times, whatever of these is asked."""
    left = [times]

    def fail(verb: str) -> None:
        if verb in verbs and left[0] > 0:
            left[0] -= 1
            raise HostUnreachable("no answer", where="here")

    return fail


@pytest.mark.parametrize("verb", ["list", "submit", "poll", "fetch", "cancel"])
def test_a_host_that_comes_back_costs_nothing_whatever_was_asked(bench: Bench, verb: str) -> None:
    bench.engine.fail = away(3, (verb,))
    assert len(bench.run()) == 3
    assert len(bench.engine.starts) == len(set(bench.engine.starts)) == 3
    assert bench.engine.jobs == {}
    links = [event for event in bench.events if isinstance(event, (LinkLost, LinkBack))]
    assert [type(event) for event in links] == [LinkLost, LinkBack]
    assert links[0].since == links[1].since and links[0].reason == "no answer"
    assert links[1].seconds >= 0


def test_time_in_a_queue_is_told_and_is_no_measuring_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "_SUPERVISOR_GRACE_S", 1.5 - 60.0)  # a job has a second and a half
    monkeypatch.setattr(runner_module, "pause_between_polls", lambda _elapsed_s: 0.25)
    states = [JobState("queued", waits_for="Priority")] * 10 + [JobState("running")]
    bench.engine.poll = lambda handles: [states.pop(0) if states else JobState("exited", exit_code=0) for _ in handles]  # type: ignore[method-assign]
    assert bench.run() == ["lost"] * 3  # not ended as too late
    assert [event.reason for event in bench.events if isinstance(event, HostWaiting)] == [
        "in the queue of fake: Priority"
    ]
    first = next(event for event in bench.events if isinstance(event, InvocationFinished))
    assert first.seconds is not None and first.seconds < 2.4


def test_a_lock_that_cannot_be_beaten_just_now_ends_nothing(bench: Bench) -> None:
    polls = iter([True, True, False] + [False] * 20)
    bench.engine.is_running = lambda: next(polls)
    fail = away(2, ("beat",))
    bench.beat = lambda: fail("beat")
    assert len(bench.run()) == 3
    assert bench.kinds().count("LinkLost") == bench.kinds().count("LinkBack") == 1


def test_who_lost_the_lock_ends_the_running_job_and_begins_nothing_more(bench: Bench) -> None:
    bench.engine.is_running = lambda: True

    def taken() -> None:
        raise HostLocked("the lock was taken away by ann@desk", where="here")

    bench.beat = taken
    with pytest.raises(HostLocked, match="ann@desk"):
        bench.run()
    assert len(bench.engine.starts) == 1 and bench.engine.jobs == {}
    assert read_records(bench.folder) == [], "what was cut short has no record: it is done again"


def test_what_was_taken_over_is_repeated_with_a_job_of_its_own_and_once(bench: Bench) -> None:
    """A lost repeat is wanted again, but by the next command: what loses each one must not go on for ever."""
    first = bench.planned[0]
    bench.patience_s = 0.05
    bench.engine.fail = away(10**6, ("poll",))
    with pytest.raises(HostUnreachable):
        bench.run()
    (left_running,) = bench.engine.jobs
    bench.engine.fail = lambda _verb: None
    bench.patience_s = 600.0
    bench.repeats_of = lambda _round, records: (
        replace(first, attempt=sum(each.invocation == first.identity for each in records) + 1, is_repeat=True),
    )
    bench.run()
    records = [record for record in read_records(bench.folder) if record.invocation == first.identity]
    assert [record.attempt for record in records] == [1, 2]
    assert len(bench.engine.starts) == len(set(bench.engine.starts)) == 4 and left_running == bench.engine.starts[0]


def test_repeats_are_told_and_in_the_time_left_as_soon_as_they_are_due(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def repeats_of(_round: int, records: Sequence[Record]) -> list[Invocation]:
        attempts = Counter(record.invocation for record in records)
        return [replace(one, attempt=2, is_repeat=True) for one in bench.planned if attempts[one.identity] == 1]

    monkeypatch.setattr(runner_module, "seconds_left", lambda coming, _known: float(len(list(coming))))
    bench.repeats_of = repeats_of
    bench.run()
    started = [event for event in bench.events if isinstance(event, InvocationStarted)]
    finished = [event for event in bench.events if isinstance(event, InvocationFinished)]
    assert [(each.repeats, each.left_s) for each in started] == [(0, 3), (1, 3), (2, 3), (3, 3), (2, 2), (1, 1)]
    assert [(each.repeats, each.left_s) for each in finished] == [(1, 3), (2, 3), (3, 3), (2, 2), (1, 1), (0, 0)]
    show(finished[2], Console())
    assert "[0/3, +3 repeats] here round 1 " in capsys.readouterr().err


def test_a_host_that_stays_away_is_given_up_and_its_job_left_alone(bench: Bench) -> None:
    bench.patience_s = 0.05
    bench.engine.fail = away(10**6, ("poll",))
    with pytest.raises(HostUnreachable):
        bench.run()
    assert len(bench.engine.jobs) == 1
    assert read_records(bench.folder) == []
    # The next controller takes it over: nothing is started twice.
    bench.engine.fail = lambda _verb: None
    assert len(bench.run()) == 3
    assert len(bench.engine.starts) == 3


def test_a_job_that_a_dying_controller_made_and_never_started_is_made_anew(bench: Bench) -> None:
    bench.patience_s = 0.05
    bench.engine.fail = away(10**6, ("poll",))
    with pytest.raises(HostUnreachable):
        bench.run()
    bench.engine.half_made = set(bench.engine.jobs)
    (half,) = bench.engine.half_made
    bench.engine.fail = lambda _verb: None
    assert len(bench.run()) == 3
    assert bench.engine.starts.count(half) == 2  # it was waited for until its timeout, as if it ran
    assert bench.engine.jobs == {}


@pytest.mark.parametrize(
    ("error", "status"),
    [(JobGone("the container is gone", where="here"), "lost"), (ResultsRefused("too large", where="here"), "error")],
)
def test_a_job_whose_results_cannot_be_had_costs_only_itself(bench: Bench, error: Exception, status: str) -> None:
    taken = iter([True])

    def fail(verb: str) -> None:
        if verb == "fetch" and next(taken, False):
            raise error

    bench.engine.fail = fail
    assert bench.run()[0] == status  # without the handling, the error ends the host here
    assert len(bench.engine.starts) == 3 and bench.engine.jobs == {}


def test_a_job_that_went_down_with_its_host_is_lost_and_no_more_is_said_of_it(bench: Bench) -> None:
    ended = JobState("exited", exit_code=255)
    bench.engine.poll = lambda handles: [ended for _ in handles]  # type: ignore[method-assign]
    assert bench.run() == ["lost"] * 3
    assert {(record.validity, record.findings) for record in read_records(bench.folder)} == {("valid", ())}


def test_no_case_begins_on_a_disk_that_has_no_room_for_a_job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [10**9, 10**6, 10**9, 10**9]
    monkeypatch.setattr(admission, "read_free_bytes", lambda _connection, _path: free.pop(0))
    with pytest.raises(NoRoomForJob, match=r"1 MB are free at .*, 16\.8 MB needed"):
        bench.run()
    assert [record.status for record in read_records(bench.folder)] == ["lost"]
    bench.planned = bench.planned[1:]
    assert bench.run() == ["lost"] * 3 and len(bench.engine.starts) == 3


def test_nothing_begins_while_the_host_is_held(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = iter(["in use", "in use", "not the hour", None, None, None])
    monkeypatch.setattr("harness.session.admission.reason_to_wait", lambda *_setup, **_asked: next(reasons))
    assert len(bench.run()) == 3
    told = [event.reason for event in bench.events if isinstance(event, HostWaiting)]
    assert told == ["in use", "not the hour"]
    assert bench.kinds().index("HostWaiting") < bench.kinds().index("InvocationStarted")


def test_once_with_finish_lets_the_running_case_end(bench: Bench) -> None:
    states = iter([True, False])

    def is_running() -> bool:
        is_first = next(states)
        if is_first:
            bench.stops.ask("finish")
        return is_first

    bench.engine.is_running = is_running
    assert len(bench.run()) == 1
    assert len(bench.engine.starts) == 1 and bench.engine.jobs == {}


@pytest.mark.parametrize("policies", [["stop"], ["finish", "finish"]])
def test_once_with_stop_or_twice_ends_what_runs_and_removes_it(bench: Bench, policies: list[str]) -> None:
    waiting = iter(policies)

    def is_running() -> bool:
        policy = next(waiting, None)
        if policy:
            bench.stops.ask(policy)  # type: ignore[arg-type]
        return True

    bench.engine.is_running = is_running
    watch = threading.Timer(30, bench.stops.run.set)
    watch.start()
    assert bench.run() == []
    watch.cancel()
    assert len(bench.engine.starts) == 1 and bench.engine.jobs == {}


GARBAGE = {
    "events.jsonl": '{"event": "epoch", "index": "first", "images": -1, "seconds": []}\n{"event": "epoch"}\n\x00\x07\n',
    "outcome.json": '{"memory": [1, 2], "child": "none", "wall_s": {}}',
    "failure.json": '{"kind": 7, "message": [], "step": "x"}',
    "environment.json": '{"devices": {"gpus": 3}}',
}


@pytest.mark.parametrize("name", GARBAGE)
def test_results_that_make_no_sense_are_an_error_of_their_job(
    bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {"outcome.json": '{"child": {"exit_code": 0, "signal": null}}', "events.jsonl": '{"event": "done"}\n'}

    def fetch(_handle: JobHandle, destination: Path) -> None:
        for file, text in {**good, name: GARBAGE[name]}.items():
            (destination / file).write_text(text)

    monkeypatch.setattr(bench.engine, "fetch", fetch)
    assert set(bench.run()) == {"error"}
    causes = {record.cause for record in read_records(bench.folder)}
    assert len(causes) == 1 and (name == "failure.json" or "results are not valid" in str(causes)), causes
    assert bench.engine.jobs == {}

"""A benchmark that leaves whatever it likes, run by real engines: its job is an error, and the session goes on."""

from __future__ import annotations

import os
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from docker_support import python_image, real_client
from stub import STUB, stub_setup

from harness.engine.interface import Engine
from harness.engine.kinds.docker import DockerEngine
from harness.engine.kinds.process import ProcessEngine
from harness.hosts.local import LocalConnection
from harness.records.content import SessionContent
from harness.records.folder import SessionFolder
from harness.records.journal import Journal
from harness.records.session_data import read_session
from harness.session import runner as runner_module
from harness.session.collect import SessionIdentity
from harness.session.invocations import HostDigests, plan_host, remaining
from harness.session.runner import HostRunner, RunSettings
from harness.values.case import Case
from harness.values.event import Event, SessionFinding
from harness.values.record import Record

HELPERS = """
import signal
def text(name, content): (results / name).write_bytes(content)
def event(content): open(results / "events.jsonl", "ab").write(content + b"\\n")
def outcome(content):  # in the supervisor's place, which writes none any more
    text("log.txt", b"a line"); text("outcome.json", content); os.kill(os.getppid(), signal.SIGKILL); time.sleep(30)
def sparse(name, size):
    with open(results / name, "ab") as stream: stream.truncate(size)
"""

ACTS: dict[str, tuple[str, str]] = {
    "a deep outcome": ('outcome(b"[" * 100_000)', "not JSON|deeper than 32"),
    "a deep whole outcome": ('outcome(b"[" * 90_000 + b"]" * 90_000)', "outcome.json: it is nested deeper"),
    "an outcome of many digits": ('outcome(b"{\\"wall_s\\": " + b"9" * 5000 + b"}")', "number of 5000 digits"),
    "a peak beyond all memory": ('outcome(b"{\\"memory\\": {\\"peak_anon\\": 1e400}}")', "number that is too large"),
    "an outcome that is a folder": ('os.mkdir(results / "outcome.json")', ""),
    "a deep failure": (
        'text("failure.json", b"{\\"a\\":" * 20_000 + b"1" + b"}" * 20_000)',
        "failure.json: it is nested deeper",
    ),
    "a failure that is a folder": ('os.mkdir(results / "failure.json"); text("failure.json/x", b"1")', ""),
    "half characters": (
        'text("failure.json", b"{\\"message\\": \\"a \\\\ud800 b\\", \\"type\\": \\"\\\\udfff\\"}")',
        "raised �: a � b",
    ),
    "many spaces": ('text("failure.json", json.dumps({"message": " " * 200_000 + "x"}).encode())', "it raised|x"),
    "NaN in an epoch": (
        'event(b\'{"event": "epoch", "index": 3, "images": 10, "seconds": NaN}\')', "NaN"),
    "an epoch without end": (
        'event(b\'{"event": "epoch", "index": 3, "images": 10, "seconds": 1e400}\')', "too large"),
    "an epoch of no time": (
        'event(b\'{"event": "epoch", "index": 3, "images": 10, "seconds": 1e-320}\')', "too short"),
    "images without number": (
        'event(b\'{"event": "epoch", "index": 3, "seconds": 1, "images": 1\' + b"0" * 300 + b"}")', "301 digits"),
    "an epoch far away": (
        'event(b\'{"event": "epoch", "index": 10000000, "images": 1, "seconds": 1}\')', "less than"),
    "a line without end": ('event(b\'{"a": "\' + b"x" * 10**6 + b\'"}\')', "larger than"),
    "lines without number": (
        'event(b\'{"event": "phase", "name": "x", "t": 1}\\n\' * 20_000)', "more than 10000"),
    "a huge environment": (
        'text("environment.json", b"[" + b"[],"*21_000_000 + b"1]")', "environment.json: it is larger"),
    "an environment of many values": (
        'text("environment.json", b"[" + b"[],"*300_000 + b"1]")', "more than"),
    "a long name": ('text("n" * 255, b"1"); text("m" * 251, b"1")', ""),
    "many files": ('[text(f"f{n}", b"1") for n in range(3000)]', "more than 256 files|more than 1000 files"),
    "many large files": ('[sparse(f"f{n}", 10**9) for n in range(9)]', "bytes"),
    "a sparse file": (
        'sparse("sparse", 50 * 10**9); sparse("log.txt", 50 * 10**9); sparse("gpu.json", 10**9)',
        "gpu.json|larger than",
    ),
    "links and pipes": (
        'os.mkfifo(results / "gpu.json"); os.symlink("/dev/zero", results / "environment.json")', ""),
    "its own papers": (
        '[(job / n).write_bytes(b"[" * 90_000) for n in ("process.json", "cgroup", "request.json", "lock")]', ""),
    "a closed cache": (
        'os.chmod(paths["cache"], 0)', ""),
}  # fmt: skip
OK_ALL_THE_SAME = {"a long name", "links and pipes", "its own papers", "a closed cache"}
ACTS_IN_A_CONTAINER = {name: act for name, act in ACTS.items() if not act[0].startswith("outcome(")}
"""A container's first process cannot be killed from inside: nobody writes the outcome in its place."""
MARKS = {
    "process": [pytest.mark.cgroup, pytest.mark.skipif(os.geteuid() != 0, reason="making cgroups needs root here")],
    "docker": [pytest.mark.docker],
}
ENGINES = {"process": ACTS, "docker": ACTS_IN_A_CONTAINER}
FIRST = 100
"""The batch size of the first act: a case is told by it."""
LIMIT = 400_003_584


class Controllers:
    """One session on one host, run by one controller after the other, which do not know of each other."""

    def __init__(self, work: Path, engine: str) -> None:
        self.work = work
        self.acts = ENGINES[engine]
        for name in ("scratch", "data"):
            (work / name).mkdir()
        self.folder = SessionFolder(work / "session")
        acts = {FIRST + number: act for number, (act, _) in enumerate(self.acts.values())}
        self.benchmark = f"{STUB}\n{HELPERS}\nexec({acts!r}.get(request['case']['batch_size'], ''))\n"
        self.events: list[Event] = []
        self.connection = LocalConnection("here")
        self.image = ""
        self.engine: Engine = ProcessEngine(self.connection, scratch=str(work / "scratch"))
        if engine == "docker":
            self.image = python_image(real_client())
            self.engine = DockerEngine("here", self.connection, uid=os.getuid(), gid=os.getgid())
        self.key = f"hostile-{os.getpid()}"

    def run(self, dies_at: int | None = None) -> None:
        """A controller; one that dies has the results of the case with that batch size, and has written no record."""
        setup = stub_setup(self.engine, self.connection, self.work / "scratch", self.work / "data", self.benchmark)
        setup = replace(setup, image=self.image)
        journal = Journal(self.folder)
        write = journal.write_record

        def write_or_die(record: Record) -> None:
            if record.case.batch_size == dies_at:
                raise KeyboardInterrupt
            write(record)

        journal.write_record = write_or_die  # type: ignore[method-assign]
        if not self.folder.exists():
            self.folder.write(SessionContent(name="s"))
        cases = [
            Case(data="tiny", loader="tfdata", cache="file", memory_limit=LIMIT, batch_size=FIRST + number)
            for number in range(len(self.acts) + 1)  # the last one does nothing odd
        ]
        digests = HostDigests("here", setup.image_digest, setup.payload.digest, {"tiny": "2" * 64})
        planned = plan_host(
            digests,
            cases,
            rounds=1,
            order=lambda given, _round: given,
            limits=dict.fromkeys((case.case_id for case in cases), LIMIT),
            predictions={},
        )
        records = journal.records_of("here")
        settings = RunSettings(SessionIdentity("s", "test", self.key), self.folder, seed=1, timeout_s=60.0)
        runner = HostRunner(settings, setup, journal, self.events.append, threading.Event())
        todo = remaining(planned, records, rerun_failed=False)
        try:
            runner.run(todo, done=len(planned) - len(todo), planned=len(planned), known=records)
        finally:
            journal.close()


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Controllers:
    """A session of which one controller after the other died at a hostile job, that the next one took over."""
    controllers = Controllers(tmp_path_factory.mktemp("hostile"), request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner_module, "_FETCH_PAUSE_S", 0.01)
        for number in range(len(controllers.acts)):
            with pytest.raises(KeyboardInterrupt):
                controllers.run(dies_at=FIRST + number)
        controllers.run()
        controllers.run()
    return controllers


@pytest.mark.parametrize("ended", [pytest.param(one, marks=MARKS[one]) for one in ENGINES], indirect=True)
def test_each_ran_once_and_left_nothing(ended: Controllers) -> None:
    executions = Counter((ended.work / "data" / "executions.txt").read_text().split())
    assert len(executions) == len(ended.acts) + 1 and set(executions.values()) == {1}
    assert ended.engine.list(ended.key) == []
    left = [path.name for path in (ended.work / "scratch").rglob("*") if path.name.startswith("harness-")]
    assert left == []
    assert [path.name for path in ended.folder.path.glob(".fetch-*")] == []
    assert not [event for event in ended.events if isinstance(event, SessionFinding)]
    assert sum(file.stat().st_size for file in ended.folder.path.rglob("*") if file.is_file()) < 16 * 2**20
    session = read_session(ended.folder.path)
    assert session.notes == () and session.superseded == ()
    assert session.records[-1].status == "ok"


@pytest.mark.parametrize(
    ("ended", "name"),
    [pytest.param(engine, name, marks=MARKS[engine]) for engine, acts in ENGINES.items() for name in acts],
    indirect=["ended"],
)
def test_its_job_is_an_error_with_the_reason(ended: Controllers, name: str) -> None:
    number, said = FIRST + list(ended.acts).index(name), ended.acts[name][1]
    (record,) = [one for one in read_session(ended.folder.path).records if one.case.batch_size == number]
    assert record.status == ("ok" if name in OK_ALL_THE_SAME else "error"), record.cause
    assert not said or any(word in (record.cause or "") for word in said.split("|")), record.cause
    assert len(record.cause or "") < 1000

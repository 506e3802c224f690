"""What every engine must do: one set of tests, run on each of them.

``test_contract.py`` runs it on every engine that has a file. Other ways to the same engine inherit ``EngineContract``
and give the fixtures ``engine`` and ``image``; tests of only one engine inherit ``EngineTest``. The payload is the real
one, with its real supervisor; only the benchmark in it is replaced by an actor that does what a test says.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.engine.interface import CACHE_PREFIX, Engine, JobHandle, JobRequest, JobState, Mount
from harness.engine.job_archive import extract_results
from harness.ship.payload_archive import build_payload
from harness.values.errors import EngineError, JobGone, JobRefused, ResultsRefused

MEMORY_BYTES = 96 * 2**20
ASK_AGAIN_S = 0.25
"""On another machine each question starts a Python."""
PATIENCE_S = 60.0

ACTOR = b"""
import json, os, signal, subprocess, sys, time
folder = sys.argv[1]
request = json.load(open(folder + "/request.json"))
paths, results = request["paths"], folder + "/results/"
do = request["case"]["do"]

def say(**what):
    with open(results + "said.json.part", "w") as stream:
        json.dump(what, stream)
    os.replace(results + "said.json.part", results + "said.json")

if "counter" in paths:
    with open(paths["counter"] + "/starts", "a") as stream:
        stream.write("started\\n")
print("the actor is on", flush=True)
if do == "end":
    say(cpus=sorted(os.sched_getaffinity(0)), adj=open("/proc/self/oom_score_adj").read().strip(),
        data=sorted(os.listdir(paths["data"])), home=os.environ["HOME"])
elif do == "wait":
    say(pid=os.getpid())
    time.sleep(600)
elif do == "grow":
    held = []
    while True:
        held.append(bytearray(os.urandom(4096) * 256))
elif do == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
elif do == "write":
    try:
        open(paths["data"] + "/mine", "w").close()
        say(written=True)
    except OSError as error:
        say(written=False, why=error.strerror)
    open(paths["cache"] + "/mine", "w").close()
elif do == "orphan":
    subprocess.Popen(["sleep", "601"], start_new_session=True)
    say(done=True)
elif do == "hostile":
    os.symlink("/etc/passwd", results + "link.json")
    os.symlink("/etc", results + "folder")
    os.mkfifo(results + "pipe")
    say(done=True)
elif do == "huge":
    say(done=True)
    with open(results + "huge.json", "wb") as stream:
        stream.truncate(1200 * 2**20)
"""


def make_payload() -> Any:
    """The real payload with the actor in the benchmark's place."""
    return build_payload({"bench/measure/benchmark.py": ACTOR})


class EngineTest:
    """What tests of an engine need. Inherit, and give ``engine`` and ``image``."""

    @pytest.fixture
    def engine(self) -> Engine:
        raise NotImplementedError

    @pytest.fixture
    def image(self) -> str:
        return ""

    @pytest.fixture
    def make(self, engine: Engine, image: str, tmp_path: Path) -> Iterator[Callable[..., JobRequest]]:
        """Makes requests; whatever was submitted under their names is gone at the end."""
        data = tmp_path / "data"
        data.mkdir()
        (data / "one").write_text("1")
        (tmp_path / "counter").mkdir()
        names: list[str] = []

        def make(do: str, *, session: str = "s1", timeout_s: float = 60.0, **changes: Any) -> JobRequest:
            name = f"harness-test-{uuid.uuid4().hex[:12]}"
            names.append(name)
            memory = changes.get("memory_bytes", MEMORY_BYTES)
            fields: dict[str, Any] = {
                "name": name,
                "labels": {"harness.session": session, "harness.case": do},
                "payload": make_payload(),
                "request": {
                    "format": 1,
                    "task": "measure",
                    "case": {"do": do, "page_cache": "warm"},
                    "data": {"kind": "folder", "name": "test"},
                    "limits": {"memory_bytes": memory, "cpus": [0], "gpus": [], "oom_score_adj": 1000},
                    "timeout_s": timeout_s,
                    "seed": 1,
                },
                "image": image,
                "mounts": (
                    Mount("data", str(data)),
                    Mount("counter", str(tmp_path / "counter"), read_only=False),
                    Mount("cache", str(tmp_path / f"{CACHE_PREFIX}{name}"), read_only=False, ephemeral=True),
                ),
                "memory_bytes": MEMORY_BYTES,
                "cpus": (0,),
            }
            return JobRequest(**{**fields, **changes})

        yield make
        engine.cancel([JobHandle(engine.host, name, name) for name in names])

    def wait(self, engine: Engine, handle: JobHandle) -> JobState:
        """Until a job has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            state = engine.poll([handle])[0]
            if state.phase in ("exited", "gone"):
                return state
            time.sleep(ASK_AGAIN_S)
        raise AssertionError(f"the job still runs: {state}")

    def begun(self, engine: Engine, handle: JobHandle) -> JobState:
        """As soon as it is a job's turn, where its engine has a queue."""
        deadline = time.monotonic() + PATIENCE_S
        while (state := engine.poll([handle])[0]).phase == "queued" and time.monotonic() < deadline:
            time.sleep(ASK_AGAIN_S)
        return state

    def said(self, engine: Engine, handle: JobHandle, folder: Path, name: str = "said.json") -> Any:
        """What a running job has written, as soon as it has."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            engine.fetch(handle, folder)
            if (folder / name).exists():
                return json.loads((folder / name).read_text())
            time.sleep(ASK_AGAIN_S)
        raise AssertionError(f"{name} never came")

    def finish(self, engine: Engine, request: JobRequest, folder: Path) -> tuple[JobState, dict[str, Any]]:
        """Submit, wait, fetch: the engine's state and the supervisor's outcome."""
        handle = engine.submit(request)
        state = self.wait(engine, handle)
        engine.fetch(handle, folder)
        return state, json.loads((folder / "outcome.json").read_text())

    def assert_no_trace(self, engine: Engine, handles: list[JobHandle]) -> None:
        """Whatever an engine knows of that must be gone; to be extended."""
        assert not processes_of([handle.name for handle in handles])


class EngineContract(EngineTest):
    """Inherit, and give ``engine`` and ``image``."""

    def test_a_job_ends_with_its_results_and_confinement(
        self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path
    ) -> None:
        state, outcome = self.finish(engine, make("end"), tmp_path / "out")
        said = json.loads((tmp_path / "out/said.json").read_text())
        assert (state.phase, state.exit_code) == ("exited", 0) and tells(engine, state, was_oom=False)
        assert outcome["child"]["exit_code"] == 0 and outcome["child"]["signal"] is None
        assert (said["cpus"], said["adj"], said["data"]) == ([0], "1000", ["one"])
        assert outcome["memory"]["limit_effective"] == MEMORY_BYTES
        assert outcome["memory"]["enforced_by"] in ("cgroup-v1", "cgroup-v2")
        assert outcome["memory"]["oom_kills"] == 0
        assert 0 < outcome["memory"]["peak_anon"] <= MEMORY_BYTES
        assert outcome["disk"]["free_bytes_min"] > 0
        assert "the actor is on" in (tmp_path / "out/log.txt").read_text()
        assert outcome["supervisor"]["anon_bytes"] < 16 * 2**20

    def test_the_same_name_starts_one(self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path) -> None:
        request = make("end")
        first, second = engine.submit(request), engine.submit(request)
        self.wait(engine, first)
        third = engine.submit(request)
        assert (first.name, first.id) == (second.name, second.id) == (third.name, third.id)
        self.wait(engine, third)
        assert (tmp_path / "counter/starts").read_text() == "started\n"

    def test_the_same_name_at_the_same_time_starts_one(
        self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path
    ) -> None:
        request = make("end")
        threads = [threading.Thread(target=engine.submit, args=[request]) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.wait(engine, JobHandle(engine.host, request.name, request.name))
        assert (tmp_path / "counter/starts").read_text() == "started\n"

    def test_a_handle_is_rebuilt_from_the_host(self, engine: Engine, make: Callable[..., JobRequest]) -> None:
        session = f"s-{uuid.uuid4().hex[:12]}"  # other tests may use this engine meanwhile
        one, other = make("wait", session=session), make("wait", session=f"{session}-other")
        handle = engine.submit(one)
        engine.submit(other)
        found = {job.name: job for job in engine.list(session)}
        assert set(found) == {one.name}
        rebuilt = found[one.name]
        assert rebuilt.labels["harness.case"] == "wait" and rebuilt.labels["harness.name"] == one.name
        assert rebuilt.host == engine.host
        assert self.begun(engine, rebuilt).phase == "running"
        assert {one.name, other.name} <= {job.name for job in engine.list()}
        engine.cancel([rebuilt])
        assert engine.poll([handle])[0].phase == "gone"

    def test_states_come_in_the_order_of_handles(self, engine: Engine, make: Callable[..., JobRequest]) -> None:
        running, done = engine.submit(make("wait")), engine.submit(make("end"))
        self.wait(engine, done)
        unknown = JobHandle(engine.host, "harness-test-unknown", "harness-test-unknown")
        assert [state.phase for state in engine.poll([done, unknown, running])] == ["exited", "gone", "running"]
        assert engine.poll([]) == []

    def test_results_of_a_job_that_was_taken_away_are_gone(
        self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path
    ) -> None:
        handle = engine.submit(make("end"))
        self.wait(engine, handle)
        engine.cancel([handle])
        with pytest.raises(JobGone):
            engine.fetch(handle, tmp_path / "out")

    def test_results_that_are_too_large_are_refused(
        self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        handle = engine.submit(make("end"))
        self.wait(engine, handle)
        small = functools.partial(extract_results, limit_bytes=1)
        modules = [sys.modules[kind.__module__] for kind in type(engine).__mro__]
        (module,) = [module for module in modules if hasattr(module, "extract_results")]
        monkeypatch.setattr(module, "extract_results", small)
        with pytest.raises(ResultsRefused, match="larger than 1 bytes"):
            engine.fetch(handle, tmp_path / "out")

    def test_results_of_a_running_job_can_be_had(
        self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path
    ) -> None:
        handle = engine.submit(make("wait"))
        assert self.said(engine, handle, tmp_path / "out")["pid"] > 0
        assert not (tmp_path / "out/outcome.json").exists()
        assert engine.poll([handle])[0].phase == "running"

    def test_cancelling_removes_every_trace(
        self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path
    ) -> None:
        running, done = make("wait"), make("write")
        handles = [engine.submit(running), engine.submit(done)]
        self.wait(engine, handles[1])
        caches = [Path(request.mounts[2].source) for request in (running, done)]
        assert all(cache.is_dir() for cache in caches)
        assert (caches[1] / "mine").exists()
        engine.cancel(handles)
        assert [state.phase for state in engine.poll(handles)] == ["gone", "gone"]
        assert not [job for job in engine.list() if job.name in (running.name, done.name)]
        assert not any(cache.exists() for cache in caches)
        assert (tmp_path / "data/one").exists() and (tmp_path / "counter").is_dir()
        self.assert_no_trace(engine, handles)
        engine.cancel(handles)  # again: nothing happens

    def test_out_of_memory_is_recorded(self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path) -> None:
        state, outcome = self.finish(engine, make("grow"), tmp_path / "out")
        assert tells(engine, state, was_oom=True)
        assert outcome["child"] == {**outcome["child"], "exit_code": None, "signal": 9}
        assert outcome["memory"]["oom_kills"] >= 1
        assert outcome["memory"]["oom_at_s"] > 0
        assert outcome["memory"]["limit_effective"] == MEMORY_BYTES
        assert not outcome["timed_out"] and not outcome["terminated"]

    def test_a_timeout_is_recorded(self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path) -> None:
        _, outcome = self.finish(engine, make("wait", timeout_s=1.5), tmp_path / "out")
        assert outcome["timed_out"] is True
        assert outcome["child"]["signal"] == 15
        assert outcome["memory"]["oom_kills"] == 0

    def test_a_kill_from_outside_is_not_out_of_memory(
        self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path
    ) -> None:
        state, outcome = self.finish(engine, make("kill"), tmp_path / "out")
        assert outcome["child"]["signal"] == 9
        assert outcome["memory"]["oom_kills"] == 0 and outcome["memory"]["oom_at_s"] is None
        assert tells(engine, state, was_oom=False)

    def test_data_is_read_only(self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path) -> None:
        self.finish(engine, make("write"), tmp_path / "out")
        assert json.loads((tmp_path / "out/said.json").read_text())["written"] is False
        assert sorted(os.listdir(tmp_path / "data")) == ["one"]

    def test_nothing_outlives_the_benchmark(
        self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path
    ) -> None:
        request = make("orphan")
        _, outcome = self.finish(engine, request, tmp_path / "out")
        assert outcome["child"]["exit_code"] == 0
        assert not processes_of([request.name])

    def test_hostile_results_are_not_followed(
        self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        self.finish(engine, make("hostile"), out)
        assert (out / "said.json").exists()
        assert not [path for path in out.rglob("*") if path.is_symlink() or not (path.is_file() or path.is_dir())]
        assert "root:" not in "".join(path.read_text(errors="replace") for path in out.rglob("*") if path.is_file())

    def test_huge_results_are_not_taken_whole(
        self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path
    ) -> None:
        handle = engine.submit(make("huge"))
        self.wait(engine, handle)
        try:
            engine.fetch(handle, tmp_path / "out")
        except EngineError as error:
            assert "large" in str(error)
        assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*") if path.is_file()) <= 600 * 2**20

    def test_what_is_not_there_is_refused(
        self, engine: Engine, make: Callable[..., JobRequest], tmp_path: Path
    ) -> None:
        request = make("end", mounts=(Mount("data", str(tmp_path / "absent")),))
        with pytest.raises(JobRefused) as caught:
            engine.submit(request)
        assert "absent" in str(caught.value) and caught.value.hint
        assert request.name not in {job.name for job in engine.list()}
        assert not (tmp_path / "absent").exists()


def tells(engine: Engine, state: JobState, *, was_oom: bool) -> bool:
    """Whether an engine's own word on a death by memory is right; Podman may have none, and never a wrong one."""
    return state.oom_killed is was_oom or (engine.name == "podman" and state.oom_killed is None)


def processes_of(names: list[str]) -> list[int]:
    """Processes on this machine that carry a job's name in command line, environment or cgroup."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            text = b""
            for part in ("cmdline", "environ", "cgroup"):
                try:
                    text += (entry / part).read_bytes()
                except OSError:
                    continue
            if any(name.encode() in text for name in names):
                found.append(int(entry.name))
    return found

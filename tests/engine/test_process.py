"""The process engine: what only it can get wrong; the contract of all engines is in test_contract.py."""

# mypy: disable-error-code="operator"

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from contract import ACTOR, EngineTest, processes_of

from harness.bench.launcher import confine, jobs
from harness.engine.interface import JobHandle, JobRequest, Mount
from harness.engine.kinds import process
from harness.engine.kinds.process import ProcessEngine
from harness.hosts.connection import Completed
from harness.hosts.local import LocalConnection
from harness.ship.payload_archive import build_payload
from harness.values.errors import EngineError, EngineUnavailable, JobRefused

CAN_LIMIT = bool(confine.try_limit()["can_limit"])

pytestmark = [
    pytest.mark.cgroup,
    pytest.mark.skipif(not CAN_LIMIT, reason="no memory cgroup can be made here: run as root, or delegated by systemd"),
]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Wrapped(LocalConnection):
    """This machine, with something before each command."""

    def __init__(self, *before: str) -> None:
        super().__init__("wrapped")
        self.before = before

    def run(self, argv: Sequence[str], **options: Any) -> Completed:
        return super().run([*self.before, *argv], **options)


@needs_root
class TestProcess(EngineTest):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Any:
        return ProcessEngine(LocalConnection("here"), scratch=str(tmp_path / "scratch"))

    def test_the_probe_says_what_there_is(self, engine: Any) -> None:
        facts = engine.probe("ignored")
        assert facts.engine == "process" and facts.can_limit_memory and facts.can_limit_cpus
        assert facts.limit_step_bytes == 65536
        assert facts.cgroup_version in (1, 2) and facts.reasons == ()
        assert facts.version.startswith("2.")
        assert len(facts.image_digest) == 64 and facts.image_digest == engine.probe("other").image_digest

    def test_a_python_without_tensorflow_is_told_the_cure(self, tmp_path: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
        engine = ProcessEngine(LocalConnection("here"), scratch=str(tmp_path), python=str(tmp_path / "bare/bin/python"))
        with pytest.raises(
            EngineUnavailable, match=r"bare/bin/python -m pip install 'tensorflow>=2\.20,<2\.22' 'grain"
        ):
            engine.probe("")

    @pytest.mark.parametrize(
        ("lacks", "managed", "message", "hint"),
        [
            (["pip"], False, "and it has no pip", "run `python3 -m ensurepip`, then `python3 -m pip install 'tens"),
            (["pip", "venv"], True, "no pip and no venv", "run `sudo apt-get install python3-pip python3-venv`, then "),
            ([], True, "for python3", "run `python3 -m pip install --user --break-system-packages 'tensorflow"),
        ],
    )
    def test_a_python_without_pip_or_venv_is_told_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacks: Any, managed: bool, message: str, hint: str
    ) -> None:
        found = {"tensorflow": None, "python": "CPython 3.12.1", "cgroup": {}, "lacks": lacks, "managed": managed}
        engine = ProcessEngine(LocalConnection("here"), scratch=str(tmp_path), python="python3")
        monkeypatch.setattr(engine, "_run", lambda *_, **__: Completed(0, json.dumps(found).encode(), b""))
        with pytest.raises(EngineUnavailable) as raised:
            engine.probe("")
        assert message in raised.value.message and str(raised.value.hint).startswith(hint)

    @pytest.mark.parametrize(
        ("version", "said"),
        [
            ("3.14.0", "TensorFlow has no packages for Python 3.14.0, only for Python 3.10 to 3.13"),
            ("3.12.1", "TensorFlow is not installed for python3\n  → run `python3 -m pip install 'tensorflow"),
        ],
    )
    def test_a_python_for_which_there_is_no_tensorflow_is_not_told_to_install_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, said: str
    ) -> None:
        found = json.dumps({"tensorflow": None, "python": f"CPython {version}", "digest": "", "cgroup": {}})
        engine = ProcessEngine(LocalConnection("here"), scratch=str(tmp_path), python="python3")
        monkeypatch.setattr(engine, "_run", lambda *_, **__: Completed(0, found.encode(), b""))
        with pytest.raises(EngineUnavailable) as raised:
            engine.probe("")
        assert said in str(raised.value)

    def test_a_python_that_is_too_old_says_which_it_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process, "_BOOT", process._BOOT.replace("< (3, 10)", "< (9, 0)"))  # noqa: SLF001 - an older Python is not to be had here
        engine = ProcessEngine(LocalConnection("here"), scratch=str(tmp_path))
        with pytest.raises(EngineUnavailable, match=r"Python 3\.1\d\.\d+ is too old[\s\S]*Python 3\.10 to 3\.13"):
            engine.probe("")

    def test_no_python_at_all_is_told_the_cure(self, tmp_path: Path) -> None:
        engine = ProcessEngine(LocalConnection("here"), scratch=str(tmp_path), python=str(tmp_path / "none"))
        with pytest.raises(
            EngineUnavailable, match=r"cannot be run[\s\S]*install Python 3\.10 to 3\.13 and TensorFlow"
        ):
            engine.probe("")

    def test_the_probe_task_proves_the_limit(self, engine: Any, make: Any, tmp_path: Path) -> None:
        request = make("probe")
        limits = {"memory_bytes": request.memory_bytes, "oom_score_adj": 1000}
        request = _with(request, request={"task": "probe", "limits": limits, "timeout_s": 30})
        _, outcome = self.finish(engine, request, tmp_path / "out")
        assert outcome["child"]["signal"] == 9 and outcome["memory"]["oom_kills"] == 1
        assert not (tmp_path / "out/failure.json").exists()

    def test_the_supervisor_is_small_and_cheap(self, engine: Any, make: Any, tmp_path: Path) -> None:
        _, outcome = self.finish(engine, make("wait", timeout_s=8.0), tmp_path / "out")
        assert outcome["supervisor"]["anon_bytes"] < 16 * 2**20
        assert outcome["supervisor"]["cpu_s"] < 0.01 * outcome["wall_s"]
        assert outcome["supervisor"]["samples"] >= 20

    def test_a_job_survives_its_controller(self, make: Any, engine: Any, tmp_path: Path) -> None:
        request = make("wait")
        script = (
            "import pickle, sys, time\n"
            "sys.path.insert(0, sys.argv[2])\n"
            "from harness.engine.kinds.process import ProcessEngine\n"
            "from harness.hosts.local import LocalConnection\n"
            "request = pickle.load(open(sys.argv[1], 'rb'))\n"
            f"ProcessEngine(LocalConnection('here'), scratch={str(tmp_path / 'scratch')!r}).submit(request)\n"
            "print('on', flush=True); time.sleep(600)\n"
        )
        (tmp_path / "request").write_bytes(pickle.dumps(request))
        controller = subprocess.Popen(
            [sys.executable, "-c", script, tmp_path / "request", str(Path(__file__).parent)],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert controller.stdout is not None
        assert controller.stdout.readline() == b"on\n"
        os.killpg(controller.pid, signal.SIGKILL)
        controller.wait()
        controller.stdout.close()
        (found,) = engine.list("s1")
        assert self.said(engine, found, tmp_path / "out")["pid"] > 0
        assert engine.poll([found])[0].phase == "running"

    def test_the_supervisors_death_is_told_and_ends_the_benchmark(self, engine: Any, make: Any, tmp_path: Path) -> None:
        request = make("wait")
        handle = engine.submit(request)
        self.said(engine, handle, tmp_path / "out")
        pid = json.loads((Path(handle.id) / "process.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
        state = self.wait(engine, handle)
        assert state.exit_code is None and "without writing an outcome" in state.error
        deadline = time.monotonic() + 10
        while processes_of([request.name]) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not processes_of([request.name])

    def test_a_recycled_pid_or_another_boot_is_not_the_job(self, engine: Any, make: Any, tmp_path: Path) -> None:
        handle = engine.submit(make("wait"))
        self.said(engine, handle, tmp_path / "out")
        path = Path(handle.id) / "process.json"
        process = json.loads(path.read_text())
        path.write_text(json.dumps({**process, "start_time": "1"}))
        assert engine.poll([handle])[0].phase == "exited"
        path.write_text(json.dumps({**process, "boot_id": "another"}))
        state = engine.poll([handle])[0]
        assert state.phase == "exited" and "restarted" in state.error
        path.write_text(json.dumps(process))
        assert engine.poll([handle])[0].phase == "running"

    def test_no_cgroup_means_no_limited_job_and_no_trace(self, make: Any, tmp_path: Path) -> None:
        engine = ProcessEngine(self.without_cgroups(), scratch=str(tmp_path / "scratch"))
        request = make("end")
        with pytest.raises(JobRefused, match="memory cannot be limited"):
            engine.submit(request)
        assert engine.list() == [] and os.listdir(tmp_path / "scratch/jobs") == []
        assert not Path(request.mounts[2].source).exists()
        facts = engine.probe("")
        assert not facts.can_limit_memory and "memory cannot be limited" in facts.reasons[0]

    def test_no_cgroup_still_runs_an_unlimited_job_with_nulls(self, make: Any, tmp_path: Path) -> None:
        engine = ProcessEngine(self.without_cgroups(), scratch=str(tmp_path / "scratch"))
        request = make("orphan", memory_bytes=None)
        state, outcome = self.finish(engine, request, tmp_path / "out")
        assert outcome["child"]["exit_code"] == 0 and state.oom_killed is None
        assert outcome["memory"] == {
            "limit_effective": None,
            "swap_limit": None,
            "enforced_by": None,
            "peak_anon": None,
            "peak_total": None,
            "oom_kills": None,
            "swap_used": outcome["memory"]["swap_used"],
            "oom_at_s": None,
            "thrashing": None,
        }
        assert not processes_of([request.name])
        engine.cancel(engine.list())

    def test_no_cgroup_and_cancelled_while_it_runs(self, make: Any, tmp_path: Path) -> None:
        engine = ProcessEngine(self.without_cgroups(), scratch=str(tmp_path / "scratch"))
        request = make("wait", memory_bytes=None)
        handle = engine.submit(request)
        self.said(engine, handle, tmp_path / "out")
        engine.cancel([handle])
        assert not processes_of([request.name]) and os.listdir(tmp_path / "scratch/jobs") == []

    def without_cgroups(self) -> Any:
        hide = 'umount -R /sys/fs/cgroup && exec "$@"'
        connection = Wrapped("unshare", "--mount", "sh", "-c", hide, "sh")
        if connection.run(["true"]).returncode:
            pytest.skip("the cgroups cannot be hidden here: no mount namespaces")
        return connection

    def test_another_user_may_not_limit_but_may_run(self, make: Any) -> None:
        scratch = Path("/tmp") / f"harness-test-{os.getpid()}"
        scratch.mkdir()
        try:
            os.chown(scratch, 65534, 65534)
            who = Wrapped("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
            python = "/usr/bin/python3"
            if who.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).returncode:
                pytest.skip("no Python 3.11 that every user may run")
            engine = ProcessEngine(who, scratch=str(scratch), python=python)
            with pytest.raises(JobRefused, match="run as root"):
                engine.submit(make("end", mounts=()))
            data = Mount("data", "/usr/share/doc")
            handle = engine.submit(make("end", mounts=(data,), memory_bytes=None))
            assert self.wait(engine, handle).exit_code == 0
            engine.cancel([handle])
            assert engine.list() == []
        finally:
            shutil.rmtree(scratch)

    def test_names_and_ephemeral_folders_are_checked(self, engine: Any, make: Any, tmp_path: Path) -> None:
        with pytest.raises(JobRefused, match="cannot name a job"):
            engine.submit(_with(make("end"), name="../../etc"))
        (tmp_path / "precious").mkdir()
        with pytest.raises(JobRefused, match="harness-cache-"):
            engine.submit(
                make("end", mounts=(Mount("cache", str(tmp_path / "precious"), read_only=False, ephemeral=True),))
            )
        assert (tmp_path / "precious").is_dir()
        with pytest.raises(EngineError):
            engine.cancel([JobHandle("here", "../precious", "")])
        assert (tmp_path / "precious").is_dir()

    @pytest.mark.parametrize(
        "step",
        [
            pytest.param('jobs.write_object(os.path.join(staging, "request.json")', id="half-made"),
            pytest.param("with contextlib.suppress(OSError):  # another process was first", id="made-but-not-named"),
            pytest.param('_start(job, request["python"])', id="named-but-not-started"),
            pytest.param("refusal = _detach(", id="caches-made"),
            pytest.param("scope = confine.scope_command(os.path.basename(job))", id="forked"),
            pytest.param('if asked["cpus"]:', id="in-its-cgroup"),
            pytest.param("return variables\n\n\ndef _try", id="written-down-but-not-begun"),
        ],
    )
    def test_killed_at_any_step_it_is_finished_by_the_next(
        self, engine: Any, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        sources = process.read_sources()
        launch = kill_once_before(sources["bench.launcher.launch"], step, tmp_path / "killed")
        monkeypatch.setattr(process, "read_sources", lambda: {**sources, "bench.launcher.launch": launch})
        payload = build_payload({"bench/measure/benchmark.py": ACTOR, "bench/launcher/launch.py": launch.encode()})
        request = make("end", payload=payload)
        with contextlib.suppress(EngineError):
            engine.submit(request)
            assert engine.poll(engine.list())[0].phase == "created"
        assert (tmp_path / "killed").exists()
        assert [state.phase for state in engine.poll(engine.list())] in ([], ["created"])
        state, outcome = self.finish(engine, request, tmp_path / "out")
        assert state.exit_code == 0 and outcome["child"]["exit_code"] == 0
        assert (tmp_path / "counter/starts").read_text() == "started\n"
        handles = engine.list()
        engine.cancel(handles)
        self.assert_no_trace(engine, handles)

    def test_what_a_killed_removal_left_is_swept_up(
        self, engine: Any, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request = make("end")
        handle = engine.submit(request)
        self.wait(engine, handle)
        sources = process.read_sources()
        removal = kill_once_before(sources["bench.launcher.removal"], "if not _is_removed(trash)", tmp_path / "killed")
        monkeypatch.setattr(process, "read_sources", lambda: {**sources, "bench.launcher.removal": removal})
        with pytest.raises(EngineError):
            engine.cancel([handle])
        assert engine.list() == [] and len(os.listdir(tmp_path / "scratch/jobs")) == 1
        engine.cancel([handle])
        self.assert_no_trace(engine, [handle])

    @pytest.mark.parametrize("detached", [False, True], ids=["submission", "everything"])
    @pytest.mark.parametrize("delay_ms", [60, 120, 180, 240])
    def test_a_killed_submission_is_finished_by_the_next(
        self, engine: Any, make: Any, tmp_path: Path, delay_ms: int, detached: bool
    ) -> None:
        request = make("end")
        cut = ProcessEngine(Cut(delay_ms / 1000, request.name, detached), scratch=str(tmp_path / "scratch"))
        with contextlib.suppress(EngineError):
            cut.submit(request)
        states = {job.name: state for job in engine.list() for state in engine.poll([job])}
        assert all(state.phase in ("created", "running", "exited") for state in states.values())
        handle = engine.submit(request)
        state = self.wait(engine, handle)
        starts = tmp_path / "counter/starts"
        assert not starts.exists() or starts.read_text() == "started\n"
        if state.exit_code == 0:
            assert starts.read_text() == "started\n"
        else:
            assert detached and "without writing an outcome" in state.error
        engine.cancel([handle])
        self.assert_no_trace(engine, [handle])


class Cut(LocalConnection):
    """This machine, whose command is killed after a moment, alone or with everything that it started."""

    def __init__(self, delay_s: float, name: str, detached: bool) -> None:
        super().__init__("cut")
        self.delay_s = delay_s
        self.name = name
        self.detached = detached

    def run(self, argv: Sequence[str], *, input: bytes | None = None, **_options: Any) -> Completed:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(input, timeout=self.delay_s)
        except subprocess.TimeoutExpired:
            process.kill()
            for pid in processes_of([self.name]) if self.detached else []:
                os.kill(pid, signal.SIGKILL)
            out, err = process.communicate()
        return Completed(process.returncode, out, err)


def kill_once_before(source: Any, line: Any, flag: Any) -> str:
    """``source`` with a SIGKILL of itself before the line that begins so, the first time that it comes there."""
    assert source.count(line) == 1, line
    before, after = source.split(line)
    indent = before[before.rindex("\n") + 1 :]
    kill = f"if not os.path.exists({str(flag)!r}): open({str(flag)!r}, 'w').close(); os.kill(os.getpid(), 9)"
    return f"{before}{kill}\n{indent}{line}{after}"


def _with(job: JobRequest, **changes: Any) -> JobRequest:
    return dataclasses.replace(job, **changes)


def test_a_scope_is_asked_for_where_systemd_owns_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confine, "locate_memory_version", lambda: 2)
    monkeypatch.setattr(os.path, "isdir", lambda path: path == "/run/systemd/system")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for version, has_policy in ((252, False), (257, True)):
        said = subprocess.CompletedProcess([], 0, f"systemd {version} ({version}.1-1)\n+PAM +AUDIT\n", "")
        monkeypatch.setattr(subprocess, "run", lambda *_, said=said, **__: said)
        command = confine.scope_command("job-1")
        assert command[:3] == ["systemd-run", "--user", "--scope"] and command[-1] == "--"
        assert "Delegate=yes" in command and "--unit=harness-job-1.scope" in command
        assert ("OOMPolicy=continue" in command) is has_policy
    monkeypatch.setattr(confine, "locate_memory_version", lambda: 1)
    assert confine.scope_command("job-1") == []


def test_a_job_of_the_same_process_is_alive_and_no_other(tmp_path: Path) -> None:
    me: dict[str, object] = {"pid": os.getpid(), "start_time": jobs.start_time(os.getpid()), "boot_id": jobs.boot_id()}
    assert jobs.is_alive(me)
    assert not jobs.is_alive({**me, "start_time": "0"}) and not jobs.is_alive({**me, "boot_id": ""})
    assert not jobs.is_alive({})

"""Jobs of the process engine in a Python that is named: a wrapper, a command of words, another one of a host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from contract import MEMORY_BYTES, EngineTest, processes_of

from harness.bench.launcher import confine
from harness.engine.kinds import process
from harness.engine.kinds.process import SPEC, ProcessEngine
from harness.engine.spec import Means
from harness.hosts.connection import Completed
from harness.hosts.local import LocalConnection
from harness.hosts.pythons import FoundPython
from harness.values.errors import EngineUnavailable

WRAPPERS = {
    "a wrapper that becomes Python": 'exec {python} "$@"',
    "a wrapper that waits for Python": '{python} "$@"\ncode=$?\n:\nexit $code',
}


def make_program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.cgroup
@pytest.mark.skipif(not confine.try_limit()["can_limit"] or os.geteuid() != 0, reason="needs root and cgroups")
class TestWrapped(EngineTest):
    @pytest.fixture(params=[*WRAPPERS, "a command of words", "a wrapper that another Python cannot start"])
    def python(self, request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ...]:
        if request.param == "a command of words":
            return ("/usr/bin/env", f"WRAPPED={tmp_path}/used", sys.executable)
        text = WRAPPERS.get(request.param, WRAPPERS["a wrapper that becomes Python"]).format(python=sys.executable)
        return (make_program(tmp_path / "tf-python", f"echo used >> {tmp_path}/used\n{text}"),)

    @pytest.fixture
    def engine(self, tmp_path: Path, python: tuple[str, ...], request: pytest.FixtureRequest) -> Any:
        starter = None if "another Python cannot" in request.node.name else sys.executable
        return ProcessEngine(LocalConnection("here"), scratch=str(tmp_path / "scratch"), python=python, starter=starter)

    def test_a_job_runs_in_it_confined_and_leaves_no_trace(self, engine: Any, make: Any, tmp_path: Path) -> None:
        request = make("end")
        state, outcome = self.finish(engine, request, tmp_path / "out")
        said = json.loads((tmp_path / "out/said.json").read_text())
        assert (state.exit_code, said["cpus"], said["data"]) == (0, [0], ["one"])
        assert outcome["memory"]["limit_effective"] == MEMORY_BYTES
        assert said["home"].endswith("/home") and request.name in said["home"]
        engine.cancel(engine.list())
        self.assert_no_trace(engine, engine.list())
        assert os.listdir(tmp_path / "scratch/jobs") == []

    def test_a_job_that_runs_is_ended_with_what_is_around_it(self, engine: Any, make: Any, tmp_path: Path) -> None:
        request = make("wait")
        handle = engine.submit(request)
        self.said(engine, handle, tmp_path / "out")
        assert engine.poll([handle])[0].phase == "running"
        engine.cancel([handle])
        assert not processes_of([request.name]) and os.listdir(tmp_path / "scratch/jobs") == []

    def test_it_says_what_it_is_and_whether_it_can_be_limited(self, engine: Any, python: Any) -> None:
        try:
            facts = engine.probe("")
        except EngineUnavailable as error:
            pytest.skip(str(error))
        assert (
            facts.can_limit_memory
            and facts.image_digest == ProcessEngine(LocalConnection("here"), scratch="/nowhere").probe("").image_digest
        )
        assert facts.interpreter.startswith("CPython 3.") and python[0] in facts.interpreter
        assert not facts.ends_with_user

    def test_a_wrapper_that_closes_files_is_told_so(self, make: Any, tmp_path: Path) -> None:
        closing = f"import subprocess, sys; sys.exit(subprocess.call([{sys.executable!r}, *sys.argv[1:]]))"
        (tmp_path / "closing.py").write_text(closing)
        wrapper = make_program(tmp_path / "closing", f'exec {sys.executable} {tmp_path}/closing.py "$@"')
        engine = ProcessEngine(
            LocalConnection("here"), scratch=str(tmp_path / "other"), python=wrapper, starter=sys.executable
        )
        with pytest.raises(Exception, match=r'closes open files: use a wrapper that ends with `exec … "\$@"`'):
            engine.submit(make("end"))
        assert os.listdir(tmp_path / "other/jobs") == []


class Host(LocalConnection):
    """A host that is not this machine; ``python3`` is a program of a test's."""

    def __init__(self, python3: str = "false") -> None:
        super().__init__("ws01")
        self.python3 = python3
        self.asked: list[str] = []

    def run(self, argv: Sequence[str], **options: Any) -> Completed:
        self.asked.append(argv[0])
        return super().run([self.python3 if argv[0] == "python3" else argv[0], *argv[1:]], **options)


TOO_OLD = "echo 'Python 3.9.21 is too old' >&2; exit 1"


def engine_of(host: Host, scratch: Path, *python: str) -> Any:
    return SPEC.make(Means(host, str(scratch), 0, 0, is_local=False, python=python))


@pytest.fixture
def pythons(monkeypatch: pytest.MonkeyPatch) -> list[FoundPython]:
    """What a look for Pythons finds."""
    found: list[FoundPython] = []
    monkeypatch.setattr(process, "find_pythons", lambda _connection: found)
    return found


def test_another_python_takes_the_place_of_one_that_is_too_old(tmp_path: Path, pythons: list[FoundPython]) -> None:
    pythons += [FoundPython("/usr/bin/python3.9", (3, 9, 2), True), FoundPython(sys.executable, (3, 11, 2), False)]
    host = Host(make_program(tmp_path / "python3", TOO_OLD))
    engine = engine_of(host, tmp_path)
    assert engine.list() == [] and engine.list() == []
    assert host.asked == ["python3", sys.executable, sys.executable], "it is looked for once"


def test_one_with_tensorflow_is_preferred_to_one_without(tmp_path: Path, pythons: list[FoundPython]) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    pythons += [FoundPython(f"{bare}/bin/python", (3, 11, 2), False), FoundPython(sys.executable, (3, 11, 2), True)]
    try:
        facts = engine_of(Host(f"{bare}/bin/python"), tmp_path).probe("")
    except EngineUnavailable as error:
        pytest.skip(str(error))
    assert sys.executable in facts.interpreter


def test_where_there_is_no_other_the_first_is_told(tmp_path: Path, pythons: list[FoundPython]) -> None:
    pythons += [FoundPython("/usr/bin/python3.9", (3, 9, 2), True)]
    engine = engine_of(Host(make_program(tmp_path / "python3", TOO_OLD)), tmp_path)
    with pytest.raises(EngineUnavailable, match=r"3\.9\.21 is too old[\s\S]*Python 3\.10 to 3\.13"):
        engine.probe("")


def test_one_that_is_named_stays_and_starts_itself_where_no_other_can(tmp_path: Path, pythons: list[Any]) -> None:
    host = Host()
    engine = engine_of(host, tmp_path, sys.executable)
    assert engine.list() == []
    assert host.asked == ["python3", sys.executable] and pythons == []


def test_one_that_is_named_and_lacks_tensorflow_is_not_replaced(tmp_path: Path, pythons: list[FoundPython]) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    pythons += [FoundPython(sys.executable, (3, 11, 2), True)]
    engine = engine_of(Host(sys.executable), tmp_path, f"{tmp_path}/bare/bin/python")
    with pytest.raises(EngineUnavailable, match=r"TensorFlow is not installed for .*bare/bin/python"):
        engine.probe("")
    assert engine.describe_python().path == f"{tmp_path}/bare/bin/python"

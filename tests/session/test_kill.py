"""SIGKILL of the controller at every boundary and many moments: nothing is lost, doubled or left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from harness.engine.kinds.process import ProcessEngine
from harness.hosts.local import LocalConnection
from harness.records.folder import SessionFolder
from harness.records.reading import read_records

DRIVER = Path(__file__).with_name("driver.py")
INVOCATIONS = 2
BOUNDARIES = INVOCATIONS * 8  # before and after submit, fetch, record and cancel

pytestmark = [pytest.mark.cgroup, pytest.mark.skipif(os.geteuid() != 0, reason="making cgroups needs root here")]


def drive(work: Path, kill_at: int = 0) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(DRIVER), str(work), "1", str(kill_at)])


def assert_whole(work: Path) -> None:
    """Each invocation ran once and was recorded once, and the host is as it was."""
    records = read_records(SessionFolder(work / "session"))
    assert sorted(Counter(record.invocation for record in records).values()) == [1] * INVOCATIONS
    assert {record.status for record in records} == {"ok"}
    executions = Counter((work / "data" / "executions.txt").read_text().split())
    assert sorted(executions.values()) == [1] * INVOCATIONS, executions
    engine = ProcessEngine(LocalConnection("here"), scratch=str(work / "scratch"))
    assert engine.list() == []
    left = [path.name for path in (work / "scratch").rglob("*") if path.name.startswith("harness-")]
    assert left == []
    names = {name.rsplit("-", 2)[0] for name in executions}
    assert not [path for path in Path("/sys/fs/cgroup").rglob("harness-*") if any(name in path.name for name in names)]


@pytest.mark.parametrize("kill_at", range(1, BOUNDARIES + 1))
def test_killed_at_a_boundary(tmp_path: Path, kill_at: int) -> None:
    assert drive(tmp_path, kill_at).wait(120) == -signal.SIGKILL
    assert drive(tmp_path).wait(120) == 0
    assert_whole(tmp_path)


def test_there_are_no_more_boundaries(tmp_path: Path) -> None:
    assert drive(tmp_path, BOUNDARIES + 1).wait(120) == 0


def test_killed_again_and_again_at_any_moment(tmp_path: Path) -> None:
    """Until the session is done, each controller gets a little longer than the one before it."""
    for attempt in range(40):
        controller = drive(tmp_path)
        time.sleep(0.35 + 0.11 * attempt)
        if controller.poll() is not None:
            assert controller.returncode == 0
            break
        controller.kill()
        controller.wait(30)
    else:
        pytest.fail("the session never ended")
    assert attempt > 2
    assert_whole(tmp_path)

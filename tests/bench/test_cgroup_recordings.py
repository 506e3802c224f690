"""Readers of a cgroup on what a real kernel with systemd wrote, recorded in a virtual machine by ``make test-vm``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.bench.launcher import cgroup

FOLDER = Path(__file__).with_name("cgroup_v2")
RECORDINGS = sorted(FOLDER.glob("*.json"))


@pytest.fixture(params=RECORDINGS, ids=lambda path: path.stem)
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, Any], Path]:
    """What a job's cgroup was, and its files in a folder of their own."""
    content = json.loads(request.param.read_text())
    for path, text in content["files"].items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return content, tmp_path


def test_both_engines_are_recorded() -> None:
    assert {path.stem.split("-")[0] for path in RECORDINGS} == {"docker", "process"}
    assert {path.stem.split("-", 1)[1] for path in RECORDINGS} >= {"use", "oom_grandchild"}


def test_a_job_finds_its_cgroup_and_limit(recording: tuple[dict[str, Any], Path]) -> None:
    content, folder = recording
    own = cgroup.find_own(str(folder / "proc"), prefix=str(folder / "fs"))
    assert own is not None and own.version == 2
    assert own.limit_bytes() == content["memory"]["limit_effective"]
    assert own.swap_limit_bytes() == content["memory"]["swap_limit"]
    assert own.name == content["memory"]["enforced_by"]


def test_use_peak_and_kills(recording: tuple[dict[str, Any], Path]) -> None:
    content, folder = recording
    own = cgroup.find_own(str(folder / "proc"), prefix=str(folder / "fs"))
    assert own is not None
    reading = own.read()
    assert reading.oom_kills == content["memory"]["oom_kills"]
    assert reading.swap == 0
    assert reading.anon is not None and reading.total is not None
    assert 0 < reading.anon <= reading.total
    assert reading.total <= (own.peak_bytes() or 0) <= (own.limit_bytes() or 0) + 4096
    assert isinstance(own.major_faults(), int)

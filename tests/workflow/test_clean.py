"""``harness clean`` and ``unlock``: what nobody needs goes, what somebody uses stays, and nothing goes unasked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import HERE, Machine

from harness.console import Console
from harness.engine.interface import CACHE_PREFIX
from harness.hosts.lock import break_lock, read_lock
from harness.workflow.machines.clean import clean_hosts, unlock_hosts


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with a cache that no job uses, and a generated data set."""
    machine = Machine(tmp_path)
    for name in (f"{CACHE_PREFIX}gone-1", "data", "somebody-elses"):
        (machine.scratch / name).mkdir(parents=True)
        (machine.scratch / name / "file").write_text("x")
    yield machine
    break_lock(HERE)


def clean(
    machine: Machine, capsys: pytest.CaptureFixture[str], *, dry_run: bool = False, data: bool = False
) -> list[tuple[str, str]]:
    """What was, or would be, removed: each kind with its name."""
    inventory = machine.inventory("here")
    assert clean_hosts(Console(), inventory, limit=None, dry_run=dry_run, data=data, forks=1, as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["host"] for one in found} <= {"here"} and all(one["why"] for one in found)
    return [(one["what"], Path(one["name"]).name) for one in found]


CACHE, LOCK, DATA = (
    ("cache folder", f"{CACHE_PREFIX}gone-1"),
    ("lock", "s1"),
    ("data sets, weights and file lists", "data"),
)


def left(machine: Machine) -> list[str]:
    return sorted(path.name for path in machine.scratch.iterdir())


def test_what_a_dead_session_left_is_listed_first_and_removed_then(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.hold("s1", is_dead=True)
    before = left(machine)
    assert clean(machine, capsys, dry_run=True) == [CACHE, LOCK]
    assert left(machine) == before and read_lock(HERE) is not None
    assert clean(machine, capsys) == [CACHE, LOCK]
    assert left(machine) == ["data", "somebody-elses"] and read_lock(HERE) is None
    assert clean(machine, capsys) == []


def test_a_living_sessions_lock_stays_and_is_told(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    held = machine.hold("s1")
    inventory = machine.inventory("here")
    assert clean_hosts(Console(), inventory, limit=None, dry_run=False, data=True, forks=1, as_json=False) == 0
    said = capsys.readouterr()
    assert "session s1" in said.err and "was kept: it runs" in said.err
    assert [line.split()[:2] for line in said.out.splitlines()[1:]] == [["here", "cache"]]
    assert left(machine) == ["data", "somebody-elses"], "its data is not taken away under it, whatever was asked"
    owner = read_lock(HERE)
    assert owner is not None and owner.token == held.owner.token


def test_data_goes_only_where_that_is_asked_for(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert clean(machine, capsys) == [CACHE]
    assert clean(machine, capsys, data=True) == [DATA]
    assert left(machine) == ["somebody-elses"]


def test_a_machine_without_anything_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inventory = Machine(tmp_path).inventory("here")
    assert clean_hosts(Console(), inventory, limit=None, dry_run=False, data=True, forks=1, as_json=False) == 0
    assert capsys.readouterr().out == "nothing left over\n"


def test_a_lock_is_broken_when_somebody_says_so(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    inventory = machine.inventory("here")
    assert unlock_hosts(Console(), inventory, limit=None, yes=True, forks=1) == 0
    assert capsys.readouterr().out == "here: not locked\n"
    machine.hold("s1")
    assert unlock_hosts(Console(), inventory, limit=None, yes=False, forks=1) == 1  # nobody is there to be asked
    assert "here: still locked by" in capsys.readouterr().out and read_lock(HERE) is not None
    assert unlock_hosts(Console(), inventory, limit=None, yes=True, forks=1) == 0
    assert "here: unlocked (was held by" in capsys.readouterr().out and read_lock(HERE) is None

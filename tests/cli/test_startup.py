"""No command loads what it does not need, least of all ``--help``; completion still knows every command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer

from harness.cli.app import app
from harness.cli.group import CommandGroup

HEAVY = (
    "altair", "docker", "jinja2", "numpy", "pandas", "paramiko", "pyarrow", "pydantic", "scipy", "tensorflow", "yaml",
    "harness.console", "harness.workflow",
)  # fmt: skip

# What `harness facts` of this machine can do without: there is no SSH, no event, no case, and no table.
NOT_FOR_FACTS = (
    "altair", "docker", "jinja2", "numpy", "pandas", "paramiko", "pyarrow", "rich", "scipy", "tensorflow",
    "harness.analysis.outcomes", "harness.console.event_lines", "harness.engine.registry", "harness.experiment",
    "harness.records", "harness.report", "harness.ship", "harness.values.case", "harness.values.event",
    "harness.values.record",
)  # fmt: skip

# Runs the program as its console script does, and says behind its own errors what was loaded meanwhile.
PROGRAM = """
import json, sys
from harness.cli import main
sys.argv[0] = "harness"
try:
    main()
except SystemExit as end:
    loaded = sorted(name for name in HEAVY if name in sys.modules)
    sys.stdout.flush()
    sys.stderr.write(json.dumps({"code": end.code, "loaded": loaded}))
"""


def run_watched(words: Sequence[str], unwanted: Sequence[str]) -> tuple[object, str]:
    """Run a command; return its exit code with those of the ``unwanted`` modules that it loaded, and its output."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("HEAVY", repr(unwanted)), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(done.stderr), done.stdout


def command_paths() -> list[tuple[str, ...]]:
    """Every command and group of the program, as a user types them; the program itself is the empty one."""

    def walk(command: object, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        members: dict[str, object] = getattr(command, "commands", {})
        return [path, *(found for name, member in members.items() for found in walk(member, (*path, name)))]

    return walk(typer.main.get_command(app), ())


@pytest.mark.parametrize("path", command_paths(), ids=lambda path: " ".join(path) or "harness")
def test_help_loads_nothing_heavy(path: tuple[str, ...]) -> None:
    answer, said = run_watched([*path, "--help"], HEAVY)
    assert answer == {"code": 0, "loaded": []}
    assert " ".join(("Usage: harness", *path)) in " ".join(said.split())


def test_facts_load_nothing_that_they_do_not_need(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text("all: {hosts: {this-one: {ansible_connection: local}}}\n")
    answer, said = run_watched(["facts", str(inventory)], NOT_FOR_FACTS)
    assert answer == {"code": 0, "loaded": []}
    assert "this-one" in said


def test_no_garbage_is_looked_for_at_the_end() -> None:
    watch = "import atexit, gc; atexit.register(lambda: print('frozen:', gc.get_freeze_count() > 0))"
    done = subprocess.run(
        [sys.executable, "-c", watch + PROGRAM.replace("HEAVY", "()"), "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "frozen: True"


def test_every_group_is_of_the_class_that_answers_fast() -> None:
    def groups(command: object) -> list[object]:
        members = getattr(command, "commands", None)
        return [] if members is None else [command, *(g for member in members.values() for g in groups(member))]

    found = groups(typer.main.get_command(app))
    assert len(found) >= 3
    assert all(isinstance(group, CommandGroup) for group in found)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("harness ", {path[0] for path in command_paths() if len(path) == 1}),
        ("harness data ", {"make", "describe"}),
        ("harness run --only", {"--only"}),
        ("harness run lab.yaml --engine ", {"auto", "process"}),
        ("harness run lab.yaml --experiment ca", {"caches"}),
        ("harness run lab.yaml --experiment lab", {"lab.yaml"}),
        ("harness loaders --show tfdata-", {"tfdata-tuned", "tfdata-sequential"}),
        ("harness run lab.yaml --limit ws", {"ws1", "ws2"}),
        ("harness check lab.yaml --limit ws1:!g", {"ws1:!gpu"}),
        ("harness run nosuch.yaml --limit ws", set()),
        ("harness plan lab.yaml --explain ws", {"ws1", "ws2"}),
        ("harness advise --host bench@", {"bench@ws3"}),
        ("harness status lab-", {"lab-quick-12345678"}),
        ("harness status reports/", {"reports/lab-quick-12345678"}),
        ("harness compare lab-quick-12345678 lab", {"lab-quick-12345678"}),
    ],
)
def test_completion_knows_commands_options_and_names(tmp_path: Path, line: str, expected: set[str]) -> None:
    (tmp_path / "lab.yaml").write_text("all: {children: {gpu: {hosts: {ws1: {}, ws2: {}}}}}\n")
    (tmp_path / "reports" / "lab-quick-12345678").mkdir(parents=True)
    (tmp_path / "reports" / "lab-quick-12345678" / "session.json").write_text("{}")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host ws3 *.lab\n  Port 2222\n")
    words = line.split(" ")
    surroundings = {
        **os.environ,
        "HOME": str(tmp_path),
        "_HARNESS_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        [str(Path(sys.executable).with_name("harness"))],
        env=surroundings,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    found = set(done.stdout.split())
    assert expected <= found if expected else not found, done.stderr


def test_completion_script_can_be_shown() -> None:
    program = str(Path(sys.executable).with_name("harness"))
    surroundings = {**os.environ, "SHELL": "/bin/bash", "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [program, "--show-completion", "bash"], env=surroundings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "_HARNESS_COMPLETE" in done.stdout

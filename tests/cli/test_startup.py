"""No ``--help`` loads what only a command's work needs; completion still knows every command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from harness.cli.app import app
from harness.cli.group import CommandGroup

HEAVY = (
    "altair", "docker", "jinja2", "numpy", "pandas", "paramiko", "pyarrow", "pydantic", "scipy", "tensorflow", "yaml",
    "harness.console", "harness.workflow",
)  # fmt: skip

# Runs the program as its console script does, and says behind the help what was loaded meanwhile.
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


def command_paths() -> list[tuple[str, ...]]:
    """Every command and group of the program, as a user types them; the program itself is the empty one."""

    def walk(command: object, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        members: dict[str, object] = getattr(command, "commands", {})
        return [path, *(found for name, member in members.items() for found in walk(member, (*path, name)))]

    return walk(typer.main.get_command(app), ())


@pytest.mark.parametrize("path", command_paths(), ids=lambda path: " ".join(path) or "harness")
def test_help_loads_nothing_heavy(path: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("HEAVY", repr(HEAVY)), *path, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    answer = json.loads(done.stderr)
    assert answer == {"code": 0, "loaded": []}
    assert " ".join(("Usage: harness", *path)) in " ".join(done.stdout.split())


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
    ],
)
def test_completion_knows_commands_and_options(line: str, expected: set[str]) -> None:
    words = line.split(" ")
    surroundings = {
        **os.environ, "_HARNESS_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1),
    }  # fmt: skip
    done = subprocess.run(
        [str(Path(sys.executable).with_name("harness"))], env=surroundings, capture_output=True, text=True, check=False
    )
    assert expected <= set(done.stdout.split())


def test_completion_script_can_be_shown() -> None:
    program = str(Path(sys.executable).with_name("harness"))
    surroundings = {**os.environ, "SHELL": "/bin/bash", "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [program, "--show-completion", "bash"], env=surroundings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "_HARNESS_COMPLETE" in done.stdout

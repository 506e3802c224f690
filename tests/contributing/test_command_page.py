"""``docs/contributing/command.md``, followed: its file, put into a copy of the program, is a command of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from following import read_page

import harness
from harness.values.engine_names import engine_names


def test_its_file_is_all_that_the_program_needs(tmp_path: Path) -> None:
    shutil.copytree(Path(harness.__file__).parent, tmp_path / "harness")

    def say(*words: str) -> str:
        command = [sys.executable, "-c", "from harness.cli import main; main()", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    before = say("--help")
    name, code = read_page("command.md")
    assert name == "engines.py" and " engines " not in before
    (tmp_path / "harness" / "cli" / "commands" / name).write_text(code, encoding="utf-8")
    after = say("--help")
    assert "List the names of all engines." in " ".join(after.split()).replace("│ │ ", "")
    assert after.index("unlock ") < after.index("│ engines ") < after.index("│ run ")
    assert "Example:  harness engines --json" in say("engines", "--help")
    assert json.loads(say("engines", "--json")) == list(engine_names())

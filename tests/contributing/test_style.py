"""Each page's example keeps the project's style: what is copied from it passes ``ruff``."""

from __future__ import annotations

import subprocess
import sys

import pytest
from following import PAGES, read_page

FOLDERS = {
    "chart.md": "report/charts",
    "command.md": "cli/commands",
    "engine.md": "engine/kinds",
    "fact.md": "hosts/facts/kinds",
    "finding.md": "analysis/rules",
    "loader.md": "bench/loader_specs",
}


@pytest.mark.parametrize(("page", "folder"), FOLDERS.items())
@pytest.mark.parametrize("words", [("check",), ("format", "--check")])
def test_example_passes_ruff(page: str, folder: str, words: tuple[str, ...]) -> None:
    name, code = read_page(page)
    command = [sys.executable, "-m", "ruff", *words, "--stdin-filename", f"harness/{folder}/{name}", "-"]
    done = subprocess.run(command, cwd=PAGES.parents[1], input=code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_page_is_checked() -> None:
    assert {page.name for page in PAGES.glob("*.md")} == set(FOLDERS)

"""The payload runs on every Python that hosts may have: on an older one than this program needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.values.platforms import OLDEST_HOST_PYTHON

BENCH = Path(__file__).resolve().parents[2] / "harness/bench"
CACHE = BENCH.parents[1] / ".mypy_cache"
"""Also of ``make lint``; mypy keeps what it found for each version of Python apart."""
CODES = ("[attr-defined]", "[name-defined]", "[call-arg]", "[call-overload]", "[syntax]")
"""Errors of names, arguments and grammar; without NumPy and TensorFlow there are others, which say nothing."""
ARRAYS = ("? has no attribute", '"bool" has no attribute')
"""What is said of arrays, whose types are not known without NumPy."""
OLDEST = ".".join(map(str, OLDEST_HOST_PYTHON))


def check(*files: Path) -> str:
    """What mypy says of code under the oldest Python: what its grammar and its library do not have."""
    command = [sys.executable, "-m", "mypy", "--python-version", OLDEST, "--config-file="]
    command += ["--no-site-packages", "--ignore-missing-imports", "--cache-dir", str(CACHE), "--no-error-summary"]
    command += ["--disable-error-code", "import-untyped", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=BENCH.parents[1])
    assert not done.stderr, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.endswith(CODES)]
    return "\n".join(line for line in lines if not any(word in line for word in ARRAYS))


def test_it_uses_nothing_that_came_later() -> None:
    files = sorted(BENCH.rglob("*.py"))
    assert check(*files) == ""
    assert [file for file in files if "tomllib" in file.read_text()] == [], "the only module that 3.11 added"


def test_what_came_later_is_found(tmp_path: Path) -> None:
    later = {
        "UTC": "from datetime import UTC\n",
        "file_digest": "import hashlib\nhashlib.file_digest\n",
        "StrEnum": "from enum import StrEnum\n",
        "ExceptionGroup": "ExceptionGroup\n",
    }
    for name, code in later.items():
        (tmp_path / f"later_{name.lower()}.py").write_text(code)
    said = check(*tmp_path.glob("later_*.py"))
    assert [name for name in later if f"later_{name.lower()}.py" not in said] == []
    (tmp_path / "grammar.py").write_text("try:\n    pass\nexcept* ValueError:\n    pass\n")
    assert "grammar.py:1" in check(tmp_path / "grammar.py")


@pytest.mark.skipif(sys.version_info[:2] == OLDEST_HOST_PYTHON, reason="it is this one")
def test_the_oldest_is_older_than_this_one() -> None:
    assert sys.version_info[:2] > OLDEST_HOST_PYTHON

"""Temporary folders: removed when they are done with, and by the next controller where one was killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.hosts.temporary import temporary_folder

HOLD = """
import sys, time
from harness.hosts.temporary import temporary_folder
with temporary_folder() as folder:
    (folder / "half").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_what_a_killed_controller_left_is_swept_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    for name in ("harness-work-mine", "harness-work-marked", "harness-thesis"):
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / ".lock").touch()
    (tmp_path / "harness-work-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "harness-work-marked" / ".lock").symlink_to(tmp_path / "elsewhere" / ".lock")
    holders = [subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    killed, alive = [Path(holder.stdout.readline().strip()) for holder in holders if holder.stdout]
    holders[0].kill()
    holders[0].wait()
    try:
        with temporary_folder() as folder:
            assert list(folder.iterdir()) == []
            assert not killed.parent.exists() and (alive / "half").exists()
        assert not folder.parent.exists()
        others = {"elsewhere", "harness-thesis", "harness-work-link", "harness-work-mine", "harness-work-marked"}
        assert {path.name for path in tmp_path.iterdir()} == {alive.parent.name, *others}
    finally:
        holders[1].kill()
        holders[1].wait()

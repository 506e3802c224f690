"""What a job leaves is removed, also where it took its own right to enter it away, and however deep it is."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.bench.launcher.removal import REMOVE, remove_ephemeral

NOBODY = 65534


@pytest.fixture
def anybodys() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def test_a_closed_folder_is_removed_by_its_owner(anybodys: Path) -> None:
    user = NOBODY if os.geteuid() == 0 else os.geteuid()
    cache = anybodys / "harness-cache-it's $(x)"
    (cache / "a" / "b").mkdir(parents=True)
    (cache / "a" / "b" / "file").touch()
    (anybodys / "precious").mkdir(mode=0o500)
    (cache / "a" / "link").symlink_to(anybodys / "precious")
    for path in (cache / "a" / "b" / "file", cache / "a" / "b", cache / "a", cache, anybodys / "precious"):
        os.chown(path, user, user)
    for path in (cache / "a" / "b", cache / "a", cache):
        path.chmod(0)
    done = subprocess.run([*REMOVE, str(cache)], user=user, check=False, capture_output=True)
    assert not cache.exists(), done.stderr
    assert (anybodys / "precious").stat().st_mode & 0o777 == 0o500


def test_a_very_deep_folder_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "harness-cache-deep"
    cache.mkdir()
    monkeypatch.chdir(cache)
    for _ in range(1200):
        os.mkdir("a" * 200)
        os.chdir("a" * 200)
    monkeypatch.chdir(tmp_path)
    remove_ephemeral(str(cache))
    assert not cache.exists()

"""Files are written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from harness.bench.protocol.atomic import replace_file, write_file


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_file(target, "first")
    write_file(str(target), "zweite Fassung, größer")
    assert target.read_text(encoding="utf-8") == "zweite Fassung, größer"
    assert os.listdir(tmp_path) == ["a.json"]


def test_what_fails_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_file(target, b"old")
    with pytest.raises(RuntimeError), replace_file(target) as stream:
        stream.write(b"half of the n")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_what_is_private_is_never_readable_by_others(tmp_path: Path) -> None:
    with replace_file(tmp_path / "key", mode=0o640):
        (part,) = tmp_path.iterdir()
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o640


def test_it_goes_through_to_the_disk_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    write_file(tmp_path / "a", "x")
    with replace_file(tmp_path / "b", sync=False) as stream:
        stream.write(b"x")
    assert len(synced) == 1


def test_a_folder_that_is_not_there_is_the_callers_affair(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_file(tmp_path / "nowhere" / "a", "x")

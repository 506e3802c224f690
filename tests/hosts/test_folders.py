"""Paths and folders on a host."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import Any

import pytest

from harness.hosts.connection import Completed
from harness.hosts.folders import read_free_bytes, read_home, resolve_path
from harness.hosts.local import LocalConnection
from harness.hosts.own_folders import make_own_folder
from harness.values.errors import HostNotReady


class Answering(LocalConnection):
    """A host that answers every command alike."""

    def __init__(self, stdout: bytes, returncode: int = 0) -> None:
        super().__init__("ws01")
        self.answer = Completed(returncode, stdout, b"")

    def run(self, argv: Any, *, input: Any = None, timeout_s: float = 60.0, **options: Any) -> Any:
        return self.answer


def test_paths_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home dir"))
    monkeypatch.chdir(tmp_path)
    local = LocalConnection()
    assert read_home(local) == str(tmp_path / "home dir")
    assert resolve_path(local, "~") == str(tmp_path / "home dir")
    assert resolve_path(local, "~/.cache//x/../harness") == str(tmp_path / "home dir/.cache/harness")
    assert resolve_path(local, "/a/./b/../c") == "/a/c"
    assert resolve_path(local, "data/set") == str(tmp_path / "data/set")


def test_a_folder_name_that_ends_in_a_line_end_survives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    odd = tmp_path / "odd\n"
    odd.mkdir()
    monkeypatch.chdir(odd)
    assert resolve_path(LocalConnection(), "x") == str(odd / "x")


def test_the_home_of_another_user() -> None:
    me = pwd.getpwuid(0)
    assert resolve_path(LocalConnection(), f"~{me.pw_name}/x") == f"{me.pw_dir}/x"
    with pytest.raises(HostNotReady, match="no user"):
        resolve_path(LocalConnection(), "~nobody-of-this-name/x")


def test_a_user_without_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")
    with pytest.raises(HostNotReady, match="no home folder") as raised:
        resolve_path(LocalConnection(), "~/x")
    assert raised.value.hint
    with pytest.raises(HostNotReady):
        resolve_path(Answering(b"garbage"), "~/x")


def test_an_own_folder_is_made_with_its_parents_and_tells_why_not(tmp_path: Path) -> None:
    local, scratch = LocalConnection(), tmp_path / "scratch"
    make_own_folder(local, str(scratch), f"{scratch}/a/b c")
    make_own_folder(local, str(scratch), f"{scratch}/a/b c")
    assert (scratch / "a/b c").is_dir()
    (scratch / "file").write_text("")
    with pytest.raises(HostNotReady, match=r"cannot be made: .*(Not a directory|File exists)"):
        make_own_folder(local, str(scratch), f"{scratch}/file/x")


def test_free_bytes_also_where_the_folder_is_not_made(tmp_path: Path) -> None:
    local = LocalConnection()
    free = read_free_bytes(local, str(tmp_path / "not/there"))
    assert free is not None
    assert 0 < free < 10**18
    assert read_free_bytes(Answering(b"", 1), "/x") is None
    assert read_free_bytes(Answering(b"garbage"), "/x") is None

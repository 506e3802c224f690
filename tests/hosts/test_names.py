"""Names that lead to one machine: the real script, in a folder of the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.hosts.local import LocalConnection
from harness.hosts.names import NameMarks
from harness.values.errors import HostNotReady

HERE = LocalConnection("here")


def test_what_is_written_through_one_name_is_read_through_the_other(tmp_path: Path) -> None:
    marks, other = (NameMarks(str(folder / "lock")) for folder in (tmp_path, tmp_path / "other"))
    (tmp_path / "other").mkdir()
    for name in ("ws1", "ws2", "again"):
        marks.leave(name, HERE)
    assert len(list(tmp_path.glob("lock.*"))) == 3
    assert marks.find_copies(["ws2", "ws1", "again"]) == {"ws1": "ws2", "again": "ws2"}
    for name in ("ws1", "ws2", "again", "never"):
        marks.remove(name, HERE)
    assert not list(tmp_path.glob("lock.*"))
    other.leave("ws3", HERE)
    assert other.find_copies(["ws3", "ws4"]) == {}


def test_other_places_and_other_commands_are_not_seen(tmp_path: Path) -> None:
    first, second = NameMarks(str(tmp_path / "lock")), NameMarks(str(tmp_path / "lock"))
    first.leave("ws1", HERE)
    second.leave("ws2", HERE)
    first.leave("ws3", HERE)
    assert first.find_copies(["ws1", "ws2", "ws3"]) == {"ws3": "ws1"}
    assert second.find_copies(["ws1", "ws2", "ws3"]) == {}


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(HostNotReady, match="cannot be written"):
        NameMarks(str(tmp_path / "gone" / "lock")).leave("ws1", HERE)

"""``harness status``: the session that is meant, what its hosts do, and that nothing is changed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from factory import plain_record

from harness.console import Console
from harness.records.content import SessionContent, SessionExperiment, SessionHost
from harness.records.folder import SessionFolder
from harness.records.journal import Journal
from harness.records.session_data import read_session
from harness.report.recap import view_recap
from harness.values.errors import SessionError
from harness.values.event import (
    CommandStarted,
    HostBegun,
    InvocationStarted,
    Progress,
    RoundAdded,
    RoundStarted,
    SessionStarted,
)
from harness.workflow.local.show_status import show_status


def make_session(output: Path, name: str = "lab-one-1") -> SessionFolder:
    """A session of two hosts: one has begun a case, the other has done its single one."""
    folder = SessionFolder(output / name)
    hosts = {"ws1": SessionHost(), "ws2": SessionHost()}
    folder.write(
        SessionContent(
            name=name, session=name, experiment_name="one", experiment=SessionExperiment(rounds="auto"), hosts=hosts
        )
    )
    journal = Journal(folder)
    journal.write_event(RoundAdded("ws1", 4, "tfdata against grain and 1 more", open=2, most=20))
    journal.write_event(RoundStarted("ws1", 4))
    journal.write_event(
        InvocationStarted("ws1", "x", 1, 1, "c", label="tfdata, no cache", done=2, planned=4, left_s=90.0)
    )
    journal.write_event(SessionStarted(name, str(folder.path), True, 1, 1, host="ws2", left_s=0.0))
    for record in (plain_record(host="ws2"), plain_record(host="ws1", invocation="j", status="oom")):
        journal.write_record(record)
    journal.close()
    return folder


def content_of(folder: SessionFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.path.iterdir()}


def test_each_host_has_a_line_and_nothing_is_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_session(tmp_path)
    before = content_of(folder)
    show_status(Console(), None, tmp_path, as_json=False)
    head, columns, *rows, last = capsys.readouterr().out.splitlines()
    assert head.startswith("lab-one-1 (one): cut off since 20") and head.endswith("; 1 ok, 1 out of memory")
    assert columns.split() == ["host", "state", "done", "round", "failed"]
    assert [row.split()[0] for row in rows] == ["ws1", "ws2"]
    assert "unknown since 20" in rows[0] and " 1 of 4 " in rows[0] and "may still be running there" in rows[0]
    assert " 4 of 3–20, open: 2 comparisons " in rows[0]
    assert rows[1].split()[1:5] == ["done", "1", "of", "1"]
    assert last == "continue with:  harness run INVENTORY"
    assert content_of(folder) == before


def test_a_session_that_somebody_works_on_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_session(tmp_path)
    journal = Journal(folder)
    try:
        show_status(Console(), folder.path, tmp_path, as_json=False)
    finally:
        journal.close()
    head, columns, first, _ = capsys.readouterr().out.splitlines()
    assert ": running; " in head and "tfdata, no cache" in first and " measuring since 20" in first
    assert columns.split() == ["host", "state", "done", "round", "failed", "running", "left"]


def test_what_is_sent_to_a_host_is_shown_while_it_is_prepared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SessionFolder(tmp_path / "lab-one-1")
    folder.write(SessionContent(name=folder.name, session=folder.name, experiment_name="one"))

    def show() -> str:
        show_status(Console(), folder.path, tmp_path, as_json=False)
        return capsys.readouterr().out

    journal = Journal(folder)
    try:
        journal.write_event(CommandStarted(folder.name, str(folder.path), False, ("ws1", "ws2")))
        journal.write_event(HostBegun("ws1"))
        journal.write_event(Progress("ws1", "sending harness-cpu: 312 MB of 1.56 GB", 0.2))
        _, _, first, second, *_ = show().splitlines()
        assert "preparing since 20" in first and first.endswith("  sending harness-cpu: 312 MB of 1.56 GB (20%)")
        assert "waiting" in second and "MB" not in second
        folder.progress_file.write_text('{"ws1": {"at": "2020-01-01T00:00:00Z", "what": "sending, earlier command"}}')
        assert "preparing since 20" in (old := show()) and "earlier command" not in old
        folder.progress_file.write_text('{"ws1": {"at": 1, "what": [')
        assert "preparing since 20" in show()
    finally:
        journal.close()
    assert not folder.progress_file.exists()


def test_the_report_is_named_where_there_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_session(tmp_path)
    folder.report_file.write_text("<html>")
    show_status(Console(), None, tmp_path, as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == folder.report_file.resolve().as_uri()


def test_the_same_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_session(tmp_path)
    show_status(Console(), Path(folder.name), tmp_path, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert (said["session"], said["experiment"], said["is_live"]) == ("lab-one-1", "one", False)
    assert [(host["host"], host["done"], host["planned"]) for host in said["hosts"]] == [("ws1", 1, 4), ("ws2", 1, 1)]
    assert (said["folder"], said["report"]) == (str(folder.path), str(folder.report_file))


def test_without_a_name_it_is_the_session_that_changed_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = make_session(tmp_path, "lab-old-1"), make_session(tmp_path, "lab-new-2")
    for path in (old.path, *old.path.iterdir()):
        os.utime(path, (1, 1))
    show_status(Console(), None, tmp_path, as_json=False)
    assert capsys.readouterr().out.startswith(new.name)
    with pytest.raises(SessionError, match="this is not a session folder"):
        show_status(Console(), tmp_path / "nowhere", tmp_path, as_json=False)
    with pytest.raises(SessionError, match="there is no session in this folder"):
        show_status(Console(), None, tmp_path / "empty", as_json=False)


def test_a_page_of_a_session_that_was_cut_off_says_what_status_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_session(tmp_path)
    show_status(Console(), None, tmp_path, as_json=False)
    said = capsys.readouterr().out.splitlines()
    page = view_recap(read_session(folder.path))
    assert page.state == "cut off; 1 ok, 1 out of memory"
    for row, line in zip(page.rows, said[2:4], strict=True):
        assert " ".join(row[:3]) in " ".join(line.split()).replace(" 4 of 3–20, open: 2 comparisons", "")
        assert row[4] in line
    assert "tfdata, no cache, started " in page.rows[0][4] and page.rows[0][1].startswith("unknown since ")
    journal = Journal(folder)
    try:
        assert view_recap(read_session(folder.path)).state.startswith("not ended; "), "it is read later"
    finally:
        journal.close()

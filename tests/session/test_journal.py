"""Records and events on disk: synced lines, a cut last one, one writer."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from test_resume import plan, record

from harness.records.content import SessionContent
from harness.records.folder import SessionFolder, find_folder, list_folders
from harness.records.journal import Journal, is_taken
from harness.records.reading import Fault, read_content, read_events, read_records
from harness.values.errors import SessionError
from harness.values.event import HostStateChanged, Progress


def test_a_cut_last_line_is_tolerated_reported_and_taken_off(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "s")
    journal = Journal(folder)
    for invocation in plan(1):
        journal.write_record(record(invocation, "ok"))
    journal.close()
    with folder.records_file.open("ab") as stream:
        stream.write(b'{"format": 1, "sess')
    assert len(read_records(folder)) == 2
    faults: list[Fault] = []
    assert len(read_records(folder, faults.append)) == 2
    assert [(fault.is_expected, "is not whole" in fault.message) for fault in faults] == [(True, True)]
    reopened = Journal(folder)
    assert reopened.cut == {"records.jsonl": '{"format": 1, "sess'}
    reopened.write_record(record(plan(1)[0], "oom", attempt=2))
    reopened.close()
    assert [one.status for one in read_records(folder)] == ["ok", "ok", "oom"]


def test_a_damaged_line_in_the_middle_is_an_error_with_its_number(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "s")
    folder.path.mkdir()
    folder.records_file.write_text('not json\n{"format": 1}\n')
    with pytest.raises(SessionError, match=r"records\.jsonl:1"):
        read_records(folder)


def test_one_session_has_one_writer(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "s")
    journal = Journal(folder)
    assert is_taken(folder)
    with pytest.raises(SessionError, match="another"):
        Journal(folder)
    journal.close()
    assert not is_taken(folder)
    Journal(folder).close()


def test_lines_of_many_threads_stay_whole(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "s")
    journal = Journal(folder)

    def write(host: str) -> None:
        for number in range(50):
            journal.write_event(HostStateChanged(host, "ready", "x" * (number * 20)))

    threads = [threading.Thread(target=write, args=(f"h{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.write_event(Progress("h", "not on disk"))
    journal.close()
    lines = read_events(folder)
    assert len(lines) == len(folder.events_file.read_bytes().splitlines()) == 200
    assert all(isinstance(line.event, HostStateChanged) and line.at.endswith("Z") for line in lines)


def test_the_same_command_finds_the_same_folder_and_fresh_another(tmp_path: Path) -> None:
    def find(is_fresh: bool = False) -> SessionFolder:
        return find_folder(
            tmp_path, inventory="lab", experiment="quick", digest="12345678", name=None, is_fresh=is_fresh
        )

    assert find().name == "lab-quick-12345678"
    find().write(SessionContent(name="a"))
    assert find().name == "lab-quick-12345678"
    assert find(is_fresh=True).name == "lab-quick-12345678-2"
    find(is_fresh=True).write(SessionContent(name="b"))
    assert find().name == "lab-quick-12345678-2"
    assert find(is_fresh=True).name == "lab-quick-12345678-3"
    assert {folder.name for folder in list_folders(tmp_path)} == {"lab-quick-12345678", "lab-quick-12345678-2"}


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": 99}'])
def test_a_damaged_session_file_is_one_clear_error(tmp_path: Path, content: str) -> None:
    folder = SessionFolder(tmp_path)
    folder.session_file.write_text(content)
    with pytest.raises(SessionError) as error:
        read_content(folder)
    assert error.value.hint
    assert str(tmp_path) in str(error.value)

"""Records and events on disk: synced lines, a cut last one, one writer."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path

import pytest
from test_resume import plan, record

from harness.records.content import SessionContent
from harness.records.folder import SessionFolder, find_folder, list_folders
from harness.records.journal import Journal, heard_at, is_taken
from harness.records.reading import Fault, read_content, read_events, read_records
from harness.values.errors import SessionError
from harness.values.event import HostStateChanged, Progress, SessionStarted
from harness.values.record import Epoch


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
    assert [(fault.is_expected, "is incomplete" in fault.message) for fault in faults] == [(True, True)]
    reopened = Journal(folder)
    assert reopened.cut == {"records.jsonl": '{"format": 1, "sess'}
    reopened.write_record(record(plan(1)[0], "oom", attempt=2))
    reopened.close()
    assert [one.status for one in read_records(folder)] == ["ok", "ok", "oom"]


DAMAGED = {
    "no JSON": b"not json",
    "no object": b"[]",
    "lacks its fields": b'{"format": 1}',
    "NaN": b'{"seconds": NaN}',
    "deep": b"[" * 100_000,
    "of many values": b"[" + b"{}," * 300_000 + b"{}]",
    "long": b'"' + b"x" * (9 * 2**20) + b'"',
    "no UTF-8": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_line_costs_itself_and_is_named_with_its_number(tmp_path: Path, name: str) -> None:
    folder = SessionFolder(tmp_path / "s")
    journal = Journal(folder)
    first, second = plan(1)
    journal.write_record(record(first, "ok"))
    journal.close()
    with folder.records_file.open("ab") as stream:
        stream.write(DAMAGED[name] + b"\n")
    journal = Journal(folder)
    assert journal.cut == {}
    journal.write_record(record(second, "ok"))
    assert [one.invocation for one in journal.records_of(first.host)] == [first.identity, second.identity]
    (fault,) = journal.unreadable
    assert fault.where.endswith("records.jsonl:2") and fault.hint and len(fault.message) < 400
    journal.close()
    assert len(read_records(folder)) == 2


EDITS: dict[str, tuple[tuple[str, ...], object]] = {
    "a time that no clock shows": (("epochs", "0", "seconds"), 1e-320),
    "no time": (("epochs", "0", "seconds"), None),
    "images without number": (("epochs", "0", "images"), 10**300),
    "an epoch far away": (("epochs", "0", "index"), 10**22),
    "a peak beyond all memory": (("memory", "peak_anon"), 10**400),
    "a batch of nothing": (("case", "batch_size"), 0),
    "a batch without end": (("case", "batch_size"), 10**30),
    "an infinite model": (("case", "model"), {"alpha": 1e999}),
    "a round below zero": (("round",), -1),
}


@pytest.mark.parametrize("name", EDITS)
def test_figures_that_nobody_can_have_measured_cost_their_record(tmp_path: Path, name: str) -> None:
    folder = SessionFolder(tmp_path / "s")
    journal = Journal(folder)
    first, second = plan(1)
    for invocation in (first, second):
        kept = record(invocation, "ok").model_copy(update={"epochs": (Epoch(index=1, images=9, seconds=2.0),)})
        journal.write_record(kept)
    journal.close()
    (*place, key), value = EDITS[name]
    lines = [json.loads(line) for line in folder.records_file.read_text().splitlines()]
    target = lines[0]
    for step in place:
        target = target[int(step)] if step.isdigit() else target[step]
    target[key] = value
    digits = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)  # of this test's own writing
    folder.records_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    sys.set_int_max_str_digits(digits)
    faults: list[Fault] = []
    assert [one.invocation for one in read_records(folder, faults.append)] == [second.identity]
    assert [fault.where.rpartition(":")[2] for fault in faults] == ["1"]
    assert len(faults[0].message) < 400


def test_a_disk_that_is_full_is_told_once_and_leaves_whole_lines(tmp_path: Path) -> None:
    folder, (first, second) = SessionFolder(tmp_path / "s"), plan(1)
    journal = Journal(folder)
    journal.write_record(record(first, "ok"))
    room = folder.records_file.stat().st_size + 100
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        for _ in range(2):
            with pytest.raises(SessionError, match="cannot write"):
                journal.write_record(record(second, "ok"))
        journal.close()  # nothing is left to write
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [one.invocation for one in read_records(folder)] == [first.identity]
    assert Journal(folder).cut == {}


def test_what_a_killed_controller_was_fetching_is_swept(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "s")
    Journal(folder).close()
    (folder.path / ".fetch-dead" / "sub").mkdir(parents=True)
    journal = Journal(folder)
    with folder.fetching() as place, pytest.raises(SessionError, match="another"):
        Journal(folder)  # of a session that is at work nothing is touched
    journal.close()
    assert not place.exists() and list(folder.path.glob(".fetch-*")) == []


def test_half_a_character_and_an_endless_estimate_are_written_as_json(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "s")
    journal = Journal(folder)
    journal.write_event(HostStateChanged("h", "not_ready", "half \ud800 of one"))
    journal.write_event(SessionStarted("s", "f", False, 0, 1, left_s=float("inf")))
    journal.close()
    events = [logged.event for logged in read_events(folder)]
    assert events == [HostStateChanged("h", "not_ready", "half � of one"), SessionStarted("s", "f", False, 0, 1)]


def test_one_session_has_one_writer(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "s")
    journal = Journal(folder)
    assert is_taken(folder)
    with pytest.raises(SessionError, match="another"):
        Journal(folder)
    journal.close()
    assert not is_taken(folder)
    Journal(folder).close()


def test_what_lies_in_the_place_of_a_sessions_lock_is_no_writer(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path)
    lock = tmp_path / ".lock"
    os.mkfifo(lock)  # nobody writes into it
    assert not is_taken(folder)
    os.utime(lock, (2**40, 2**40))  # kept by tmpfs; others keep the latest that they can
    assert (heard_at(folder) or "2400") >= "2400"


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


def test_long_names_make_a_folder_that_can_be_and_stay_apart(tmp_path: Path) -> None:
    def find(inventory: str) -> SessionFolder:
        return find_folder(
            tmp_path, inventory=inventory, experiment="é" * 100, digest="12345678", name=None, is_fresh=False
        )

    first, second = find("ä" * 120 + "1"), find("ä" * 120 + "2")
    assert first.name != second.name
    first.write(SessionContent(name="a"))
    assert find("ä" * 120 + "1").exists() and not second.exists()
    with pytest.raises(SessionError, match="cannot be the name of a session"):
        find_folder(tmp_path, inventory="i", experiment="e", digest="d", name="n" * 300, is_fresh=False)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format": 99}'])
def test_a_damaged_session_file_is_one_clear_error(tmp_path: Path, content: str) -> None:
    folder = SessionFolder(tmp_path)
    folder.session_file.write_text(content)
    with pytest.raises(SessionError) as error:
        read_content(folder)
    assert error.value.hint
    assert str(tmp_path) in str(error.value)

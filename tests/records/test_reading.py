"""One reader with two attitudes: a run refuses what is wrong, a report makes a note of it and reads the rest."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.records.content import SessionContent, SessionDataSet, SessionHost, session_schema
from harness.records.folder import SessionFolder
from harness.records.reading import Fault, parse_event, read_content, read_events, read_facts, refuse
from harness.records.session_data import read_session
from harness.values.data import DataPlace
from harness.values.errors import SessionError
from harness.values.event import DataReady, HostStateChanged, RoundStarted, SessionFinished

FORMAT_1 = Path(__file__).parent.parent / "report" / "session_format_1"


def read(value: object, tmp_path: Path) -> tuple[SessionContent, list[str]]:
    folder, faults = SessionFolder(tmp_path), list[Fault]()
    folder.session_file.write_text(json.dumps(value), encoding="utf-8")
    return read_content(folder, faults.append), [fault.message for fault in faults]


def test_the_first_format_is_read_by_a_run_and_written_as_it_was(tmp_path: Path) -> None:
    content = read_content(SessionFolder(FORMAT_1))
    assert (content.id, content.seed, content.experiment.rounds) == ("d40b38c9917d", 1, 3)
    assert content.hosts["ws1"].memory_available == 21_914_831_258
    assert content.data["photos"] == SessionDataSet(
        fingerprint=content.data["photos"].fingerprint, kind="folder", images=96, classes=2, bytes=2_136_598
    )
    SessionFolder(tmp_path).write(content)
    assert json.loads((tmp_path / "session.json").read_text()) == json.loads((FORMAT_1 / "session.json").read_text())


def test_what_is_written_fits_the_schema_and_reads_back(tmp_path: Path) -> None:
    place = DataPlace(form="folder", folder="/srv/photos", suffixes=(".jpg",), images=9, classes=2, bytes=99)
    host = SessionHost(engine="docker", image_digest="1" * 64, memory_available=10**9, data={"photos": place})
    content = SessionContent(name="s", id="x").with_host("ws1", host, {"photos": SessionDataSet(images=9)})
    folder = SessionFolder(tmp_path)
    folder.write(content)
    assert read_content(folder) == content.model_copy(update={"format": 1})
    assert content.image_digests == {"ws1": "1" * 64}
    for file in (folder.session_file, FORMAT_1 / "session.json"):
        jsonschema.validate(json.loads(file.read_text()), dict(session_schema()))


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"seed": "seven"}, "seed"),
        ({"experiment": {"rounds": "many", "name": "e"}}, "experiment.rounds"),
        ({"hosts": {"a": {"memory_available": True}, "b": {}}}, "hosts.a.memory_available"),
        ({"hosts": {"a": {"data": {"d": {"form": "tape"}}}, "b": {}}}, "hosts.a.data.d.form"),
        ({"hosts": {"a": {"data": {"d": {}}}, "b": {}}}, "hosts.a.data.d"),
        ({"hosts": [], "data": {}}, "hosts"),
        ({"inventory": {"hosts": ["a", 7]}}, "inventory.hosts"),
        ({"versions": {"harness": None}}, "versions.harness"),
    ],
)
def test_a_field_that_is_wrong_costs_itself_in_a_report_and_ends_a_run(
    wrong: dict[str, Any], place: str, tmp_path: Path
) -> None:
    value = {"format": 1, "name": "s", "id": "x", **wrong}
    content, notes = read(value, tmp_path)
    assert (content.name, content.id) == ("s", "x")
    assert len(notes) >= 1 and notes[0].startswith(f"session.json is damaged: {place}: ")
    assert list(content.hosts) == (["a", "b"] if isinstance(wrong.get("hosts"), dict) else [])
    with pytest.raises(SessionError, match="is damaged: "):
        read_content(SessionFolder(tmp_path))


def test_fields_of_other_versions_are_kept(tmp_path: Path) -> None:
    value = {"format": 1, "name": "s", "later": {"a": [1, None]}, "experiment": {"novel": "x"}}
    content, notes = read(value, tmp_path)
    assert notes == [] and content.plain() == value


def test_an_event_that_is_not_of_its_format_costs_itself(tmp_path: Path) -> None:
    folder, faults = SessionFolder(tmp_path), list[Fault]()
    lines = [
        {"event": "RoundStarted", "at": "t", "host": "a", "round": 1, "order": ["x"], "later": 1},
        {"event": "RoundStarted", "at": "t", "host": None, "round": "?"},
        {"event": "Event"},
        {"event": "LoggedEvent", "at": "t"},
        {"event": "SessionFinished", "at": "u", "session": "s"},
    ]
    folder.events_file.write_text("".join(json.dumps(line) + "\n" for line in lines) + "3\n")
    events = read_events(folder, faults.append)
    assert [logged.event for logged in events] == [RoundStarted("a", 1, ("x",)), SessionFinished("s")]
    assert [fault.where.rpartition(":")[2] for fault in faults] == ["2", "6"]
    assert read_events(folder, lambda fault: None, {DataReady}) == []
    with pytest.raises(SessionError, match="RoundStarted does not fit the format"):
        read_events(folder)


def test_an_event_reads_back_as_it_was_written() -> None:
    ready = DataReady("a", "photos", "3" * 64, 9, 99, "generated", {"cmyk": 1})
    logged = parse_event({"at": "t", **json.loads(json.dumps(ready.to_json()))}, refuse, "")
    assert logged is not None and (logged.at, logged.event) == ("t", ready)


def test_facts_that_cannot_be_read_cost_their_host(tmp_path: Path) -> None:
    folder, faults = SessionFolder(tmp_path), list[Fault]()
    folder.facts_folder.mkdir()
    (folder.facts_folder / "a.json").write_text("{}")
    (folder.facts_folder / "b.json").write_text("{")
    assert list(read_facts(folder, faults.append)) == ["a"]
    assert len(faults) == 1 and "b.json" in faults[0].message


def test_events_of_hosts_that_were_renamed_often_have_the_last_name(tmp_path: Path) -> None:
    count, folder = 5000, tmp_path / "s"
    state = {"event": "HostStateChanged", "at": "", "host": "h0", "state": "ready"}
    renames = [
        {"event": "HostRenamed", "at": "", "old": f"h{n}", "host": f"h{n + 1}", "records": 1} for n in range(count)
    ]
    shutil.copytree(FORMAT_1, folder)
    lines = [state, *renames, state]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    begun = time.process_time()
    found = [event.host for event in read_session(folder, None).events_of(HostStateChanged)]
    assert found == [f"h{count}", "h0"]
    assert time.process_time() - begun < 5

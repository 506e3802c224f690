from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builder import SessionBuilder, make_case, make_facts, make_record

from harness.analysis.selection import current_records
from harness.report.source import read_source
from harness.values.errors import SessionError
from harness.values.event import RoundStarted


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    builder = SessionBuilder("s-1").add_host("ws01", make_facts())
    builder.add(make_record(make_case()), make_record(make_case(), round=2)).add_event(
        "RoundStarted", host="ws01", round=1
    )
    return builder.write(tmp_path / "s-1")


def append(file: Any, text: str) -> None:
    with file.open("a", encoding="utf-8") as stream:
        stream.write(text)


def test_a_folder_is_read_whole(folder: Any) -> None:
    (session,) = read_source(folder)
    assert (session.name, session.origin, session.experiment_name) == ("s-1", "s-1", "test")
    assert [record.round for record in session.records] == [1, 2]
    assert session.facts["ws01"].logical_cpus == 16
    assert session.notes == ()
    assert len(session.events_of(RoundStarted)) == 1


def test_a_cut_last_line_is_noted_and_costs_only_itself(folder: Any) -> None:
    append(folder / "records.jsonl", make_record(make_case(), round=3).model_dump_json()[:100])
    append(folder / "events.jsonl", '{"event": "Sess')
    (session,) = read_source(folder)
    assert len(session.records) == 2
    assert len(session.notes) == 2 and all("is incomplete" in note for note in session.notes)


def test_a_line_without_its_newline_is_not_counted_although_it_parses(folder: Any) -> None:
    append(folder / "records.jsonl", make_record(make_case(), round=3).model_dump_json())
    (session,) = read_source(folder)
    assert len(session.records) == 2 and "records.jsonl" in session.notes[0]


def test_a_damaged_line_and_one_of_another_format_are_noted(folder: Any) -> None:
    other = json.loads(make_record(make_case(), round=3).model_dump_json()) | {"format": 2}
    append(folder / "records.jsonl", "not json\n" + json.dumps(other) + "\n[]\n")
    append(folder / "records.jsonl", make_record(make_case(), round=4).model_dump_json() + "\n")
    (session,) = read_source(folder)
    assert [record.round for record in session.records] == [1, 2, 4]
    assert len(session.notes) == 3
    assert "line 3 of records.jsonl" in session.notes[0] and "format" in session.notes[1]


def test_many_notes_become_few(folder: Any) -> None:
    append(folder / "records.jsonl", "x\n" * 500)
    (session,) = read_source(folder)
    assert len(session.notes) == 21 and session.notes[-1] == "and 480 more like these"


def test_unknown_events_are_left_out(folder: Any) -> None:
    append(folder / "events.jsonl", '{"event": "Unheard"}\n[1]\n"x"\n{"event": ["RoundStarted"]}\n')
    (session,) = read_source(folder)
    assert [type(logged.event) for logged in session.events] == [RoundStarted]


def test_facts_that_cannot_be_read_are_noted(folder: Any) -> None:
    (folder / "facts" / "ws02.json").write_text("{")
    (folder / "facts" / "ws03.json").write_text('{"from_the_future": 1}')
    (session,) = read_source(folder)
    assert set(session.facts) == {"ws01"}
    assert len(session.notes) == 2


def test_the_newest_attempt_counts_whatever_the_order() -> None:
    first, second, other = (make_record(make_case(), attempt=n, round=r) for n, r in ((1, 1), (2, 1), (1, 2)))
    assert [*current_records([second, other, first]).values()] == [second, other]


def test_a_session_just_begun_has_no_records(folder: Any) -> None:
    for name in ("records.jsonl", "events.jsonl"):
        (folder / name).unlink()
    (session,) = read_source(folder)
    assert session.records == () and session.notes == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no session.json"), ("{", "cannot be read"), ("[]", "format none"), ('{"format": 9}', "format 9")],
)
def test_no_session_is_one_clear_error(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "session.json").write_text(content)
    with pytest.raises(SessionError, match=message) as caught:
        read_source(tmp_path)
    assert caught.value.where == str(tmp_path) and caught.value.hint
    assert caught.value.exit_code == 2

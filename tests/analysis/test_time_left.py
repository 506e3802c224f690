"""How long still: by what has run of the same cases, by prediction at the host's pace, or unknown."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from factory import plain_record

from harness.analysis.predictions import predict
from harness.analysis.time_left import seconds_left, seconds_of
from harness.values.case import Case
from harness.values.prediction import Prediction
from harness.values.record import Record, SetSize

START = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
CASES = {name: Case(data="d", loader="tfdata", batch_size=size) for name, size in (("a", 1), ("b", 2), ("c", 3))}


def predicted(seconds: float) -> Prediction:
    found = predict(CASES["a"], SetSize(images=100))
    assert found is not None
    return found.model_copy(update={"duration_s": seconds})


def record(name: str, seconds: float, *, expected: float | None = None, **fields: Any) -> Record:
    made: dict[str, Any] = {
        "started_at": START.isoformat(),
        "finished_at": (START + timedelta(seconds=seconds)).isoformat(),
        "predictions": None if expected is None else predicted(expected),
    }
    return plain_record(CASES[name], **{**made, **fields})


def coming(*names: str, expected: float | None = None) -> list[tuple[str, Prediction | None]]:
    return [(CASES[name].case_id, None if expected is None else predicted(expected)) for name in names]


@pytest.mark.parametrize(
    ("ahead", "records", "seconds"),
    [
        (coming("a", "b", expected=10), [], 20),
        (coming("a", "b"), [], None),
        ([], [], 0),
        # The same case: its median, whatever was predicted; a death is expected again, a failure is not.
        (coming("a", expected=10), [record("a", 100), record("a", 300), record("a", 200)], 200),
        (coming("a", expected=10), [record("a", 50, status="oom"), record("a", 1, status="error")], 50),
        (coming("a", "a", "b", expected=10), [record("a", 30)], 70),
        # Another case: its prediction at the pace of what has run here.
        (coming("b", expected=10), [record("a", 30, expected=15)], 20),
        (coming("a", "b", expected=10), [record("a", 30, expected=15), record("c", 5, expected=5)], 45),
        # Nothing is predicted: the mean of the cases that have run.
        (coming("c"), [record("a", 10), record("a", 30), record("b", 60)], 40),
    ],
)
def test_time_left(ahead: Any, records: list[Record], seconds: float | None) -> None:
    assert seconds_left(ahead, records) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "lost"},
        {"status": "skipped"},
        {"started_at": None},
        {"finished_at": "soon"},
        {"finished_at": "2026-01-02"},
    ],
)
def test_what_did_not_run_tells_no_time(fields: dict[str, Any]) -> None:
    assert seconds_of(record("a", 10, **fields)) is None
    assert seconds_of(record("a", 10)) == 10

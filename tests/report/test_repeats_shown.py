"""A disturbed run that was repeated: the undisturbed pair counts, and the page says that there were two."""

from __future__ import annotations

from pathlib import Path

import pytest
from builder import SessionBuilder, make_case, make_record

from harness.analysis.matrix import build_matrix
from harness.report.composition import build_view
from harness.report.source import read_source
from harness.values.record import Record

BASELINE, CASE = make_case(loader="keras-idg"), make_case(loader="tfdata")


def busy_session() -> list[Record]:
    """Three rounds, of which in the second somebody slows the case to a third; both are measured once more then."""
    records = []
    for number in (1, 2, 3):
        is_busy = number == 2
        validity = "degraded" if is_busy else "valid"
        records.append(make_record(BASELINE, round=number, rate=30.0 + 0.01 * number))
        records.append(make_record(CASE, round=number, rate=30.0 if is_busy else 90.0, validity=validity))
        if is_busy:
            records.append(make_record(BASELINE, round=number, rate=24.0, attempt=2))
            records.append(make_record(CASE, round=number, rate=72.0, attempt=2))
    return records


def test_the_pair_that_was_measured_undisturbed_and_side_by_side_counts() -> None:
    (group,) = build_matrix(busy_session())
    (row,) = (row for row in group.settings[0].rows if row.case == CASE)
    found = row.comparison
    assert found is not None and found.ratio is not None and found.ratio.n == 3
    assert found.ratio.value == pytest.approx(3.0, rel=0.01) and found.verdict.kind == "faster"
    assert (found.disturbance.count, found.left_out) == (0, 0)
    assert len(row.summary.records) == 3 and len(group.records) == 6


def test_with_no_undisturbed_pair_of_a_round_its_first_counts_and_the_answer_says_so() -> None:
    records = [
        record.model_copy(update={"validity": "degraded"}) if record.case == CASE and record.round == 2 else record
        for record in busy_session()
    ]
    (group,) = build_matrix(records)
    (row,) = (row for row in group.settings[0].rows if row.case == CASE)
    assert row.comparison is not None and row.comparison.disturbance.count == 1
    assert row.comparison.ratio is not None
    assert row.comparison.ratio.value == pytest.approx(9 ** (1 / 3), rel=0.01)  # of 3, 1 and 3


def test_both_attempts_stay_in_the_session_and_in_a_page_of_it(tmp_path: Path) -> None:
    folder = SessionBuilder().add(*busy_session()).write(tmp_path / "s")
    (session,) = read_source(folder)
    assert (len(session.records), len(session.repeats), session.superseded) == (6, 2, ())
    assert sorted(record.attempt for record in session.repeats) == [1, 1]
    view = build_view([session])
    assert "2 runs repeated: a disturbed run is repeated once" in " ".join(caveat.message for caveat in view.beliefs)
    assert "2.98×" in view.groups[0].advice[0].spans[0].text

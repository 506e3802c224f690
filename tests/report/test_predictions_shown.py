"""What was predicted stands beside what was measured, on the page and in the exports."""

from __future__ import annotations

from pathlib import Path

import pytest
from builder import make_case, make_oom, make_record

from harness.analysis.matrix import build_matrix
from harness.analysis.predictions import predict
from harness.analysis.validity import judge_all
from harness.report.columns import tabulate_rows
from harness.report.predictions import view_predictions
from harness.report.view import PredictionRow
from harness.values.case import Case
from harness.values.names import CaseNames
from harness.values.prediction import Interval, Prediction
from harness.values.record import Memory, Record, SetSize

MB, GB = 10**6, 10**9
SEEN = {"oom_kills": 0}
PEAK = Interval(low=700 * MB, expected=800 * MB, high=900 * MB)


def predicted(case: Case, peak: Interval = PEAK, limit: int = GB, **changes: object) -> Prediction:
    found = predict(case, SetSize(images=1000), limit=limit)
    assert found is not None
    until = {"fits": None}.get(str(changes.get("fit", "fits")), Interval(low=480, expected=512, high=544))
    return found.model_copy(
        update={"peak_memory_bytes": peak, "fit": "fits", "images_until_oom": until, "basis": "rehearsal", **changes}
    )


def view(records: list[Record]) -> tuple[PredictionRow, ...]:
    judged = judge_all(records)
    table = view_predictions(build_matrix(judged), CaseNames(record.case for record in judged))
    assert table is not None
    return table.rows


PLAIN = make_case(cache="none", memory_limit=GB)
CACHED = make_case(cache="memory", memory_limit=GB)


def records() -> list[Record]:
    lived = [make_record(PLAIN, round=n, evidence=SEEN, predictions=predicted(PLAIN)) for n in (1, 2)]
    said = predicted(CACHED, fit="does not fit")
    died = [make_oom(CACHED, round=n, predictions=said) for n in (1, 2)]
    seen = {"last_epoch": 1, "last_images": 500, "oom_kills": 1}
    return [*lived, *(record.model_copy(update={"evidence": seen}) for record in died)]


def test_pairs_stand_side_by_side() -> None:
    rows = {row.said: row for row in view(records())}
    assert (rows["fits"].ended, rows["fits"].memory, rows["fits"].peak) == ("finished", "700 MB – 900 MB", "820 MB")
    dead = rows["does not fit"]
    assert (dead.ended, dead.dies_after, dead.died_after) == ("out of memory", "480 – 544 images", "500 images")
    assert {row.judged.text for row in rows.values()} == {"as predicted"}


def test_what_is_off_stands_first_and_says_why() -> None:
    wrong = make_oom(CACHED, round=3, predictions=predicted(CACHED, fit="fits"))
    wrong = wrong.model_copy(update={"evidence": {"last_epoch": 2, "last_images": 32, "oom_kills": 1}})
    first, *others = view([*records()[:2], wrong])
    assert (first.judged.text, first.said, first.ended) == ("wrong", "fits", "out of memory")
    assert "predicted to fit in 1 GB, but ran out of memory" in first.judged.detail
    assert [row.judged.text for row in others] == ["as predicted"]


def test_nothing_is_shown_where_nothing_was_predicted() -> None:
    alone = [make_record(PLAIN, round=1, evidence=SEEN)]
    assert view_predictions(build_matrix(alone), CaseNames([PLAIN])) is None


def test_exports_carry_both() -> None:
    rows = tabulate_rows(records())
    lived, died = rows[0], rows[-1]
    names = ("predicted_fit", "prediction_basis", "predicted_peak_low_bytes", "predicted_peak_high_bytes")
    assert [lived[name] for name in names] == ["fits", "rehearsal", 700 * MB, 900 * MB]
    assert (lived["predicted_images_until_oom"], lived["images_until_oom"]) == (None, None)
    assert (died["predicted_images_until_oom"], died["images_until_oom"]) == (512, 500)


def test_the_page_has_the_table(tmp_path: Path) -> None:
    from builder import SessionBuilder

    from harness.report.page import write_report

    session = SessionBuilder()
    session.records += records()
    folder = session.write(tmp_path / "s")
    page = write_report([folder], tmp_path / "report.html").read_text()
    assert 'id="predictions"' in page and "480 – 544 images" in page
    assert page.index('id="cases"') < page.index('id="predictions"')


@pytest.mark.parametrize("peak", [None, 650 * MB])
def test_a_peak_that_nobody_watched_is_no_finding(peak: int | None) -> None:
    record = make_record(PLAIN, round=1, evidence=SEEN, predictions=predicted(PLAIN))
    record = record.model_copy(update={"memory": Memory(limit_asked=GB, limit_effective=GB, peak_anon=peak)})
    (row,) = view([record])
    assert row.judged.text == ("as predicted" if peak is None else "wrong")

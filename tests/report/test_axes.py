"""Axes in words: the knee of a ladder of workers, on the page and in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from builder import SessionBuilder, make_case, make_record

from harness.analysis.matrix import build_matrix
from harness.analysis.shuffle_buffers import find_buffers
from harness.report.charts.workers import chart_workers
from harness.report.source import read_source
from harness.report.terminal import view_terminal
from harness.values.record import Memory, Record

BASELINE = {"loader": "keras-idg"}


def ladder(rates: Mapping[int, float], *, rounds: int = 3, loader: str = "tfdata", **changes: Any) -> list[Record]:
    """Records of one loader with several numbers of workers, with a baseline beside them."""
    cases = [(make_case(mode="load", loader="keras-idg"), 50.0)]
    cases += [(make_case(mode="load", loader=loader, workers=count, **changes), rate) for count, rate in rates.items()]
    return [make_record(case, round=number, rate=rate) for case, rate in cases for number in range(1, rounds + 1)]


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ({0: 50, 1: 55, 2: 100, 4: 70, 8: 60}, "tfdata: more than 2 workers gain nothing (images/s by workers: 0: "),
        ({1: 100, 2: 60}, "tfdata: more than 1 worker gains nothing"),
        ({0: 50, 1: 100, 2: 200}, "tfdata: 2 workers, the most that were measured, are the fastest (images/s by"),
    ],
)
def test_the_knee_is_named(rates: dict[int, float], said: str, tmp_path: Path) -> None:
    folder = SessionBuilder(rounds=3).add(*ladder(rates)).write(tmp_path / "session")
    (words,) = [text for view in view_terminal(read_source(folder)) for text in view.advice]
    assert said in words


def test_two_rounds_settle_no_knee(tmp_path: Path) -> None:
    for rates, said in (
        ({1: 50, 2: 100, 4: 99}, "more than 2 workers gain nothing"),
        ({1: 50, 2: 100, 4: 200}, "4 workers, the most that were measured, are the fastest"),
    ):
        folder = SessionBuilder(rounds=2).add(*ladder(rates, rounds=2)).write(tmp_path / str(rates[4]))
        (words,) = [text for view in view_terminal(read_source(folder)) for text in view.advice]
        assert f"tfdata: {said} on average, but this is not settled (images/s" in words


def test_one_number_of_workers_is_no_ladder(tmp_path: Path) -> None:
    folder = SessionBuilder(rounds=3).add(*ladder({2: 100})).write(tmp_path / "session")
    (words,) = [text for view in view_terminal(read_source(folder)) for text in view.advice]
    assert "by workers" not in words and "tfdata (2 workers)" in words


def test_a_chart_shows_each_ladder() -> None:
    (group,) = build_matrix(ladder({0: 50, 1: 55, 2: 100}) + ladder({1: 40, 2: 90}, loader="grain"), BASELINE)
    (setting,) = group.settings
    chart = chart_workers(group, setting)
    assert chart is not None and "tfdata: 2 workers, the most" in chart.description and "grain" in chart.svg


def buffers(sizes: dict[Any, tuple[float, float, float]], rounds: int = 3) -> list[Record]:
    """Records of one cached pipeline with several shuffle buffers: (displacement, peak in MB, images/s) of each."""
    cases = {size: make_case(mode="load", cache="file", element="uint8", shuffle_buffer=size) for size in sizes}
    records = [make_record(make_case(mode="load", loader="keras-idg"), round=one, rate=50) for one in (1, 2, 3)]
    for size, (displacement, peak, rate) in sizes.items():
        environment = {"mixing": {"buffer": 7, "displacement": displacement, "neighbours_kept": 0.01}}
        memory = Memory(limit_effective=1_500_000_000, peak_anon=round(peak * 10**6))
        fields: dict[str, Any] = {"environment": environment, "memory": memory, "rate": rate}
        records += [make_record(cases[size], round=one, **fields) for one in range(1, rounds + 1)]
    return records


@pytest.mark.parametrize(
    ("sizes", "best"),
    [
        ({"full": (0.33, 900, 100), 1000: (0.05, 500, 100), "auto": (0.0, 300, 100)}, "full"),
        ({"full": (0.33, 900, 100), 1000: (0.31, 500, 100)}, 1000),  # mixes as well, and needs less
        ({"full": (0.33, 900, 30), 1000: (0.31, 500, 100), 100: (0.1, 400, 200)}, 1000),
    ],
)
def test_the_buffer_to_take_mixes_as_well_as_the_best_for_the_least_memory(sizes: Any, best: Any) -> None:
    (group,) = build_matrix(buffers(sizes), BASELINE)
    (found,) = find_buffers(group.settings[0])
    assert found.best is not None and found.best.row.case.shuffle_buffer == best
    assert [one.row.case.shuffle_buffer for one in found.sizes] == sorted(sizes, key=lambda s: (s != "auto", str(s)))


def test_what_a_buffer_costs_is_said(tmp_path: Path) -> None:
    records = buffers({"full": (0.3331, 900, 100), 1000: (0.05, 500, 100)})
    folder = SessionBuilder(rounds=3).add(*records).write(tmp_path / "session")
    (words,) = [text for view in view_terminal(read_source(folder)) for text in view.advice]
    assert "Shuffling of tfdata with uint8 file cache: use a buffer of all: no other one mixes more than 10 %" in words
    assert "; images/s): 1,000: 5.0 %, 1.0 %, 500 MB, 0.400 s, 1" in words and "full: 33.3 %, 1.0 %, 900 MB" in words

"""What the advice says, word for word, on the page and in the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from builder import SessionBuilder, make_case, make_record

from harness.analysis.matrix import build_matrix
from harness.report.charts.cumulated import chart_cumulated
from harness.report.source import read_source
from harness.report.terminal import view_terminal
from harness.values.record import Record

GB = 10**9


def rounds(loader: str, cache: str = "none", *, count: int = 3, **changes: object) -> list[Record]:
    """Records of one case, a round each; parameters of the case under ``case``."""
    case = make_case(loader=loader, cache=cache, **changes.pop("case", {}))  # type: ignore[arg-type]
    return [make_record(case, round=number, **changes) for number in range(1, count + 1)]


@pytest.fixture
def say(tmp_path):  # type: ignore[no-untyped-def]
    """The terminal's advice of records: the sentence and its notes."""

    def say(records: Sequence[Record], rounds: int = 3) -> str:
        folder = SessionBuilder(rounds=rounds).add(*records).write(tmp_path / "session")
        return "\n".join(said for view in view_terminal(read_source(folder)) for said in view.advice)

    return say


def test_a_cache_whose_loader_was_not_measured_without_one_is_not_called_useless(say):
    words = say(rounds("keras-idg", rate=10) + rounds("tfdata", "memory", rate=125))
    assert re.search(r"tfdata with memory cache, 12\.\d×", words)
    assert (
        "From which epoch the memory cache pays for itself is not known: tfdata was not measured without a cache; "
        "it takes 78.8 MB of memory" in words
    )
    assert "does not pay" not in words


def test_a_loader_that_died_without_a_cache_leaves_payback_unknown(say):
    records = rounds("keras-idg", rate=10) + rounds("tfdata", status="oom", epochs=())
    words = say(records + rounds("tfdata", "file", rate=70))
    assert "From which epoch the file cache pays for itself is not known: tfdata without a cache has no result" in words


def test_the_chart_of_paybacks_tells_never_from_not_known():
    known = rounds("tfdata", rate=100, first_rate=100)
    never = rounds("tfdata", "file", rate=60, first_rate=50)
    (group,) = build_matrix(rounds("keras-idg", rate=10) + known + never)
    chart = chart_cumulated(group.settings[0])
    assert chart is not None and "does not pay for itself: a later epoch takes" in chart.description
    (group,) = build_matrix(rounds("keras-idg", rate=10) + rounds("tfdata", "memory", rate=100))
    assert chart_cumulated(group.settings[0]) is None

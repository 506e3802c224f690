"""What the advice says, word for word, on the page and in the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from builder import SessionBuilder, make_case, make_finding, make_record

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
        folder = SessionBuilder(rounds=rounds).add(*records).write(tmp_path / str(len(list(tmp_path.iterdir()))))
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


BUSY = {"validity": "degraded", "findings": (make_finding("host-busy", "warning", "others used 1.0 of 2 CPUs"),)}


def test_three_measured_pairs_of_which_one_is_undisturbed_are_a_verdict_on_a_busy_host(say):
    first, *others = rounds("keras-idg", rate=10)
    disturbed = [other.model_copy(update=BUSY) for other in others]
    words = say([first, *disturbed, *rounds("tfdata", rate=90)])
    assert re.search(
        r"tfdata, \d\.\d+× \(\d\.\d+–\d+\.\d+\) the steady images/s of keras-idg, 1 host, 3 pairs of invocations, "
        r"2 of 3 on a busy host\.",
        words,
    )


def test_three_undisturbed_pairs_leave_the_others_out_and_say_so(say):
    base = [*rounds("keras-idg", rate=10, count=5)]
    base[3:] = [other.model_copy(update=BUSY) for other in base[3:]]
    words = say([*base, *rounds("tfdata", rate=90, count=5)], rounds=5)
    assert "3 pairs of invocations, 2 disturbed pairs more not counted." in words
    assert "busy" not in words


@pytest.mark.parametrize(
    ("case", "base", "said"),
    [
        ({1}, {1}, "one pair of invocations gives no interval, at least 2 more rounds would."),
        ({1}, {1, 2, 3}, "one pair of invocations gives no interval: 1 of 3 rounds has a result of both."),
        ({1, 2}, {3}, "no verdict: no round has a result of both keras-idg and another, so nothing can be paired."),
    ],
)
def test_why_there_is_no_interval_is_true(say, case, base, said):
    records = [*rounds("keras-idg", rate=10), *rounds("tfdata", rate=90)]
    kept = [r for r in records if r.round in (base if r.case.loader == "keras-idg" else case)]
    assert said in say(kept)


def test_invalid_invocations_are_no_result_and_say_so(say):
    bad = {"validity": "invalid"}
    words = say([*rounds("keras-idg", rate=10, **bad), *rounds("tfdata", rate=90, **bad)])
    assert "no advice: nothing has a result here (invalid)." in words
    words = say([*rounds("keras-idg", rate=10, **bad), *rounds("tfdata", rate=90)])
    assert "the baseline keras-idg has no result here (invalid)" in words

"""The answer in two or three sentences: what to use, what it costs, what does not fit, and how to go on."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from builder import SessionBuilder, make_case, make_oom, make_record

from harness.analysis.candidates import Lack
from harness.report.answers import Answer, answer_sessions, say_answers, say_times
from harness.report.recipes.recipe import add_main
from harness.report.source import read_source
from harness.report.terminal import view_terminal
from harness.values.record import Record

GB = 10**9
MORE = "harness advise photos --time 10min"


def rounds(loader: str, cache: str = "none", *, count: int = 3, **changes: Any) -> list[Record]:
    case = make_case(loader=loader, cache=cache, mode="load", memory_limit=GB, **changes.pop("case", {}))
    return [make_record(case, round=number, **changes) for number in range(1, count + 1)]


@pytest.fixture
def answer(tmp_path: Path) -> Any:
    """The one answer of some records."""

    def answer(records: Sequence[Record], *lacks: Lack, epochs: int | None = None) -> Answer:
        folder = SessionBuilder().add(*records).write(tmp_path / str(len(list(tmp_path.iterdir()))))
        (found,) = answer_sessions(read_source(folder), lacks, epochs=epochs, more=MORE)
        return found

    return answer


IDG = rounds("keras-idg", rate=50)
UINT8 = {"element": "uint8"}


def test_a_settled_answer_says_what_how_much_how_sure_and_what_it_costs(answer: Any) -> None:
    plain = rounds("tfdata-tuned", rate=90, first_rate=90)
    found = answer(IDG + plain + rounds("tfdata-tuned", "memory", case=UINT8, rate=400, first_rate=80))
    use, cost = found.sentences
    assert use.startswith("Use tfdata-tuned with uint8 memory cache: ")
    assert "images/s of keras-idg after the first epoch, 1 host, 3 pairs of runs (" in use
    assert use.endswith(" images/s).")
    assert cost.startswith("The memory cache pays for itself from epoch 2; it takes ")
    assert cost.endswith("; the program took 820 MB of memory (limit 1 GB).")
    assert found.is_settled and found.pays_from == 2
    assert MORE not in " ".join(found.sentences)
    assert found.recipe is not None and "dataset = dataset.cache()" in found.recipe.code


def test_two_rounds_give_a_provisional_answer_with_code_and_the_command_that_gives_more(answer: Any) -> None:
    found = answer(rounds("keras-idg", rate=50, count=2) + rounds("tfdata", rate=100, count=2))
    first = found.sentences[0]
    assert first.startswith("Not settled yet: tfdata was ")
    assert first.endswith(f"times as fast as keras-idg in 2 pairs of runs, too few for an interval; "
                          f"take it, or measure more:  {MORE}")  # fmt: skip
    assert not found.is_settled and found.pipeline == "tfdata"
    assert found.recipe.code


def test_where_only_the_baseline_was_measured_the_command_that_goes_on_is_said(answer: Any) -> None:
    found = answer(rounds("keras-idg", rate=50, count=1))
    assert found.sentences[0].endswith(f"Nothing else was measured yet; to go on:  {MORE}")
    dead = [make_oom(make_case(loader="tfdata", cache="memory", mode="load", memory_limit=GB), round=1)]
    assert MORE not in " ".join(answer(rounds("keras-idg", rate=50, count=1) + dead).sentences)


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ((70.0, 60.0, 65.0), ("tfdata is between ", "% slower than and ", " times as fast as keras-idg; ")),
        ((60.0, 300.0, 45.0), (" times as fast as keras-idg in 3 pairs of runs, which may be chance; ",)),
    ],
)
def test_an_open_comparison_is_said_as_a_span(answer: Any, rates: Any, words: Any) -> None:
    case = make_case(loader="tfdata", mode="load", memory_limit=GB)
    first = answer(IDG + [make_record(case, round=n, rate=rate) for n, rate in enumerate(rates, start=1)]).sentences[0]
    assert first.startswith("Not settled yet: ") and first.endswith(f"take it, or measure more:  {MORE}")
    for word in words:
        assert word in first


def test_what_does_not_fit_is_said_with_what_it_needs_and_what_does(answer: Any) -> None:
    case = make_case(loader="tfdata", cache="memory", mode="load", memory_limit=GB)
    lack = Lack(
        case, "ws01", "memory", 1_580_000_000, 1_200_000_000, GB, case.model_copy(update=UINT8), 780_000_000, True
    )
    records = IDG + rounds("tfdata", rate=100)
    assert answer(records, lack).unfit == (
        "tfdata with memory cache does not fit: it needs about 1.58 GB of memory (1.2 GB of it the cache), and "
        "1 GB is available; cached as uint8 it needs about 780 MB and fits.",
    )
    died = [make_oom(case, round=number) for number in (1, 2)]
    assert (
        "does not fit (it ran out of memory in 2 of 2 runs under 1 GB): it needs about"
        in answer(records + died, lack).unfit[0]
    )
    (said,) = answer(records + died + rounds("tfdata", "memory", case=UINT8, rate=120)).unfit
    assert said == (
        "tfdata with memory cache does not fit (it ran out of memory in 2 of 2 runs under 1 GB); "
        "cached as uint8 it took 820 MB of memory and fits."
    )


def test_own_epochs_are_counted_and_a_cache_that_pays_too_late_is_said(answer: Any) -> None:
    plain = rounds("tfdata", rate=100, first_rate=100, whole=4_000)
    slow_to_fill = rounds("tfdata", "file", rate=200, first_rate=20, whole=4_000)
    found = answer(rounds("keras-idg", rate=10, whole=4_000) + plain + slow_to_fill, epochs=3)
    assert found.sentences[-1].startswith("3 epochs over all images take about ")
    assert found.sentences[-1].endswith("; the cache does not pay within them: take tfdata without one.")


def test_epochs_that_are_too_short_have_figures_and_no_verdict(answer: Any) -> None:
    found = answer(rounds("keras-idg", rate=50) + rounds("tfdata", "memory", rate=1_000, case=UINT8))
    assert re.match(
        r"No verdict: epochs of 0\.4\d+ s are too short for one \(about \d+ images in an epoch are enough\); "
        r"but tfdata with uint8 memory cache was \d+\.\d times as fast as keras-idg \([\d.,]+ against [\d.]+ images/s\)"
        r": take it\.",
        found.sentences[0],
    ), found.sentences[0]
    assert not found.is_settled and found.recipe.code


def test_no_result_at_all_has_no_code(answer: Any) -> None:
    case = make_case(loader="tfdata", cache="memory", mode="load", memory_limit=GB)
    found = answer([make_oom(case, round=number) for number in (1, 2)])
    assert found.sentences[0].startswith("No advice: all that was measured here ran out of memory (tfdata with memory")
    assert found.case is None and found.recipe is None


def test_programs_get_the_same(answer: Any) -> None:
    found = answer(IDG + rounds("tfdata", rate=100)).as_json()
    read = json.loads(json.dumps(found))
    assert read["pipeline"] == "tfdata" and read["case"]["loader"] == "tfdata"
    assert read["ratio"]["pairs"] == 3 and read["ratio"]["low"] < 2 < read["ratio"]["high"]
    assert read["code"].startswith("# tfdata: makes `dataset`")


def test_lines_stand_under_their_settings(answer: Any) -> None:
    lines = say_answers([answer(IDG + rounds("tfdata", rate=100))])
    assert lines[2].startswith("Loading coco-test · 128 × 128 px")
    assert lines[2].endswith("with 1 GB for the container:")
    assert lines[3].startswith("  Use tfdata: ")


@pytest.mark.parametrize(("count", "is_open"), [(2, True), (3, False)])
def test_a_run_knows_whether_more_rounds_may_settle_it(tmp_path: Path, count: int, is_open: bool) -> None:
    records = rounds("keras-idg", rate=50, count=count) + rounds("tfdata", rate=100, count=count)
    folder = SessionBuilder().add(*records).write(tmp_path / "session")
    (view,) = view_terminal(read_source(folder))
    assert view.is_open == is_open


def test_ratios_in_words() -> None:
    assert [say_times(value) for value in (0.97, 1.0, 2.3, 41.0)] == [
        "3 % slower than",
        "1.00 times as fast as",
        "2.30 times as fast as",
        "41.0 times as fast as",
    ]


def test_a_script_that_trains_needs_no_main() -> None:
    assert add_main("model.fit(dataset)\n") == "model.fit(dataset)\n"
    assert "__main__" in add_main("dataset = 1\n")

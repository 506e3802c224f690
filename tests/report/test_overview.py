"""The first screen: one row a hardware group, its confidence with reasons, and charts that say what they show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from builder import SessionBuilder, build_lab, make_case, make_facts, make_oom, make_record

from harness.report.composition import build_view
from harness.report.source import read_source
from harness.report.view import GroupView, OverviewAnswer, View

FACTS = make_facts()


def view_of(builder: SessionBuilder, tmp_path: Path) -> View:
    return build_view(read_source(builder.write(tmp_path / builder.name)))


def group_of(tmp_path: Path, *cases: tuple[Any, float | None], rounds: int = 3, **common: Any) -> GroupView:
    """The one group of a session: each case with its rate, None for one that ran out of memory."""
    builder = SessionBuilder("one-1", rounds=rounds).add_host("ws01", FACTS)
    for number in range(1, rounds + 1):
        for case, rate in cases:
            at: dict[str, Any] = {"host": "ws01", "facts": FACTS, "round": number}
            made = make_oom(case, **at) if rate is None else make_record(case, rate=rate, **at, **common)
            builder.add(made)
    (group,) = view_of(builder, tmp_path).groups
    return group


def answer_of(tmp_path: Path, *cases: tuple[Any, float | None], **how: Any) -> OverviewAnswer:
    return group_of(tmp_path, *cases, **how).answers[0]


IDG, FILE, MEMORY = make_case(loader="keras-idg"), make_case(cache="file"), make_case(cache="memory")


def test_each_group_has_one_row_with_its_answer_first(tmp_path: Path) -> None:
    view = view_of(build_lab(), tmp_path)
    answers = [group.answers[0] for group in view.groups]
    assert [answer.use for answer in answers] == ["tfdata with memory cache or tfdata with file cache"] * 2
    assert answers[0].memory == "from 6 GB on; below: tfdata with file cache"
    assert answers[0].cost == "78.8 MB of memory; pays for itself from epoch 1"
    assert [answer.confidence.text for answer in answers] == ["high", "high"]
    assert max(answer.bar for group in view.groups for answer in group.answers) == 100


def test_a_settled_answer_without_a_doubt_is_of_high_confidence(tmp_path: Path) -> None:
    answer = answer_of(tmp_path, (IDG, 30), (FILE, 140))
    assert (answer.use, answer.confidence.text) == ("tfdata with file cache", "high")
    assert re.fullmatch(r"4\.\d\d×", answer.ratio) and re.fullmatch(r"\d\.\d\d–\d\.\d\d", answer.interval)
    assert any("3 pairs of runs on 1 host" in reason for reason in answer.reasons)


@pytest.mark.parametrize(
    ("how", "level", "reason"),
    [
        ({"validity": "degraded"}, "medium", "disturbed (test degraded)"),
        ({"rounds": 2}, "low", "not settled: 2 pairs of runs give no interval: at least 1 more"),
    ],
)
def test_each_doubt_lowers_confidence_and_is_a_reason(
    tmp_path: Path, how: dict[str, Any], level: str, reason: str
) -> None:
    answer = answer_of(tmp_path, (IDG, 30), (FILE, 140), **how)
    assert answer.confidence.text == level
    assert reason in answer.reasons


def test_an_answer_of_a_part_of_the_set_is_of_medium_confidence(tmp_path: Path) -> None:
    part = {"max_images": 400, "page_cache": "cold"}
    cases = (make_case(loader="keras-idg", **part), 30), (make_case(cache="file", **part), 140)
    answer = answer_of(tmp_path, *cases, whole=4000)
    assert answer.confidence.text == "medium"
    assert "measured on 400 of 4,000 images" in answer.reasons


def test_a_dead_baseline_leaves_nothing_to_compare_with(tmp_path: Path) -> None:
    answer = answer_of(tmp_path, (IDG, None), (FILE, 140))
    assert (answer.use, answer.ratio, answer.confidence.text) == ("tfdata with file cache", "–", "medium")
    assert "the baseline has no result here, so there is no ratio" in answer.reasons


def test_where_all_died_nothing_is_relied_on(tmp_path: Path) -> None:
    answer = answer_of(tmp_path, (IDG, None), (MEMORY, None))
    assert (answer.use, answer.cost, answer.confidence.text) == ("no answer: every case ran out of memory", "–", "none")
    assert answer.reasons == ("every case ran out of memory",)


def test_charts_say_what_they_show(tmp_path: Path) -> None:
    group = group_of(tmp_path, (IDG, 30), (make_case(), 80), (FILE, 140), (MEMORY, None), first_rate=25)
    titles = [chart.title for chart in group.settings[0].charts]
    assert re.fullmatch(r"tfdata with file cache delivers 4\.\d\d× the images/s of keras-idg", titles[0])
    assert "tfdata with memory cache runs out of memory" in titles
    assert any(
        re.fullmatch(r"The first epoch of tfdata with file cache takes \d\.\d\d times a later one", t) for t in titles
    )
    assert any(re.fullmatch(r"tfdata with file cache pays for itself from epoch \d+", title) for title in titles)


def test_caveats_are_counted_by_kind(tmp_path: Path) -> None:
    view = view_of(build_lab(), tmp_path)
    counted = {mark.text for mark in view.belief_counts}
    kinds = [caveat.mark.text for caveat in view.beliefs]
    assert counted == {f"{kinds.count(kind)} {kind}{'s' * (kinds.count(kind) > 1)}" for kind in set(kinds)}


def test_no_title_promises_what_does_not_hold_on_the_whole_set(tmp_path: Path) -> None:
    part = {"max_images": 400}
    cases = (make_case(loader="keras-idg", **part), 30), (make_case(cache="file", **part), 140)
    group = group_of(tmp_path, *cases, whole=4000)
    assert group.answers[0].use == "no answer: only the baseline has a result"
    titles = [chart.title for chart in group.settings[0].charts]
    assert titles[0] == "Images/s of each pipeline"
    assert not any("pays for itself from epoch" in title for title in titles)


def test_a_session_that_was_cut_off_before_its_baseline_is_of_low_confidence_and_has_searched_nothing(
    tmp_path: Path,
) -> None:
    builder = SessionBuilder("cut-1", rounds=3).add_host("ws01", FACTS)
    at: dict[str, Any] = {"host": "ws01", "facts": FACTS, "round": 1}
    builder.add(make_record(make_case(), rate=80, **at), make_record(IDG, rate=30, alias="b", **at))
    (group,) = view_of(builder, tmp_path).groups
    assert group.answers[0].confidence.text == "low"
    assert "fewer than 3 runs" in group.answers[0].reasons
    assert "memory limit of" not in str(group.advice)

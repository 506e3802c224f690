"""Where the time goes, on the page and in the exports: a stacked bar a case, and a sentence."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

from builder import SessionBuilder, make_case, make_record

from harness.report.columns import tabulate_rows
from harness.report.page import render_page
from harness.report.source import read_source
from harness.values.record import Record
from harness.values.stages import NodeCost, PassCosts, StageCosts

MS = 1e-3


def passed(whole: float, **stages: float) -> PassCosts:
    said = [{"name": name, "cpu_s": ms * MS} for name, ms in stages.items()]
    return PassCosts.model_validate({"cpu_s": whole * MS, "stages": said})


PLAIN = StageCosts(images=96, rounds=3, steady=passed(5.0, read=0.5, decode=3.0, resize=0.5, batch=0.2))
KEPT = StageCosts(
    images=96,
    rounds=3,
    steady=passed(0.3, cache=0.2, batch=0.1),
    first=passed(4.6, read=0.5, decode=3.0, resize=0.5, cache=0.4, batch=0.1),
)
OWN = StageCosts(
    images=100,
    rounds=3,
    steady=passed(4.0),
    nodes=(
        NodeCost(name="TensorSlice", elements=100, elapsed_s=0.001, bytes=100),
        NodeCost(name="ParallelMapV2", elements=100, elapsed_s=0.9, bytes=10**7, parallelism=4.0),
    ),
)


def records(stages: tuple[StageCosts | None, ...] = (PLAIN, KEPT, OWN)) -> list[Record]:
    cases = [
        make_case(mode="load"),
        make_case(mode="load", cache="memory"),
        make_case(mode="load", loader="mine.py:make"),
        make_case(mode="load", loader="keras-idg"),
    ]
    return [
        make_record(case, round=number, stages=found, rate=200.0 if case.loader == "tfdata" else 100.0)
        for number in (1, 2, 3)
        for case, found in zip(cases, (*stages, None), strict=True)
    ]


def page_of(folder: Path, stages: tuple[StageCosts | None, ...] = (PLAIN, KEPT, OWN)) -> str:
    return render_page(read_source(SessionBuilder().add(*records(stages)).write(folder / "s")))


def describe(page: str) -> str:
    """Return the description of the chart for screen readers."""
    named = r"<title[^>]*>Milliseconds of CPU time[^<]*</title><desc[^>]*>([^<]*)</desc>"
    (described,) = set(re.findall(named, page))
    return unescape(described)


def test_a_case_has_a_bar_of_its_stages_and_the_rest_is_named(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    said = dict(part.split(": ", 1) for part in describe(page).split("; ") if ": " in part)
    assert said["tfdata"] == "reading 0.500 ms, decoding 3.00 ms, resizing 0.500 ms, batching 0.200 ms, other 0.800 ms"
    assert said["tfdata · memory cache"] == "caching 0.200 ms, batching 0.100 ms"
    assert said["tfdata · memory cache, first epoch"].startswith("reading 0.500 ms, decoding 3.00 ms")
    assert "keras-idg" not in said, "nothing is known of it"
    assert ">decoding</text>" in page and "5.00 ms, 60 % decoding" in page


def test_what_cannot_be_split_is_one_bar_with_what_tf_data_tells_and_that_is_no_cpu_time(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    text = describe(page)
    assert "mine.py:make: not split by stage 4.00 ms; elapsed time in tf.data, not CPU: TensorSlice 0.0100 ms" in text
    assert "ParallelMapV2 9.00 ms (×4)" in text
    assert "elapsed time in each operation of tf.data, which is not CPU time" in page


def test_advice_says_which_stage_has_most_of_the_time(tmp_path: Path) -> None:
    assert "tfdata spends 60 % of an image's CPU time on decoding: a cache helps" in unescape(page_of(tmp_path))
    even = PLAIN.model_copy(update={"steady": passed(4.2, read=2.0, decode=2.0, resize=0.2)})
    assert "of an image's CPU time on" not in unescape(page_of(tmp_path / "other", (even, KEPT, OWN)))


def test_a_session_that_did_not_look_for_them_has_no_such_chart(tmp_path: Path) -> None:
    page = page_of(tmp_path, (None, None, None))
    assert "Milliseconds of CPU time" not in page


def test_exports_carry_the_costs_of_the_epochs_that_count() -> None:
    plain, kept, own, none = tabulate_rows(records())[:4]
    assert (plain["image_cpu_ms"], plain["stage_decode_cpu_ms"], plain["stage_cache_cpu_ms"]) == (5.0, 3.0, None)
    assert round(float(plain["stage_other_cpu_ms"] or 0), 6) == 0.8 and plain["fill_image_cpu_ms"] is None
    assert (kept["stage_cache_cpu_ms"], kept["stage_decode_cpu_ms"]) == (0.2, None)
    assert (kept["fill_image_cpu_ms"], kept["fill_stage_cache_cpu_ms"]) == (4.6, 0.4)
    assert (own["image_cpu_ms"], own["stage_read_cpu_ms"], none["image_cpu_ms"]) == (4.0, None, None)
    (single,) = tabulate_rows([make_record(make_case(mode="load", cache="memory", epochs=1), stages=KEPT)])
    assert (single["image_cpu_ms"], single["stage_decode_cpu_ms"]) == (4.6, 3.0), "its only epoch fills the cache"

from __future__ import annotations

import math
from typing import Any

import pytest
from builder import make_case, make_oom, make_record
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.statistics import estimate_geometric_mean
from harness.report.labels import describe_place
from harness.report.words import format_number, format_range, format_ratio, format_seconds
from harness.values.names import CaseNames, name_limit, name_row
from harness.values.text import clean_log, clean_text, join_words, plural


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (33.71, "33.7"),
        (99.96, "100"),
        (9.996, "10.0"),
        (1234.5, "1,230"),
        (0.01234, "0.0123"),
        (140, "140"),
        (0, "0"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_three_significant_digits(value: Any, text: str) -> None:
    assert format_number(value) == text


@given(st.floats(min_value=1e-6, max_value=1e12))
def test_a_number_reads_back_within_half_a_percent(value: Any) -> None:
    assert float(format_number(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


def test_seconds() -> None:
    assert [format_seconds(s) for s in (0.6123, 12.06, 99.96, 200, None)] == [
        "0.612 s",
        "12.1 s",
        "1 min 40 s",
        "3 min 20 s",
        "–",
    ]


def test_ratios_and_ranges() -> None:
    assert (format_ratio(3.9), format_ratio(0.952), format_ratio(12.34), format_ratio(None)) == (
        "3.90×",
        "0.95×",
        "12.3×",
        "–",
    )
    assert format_range(estimate_geometric_mean([5.0])) == ""
    assert format_range(estimate_geometric_mean([1.0, 10.0, 1e6]), is_ratio=True).endswith("over 1,000")


def test_words() -> None:
    assert (plural(1, "round"), plural(0, "round")) == ("1 round", "0 rounds")
    assert (join_words([]), join_words("a"), join_words("ab"), join_words("abc")) == ("", "a", "a and b", "a, b and c")


def test_somebodys_text_becomes_one_line_without_tricks() -> None:
    assert clean_text("a\n\tb") == "a b"
    assert clean_text("a\u202eb\u0007") == "a�b�"
    assert len(clean_text("x" * 10_000_000, 300)) <= 304


def test_a_log_keeps_its_lines_and_its_end() -> None:
    assert clean_log("one\ntwo\n") == "one\ntwo"
    tail = clean_log("\n".join(f"line {n}" for n in range(10_000)))
    assert tail.endswith("line 9999") and len(tail) <= 2001
    assert len(clean_log("y" * 10_000_000)) <= 2001


def test_names_of_cases() -> None:
    case = make_case(cache="file", element="uint8", cache_disk="fast", memory_limit=1_500_000_000)
    assert name_row(case) == ("tfdata", "file cache, uint8, on fast")
    names = CaseNames([case, make_case(cache="file", cache_disk="fast", memory_limit=1_500_000_000), make_case()])
    assert names.name(case) == "tfdata, file cache, uint8, limit 1.5 GB"
    assert names.name(make_case(memory_limit="none"), "b") == "tfdata, no cache, repeat check (A/A)"
    assert CaseNames([case]).name(case) == "tfdata, file cache, limit 1.5 GB"
    hostile = make_case(loader="\u202egnp.py:make\x1b[31m", memory_limit="none")
    assert CaseNames([hostile]).name(hostile) == "�gnp.py:make�[31m, no cache"
    assert (name_limit("none"), name_limit(1_500_000_000)) == ("no limit", "1.5 GB")
    assert name_row(make_case(element="uint8")) == ("tfdata", "no cache")


def test_the_place_of_an_oom() -> None:
    records = [make_oom(make_case(cache="memory"), step=step, round=step) for step in (21, 24)]
    assert describe_place(records) == "in epoch 1, step 21–24, 14.1–14.4 s after the start"
    early = make_oom(make_case(), evidence={"last_epoch": None, "oom_at_s": 3.0})
    assert describe_place([early]) == "before the first batch, 3.0 s after the start"
    assert describe_place([make_record(make_case())]) == ""
    assert describe_place([make_oom(make_case(), evidence={"last_epoch": "<b>", "oom_at_s": True})]) == ""

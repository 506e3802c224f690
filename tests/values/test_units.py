"""Sizes and durations as users write them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.values.units import format_bytes, format_duration, parse_bytes, parse_duration_s


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("16GB", 16 * 10**9),
        ("16 GiB", 16 * 2**30),
        ("1.5gib", 3 * 2**29),
        ("500MB", 500_000_000),
        ("1kb", 1000),
        ("1KiB", 1024),
        ("2TB", 2 * 10**12),
        ("7", 7),
        ("7 B", 7),
        (7, 7),
        (" 3 mb ", 3_000_000),
    ],
)
def test_sizes(text: int | str, expected: Any) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["16G", "16Gb ps", "", "GB", "-1GB", "1e9", "1,5GB", "nan", "0x10", -1, True, False])
def test_what_is_no_size_is_refused(text: bool | int | str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_bytes(text)


def test_gb_and_gib_are_never_mixed() -> None:
    assert parse_bytes("16GiB") - parse_bytes("16GB") == 1_179_869_184


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1_870_000_000, "1.87 GB"),
        (999_600, "1 MB"),
        (92_200_000_000, "92.2 GB"),
        (117 * 10**9, "117 GB"),
    ],
)
def test_sizes_are_written_with_three_digits(count: Any, expected: str) -> None:
    assert format_bytes(count) == expected


@given(st.integers(0, 10**17))
def test_a_written_size_is_read_back_within_its_digits(count: Any) -> None:
    assert parse_bytes(format_bytes(count)) == pytest.approx(count, rel=0.005)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("90s", 90), ("15min", 900), ("15 m", 900), ("2h", 7200), ("1.5d", 129600), (30, 30), (0.5, 0.5)],
)
def test_durations(text: float | int | str, expected: float) -> None:
    assert parse_duration_s(text) == expected


@pytest.mark.parametrize("text", ["", "2 weeks", "1h30m", "-5s", -5, -0.1, True, "soon"])
def test_what_is_no_duration_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "–"),
        (4.2, "4.2 s"),
        (99.94, "99.9 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_are_written(seconds: float | int | None, expected: str) -> None:
    assert format_duration(seconds) == expected

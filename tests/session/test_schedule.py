"""Hours in which cases may begin."""

from __future__ import annotations

from datetime import datetime

import pytest

from harness.session.schedule import parse_hours
from harness.values.errors import ConfigurationError


def at(clock: str) -> datetime:
    hour, minute = clock.split(":")
    return datetime(2026, 11, 22, int(hour), int(minute))


@pytest.mark.parametrize(
    ("hours", "clock", "is_open"),
    [
        ("20:00-07:00", "19:59", False),
        ("20:00-07:00", "20:00", True),
        ("20:00-07:00", "00:00", True),
        ("20:00-07:00", "06:59", True),
        ("20:00-07:00", "07:00", False),
        ("12:00-13:30", "13:29", True),
        ("12:00-13:30", "13:30", False),
        ("22:00-24:00", "23:59", True),
        ("22:00-24:00", "00:00", False),
    ],
)
def test_hours(hours: str, clock: str, is_open: bool) -> None:
    rule = parse_hours(hours)
    assert rule.is_open(at(clock)) is is_open


@pytest.mark.parametrize(
    "text", ["", "20-7", "20:00", "25:00-07:00", "20:60-07:00", "20:00-20:00", "8pm-7am", "1:2-3:4"]
)
def test_what_are_no_hours_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_hours(text)
    assert caught.value.where == "--between" and "20:00-07:00" in (caught.value.hint or "")


def test_it_reads_what_it_writes() -> None:
    assert parse_hours(str(parse_hours("9:05-17:00"))) == parse_hours("09:05-17:00")

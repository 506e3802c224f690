"""Hours in which cases may begin."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.session.schedule import Hours, parse_hours
from harness.values.errors import ConfigurationError


def at(clock: str) -> datetime:
    hour, minute = clock.split(":")
    return datetime(2026, 11, 22, int(hour), int(minute))


@pytest.mark.parametrize(
    ("hours", "clock", "is_open", "opens"),
    [
        ("20:00-07:00", "19:59", False, "2026-11-22T20:00:00"),
        ("20:00-07:00", "20:00", True, "2026-11-22T20:00:00"),
        ("20:00-07:00", "00:00", True, "2026-11-22T00:00:00"),
        ("20:00-07:00", "06:59", True, "2026-11-22T06:59:00"),
        ("20:00-07:00", "07:00", False, "2026-11-22T20:00:00"),
        ("12:00-13:30", "13:29", True, "2026-11-22T13:29:00"),
        ("12:00-13:30", "13:30", False, "2026-11-23T12:00:00"),
        ("22:00-24:00", "23:59", True, "2026-11-22T23:59:00"),
        ("22:00-24:00", "00:00", False, "2026-11-22T22:00:00"),
    ],
)
def test_hours(hours: str, clock: str, is_open: bool, opens: str) -> None:
    rule = parse_hours(hours)
    assert rule.is_open(at(clock)) is is_open
    assert rule.opens_at(at(clock)).isoformat() == opens


@pytest.mark.parametrize(
    "text", ["", "20-7", "20:00", "25:00-07:00", "20:60-07:00", "20:00-20:00", "8pm-7am", "1:2-3:4"]
)
def test_what_are_no_hours_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_hours(text)
    assert caught.value.where == "--between" and "20:00-07:00" in (caught.value.hint or "")


@given(st.datetimes(), st.times(), st.times())
def test_it_is_open_when_it_opens(now: datetime, begin: object, end: object) -> None:
    if begin == end:
        return
    rule = Hours(begin, end)  # type: ignore[arg-type]
    if now.year < 9999:
        opening = rule.opens_at(now)
        assert rule.is_open(opening)
        assert timedelta(0) <= opening - now < timedelta(days=1)


def test_it_reads_what_it_writes() -> None:
    assert parse_hours(str(parse_hours("9:05-17:00"))) == parse_hours("09:05-17:00")

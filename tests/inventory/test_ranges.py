"""Ranges in host names."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.inventory.ranges import MOST_HOSTS, expand_host_pattern, split_port


def test_the_forms() -> None:
    assert expand_host_pattern("ws[01:12]") == [f"ws{n:02}" for n in range(1, 13)]
    assert expand_host_pattern("ws[a:f]") == [f"ws{c}" for c in "abcdef"]
    assert expand_host_pattern("ws[01:12:2]") == ["ws01", "ws03", "ws05", "ws07", "ws09", "ws11"]
    assert expand_host_pattern("r[1:2]-n[08:10].lab") == [f"r{r}-n{n}.lab" for r in (1, 2) for n in ("08", "09", "10")]
    assert expand_host_pattern("ws[9:11]") == ["ws9", "ws10", "ws11"]
    assert expand_host_pattern("ws[:2]") == ["ws0", "ws1", "ws2"]
    assert expand_host_pattern("plain") == ["plain"]


@given(st.integers(0, 400), st.integers(0, 60), st.integers(1, 7), st.integers(0, 5))
def test_numbers_keep_their_width(begin: int, count: int, step: int, width: int) -> None:
    end = begin + count
    width = max(width, len(str(end)))
    padded = expand_host_pattern(f"ws[{begin:0{width}}:{end:0{width}}:{step}].lab")
    begins_with_zero = len(str(begin)) < width
    expected = [n for n in range(begin, end + 1) if (n - begin) % step == 0]
    assert padded == [f"ws{n:0{width if begins_with_zero else 1}}.lab" for n in expected]


@given(st.sampled_from(string.ascii_letters), st.sampled_from(string.ascii_letters), st.integers(1, 5))
def test_letters(begin: str, end: str, step: int) -> None:
    first, last = string.ascii_letters.index(begin), string.ascii_letters.index(end)
    pattern = f"n{begin}[{begin}:{end}:{step}]"
    if first > last:
        with pytest.raises(ValueError, match="begins after its end"):
            expand_host_pattern(pattern)
    else:
        assert expand_host_pattern(pattern) == [f"n{begin}{c}" for c in string.ascii_letters[first : last + 1 : step]]


@given(st.text(alphabet="ws[]:0123456789ab-.", max_size=14))
def test_any_text_gives_names_or_a_reason_with_a_cure(text: str) -> None:
    try:
        names = expand_host_pattern(text)
    except ValueError as error:
        message, _, cure = str(error).partition("\n")
        assert message
        assert cure
    else:
        assert 1 <= len(names) <= MOST_HOSTS
        assert not any("[" in name or "]" in name for name in names)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("ws[01:5]", "unequal lengths"),
        ("ws[5:1]", "begins after its end"),
        ("ws[1:9:0]", "the step"),
        ("ws[1:]", "no end"),
        ("ws[1-5]", "is not a range"),
        ("ws[1:2", "] is missing"),
        ("ws[ab:cd]", "two single letters"),
        ("ws[0:99999999999]", "more than"),
        ("ws[0:999][0:999]", "more than"),
        ("a/b", "cannot be a host name"),
        ("", "cannot be a host name"),
    ],
)
def test_what_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".*") as caught:
        expand_host_pattern(pattern)
    assert words in str(caught.value)


def test_ports_in_names() -> None:
    assert split_port("ws[01:12]:2222") == ("ws[01:12]", 2222)
    assert split_port("ws01") == ("ws01", None)
    assert split_port("[fe80::1]:22") == ("fe80::1", 22)
    assert split_port("fe80::1") == ("fe80::1", None)

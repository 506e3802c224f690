"""Choosing hosts: Ansible's patterns as an algebra of sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.inventory import HostVariables, select_hosts
from harness.inventory.host import Host, Inventory
from harness.values.errors import ConfigurationError

_NAMES = tuple(f"ws{n:02}" for n in range(1, 9))
_GROUPS = {
    "all": _NAMES,
    "gpu": ("ws01", "ws02", "ws03", "ws04"),
    "big": ("ws03", "ws04", "ws05"),
    "rest": ("ws06", "ws07", "ws08"),
    "empty": (),
}


def _host(name: str) -> Host:
    return Host(name, (), name, None, None, "ssh", None, None, None, HostVariables())


INVENTORY = Inventory(Path("lab.yaml"), "lab", tuple(map(_host, _NAMES)), _GROUPS)


def chosen(pattern: str | None) -> list[str]:
    return [host.name for host in select_hosts(INVENTORY, pattern)]


@pytest.mark.parametrize(
    ("pattern", "hosts"),
    [
        (None, list(_NAMES)),
        ("all", list(_NAMES)),
        ("*", list(_NAMES)),
        ("gpu:!ws03", ["ws01", "ws02", "ws04"]),
        ("!gpu", ["ws05", "ws06", "ws07", "ws08"]),
        ("gpu:&big", ["ws03", "ws04"]),
        ("&big", ["ws03", "ws04", "ws05"]),
        ("!ws03:gpu:&big", ["ws04"]),
        ("ws05,ws01", ["ws05", "ws01"]),
        ("ws01, gpu:!ws02", ["ws01", "ws03", "ws04"]),
        ("ws0[1-3]", ["ws01", "ws02", "ws03"]),
        ("ws0?", list(_NAMES)),
        ("~ws0(1|8)", ["ws01", "ws08"]),
        ("~(gpu|rest)", ["ws01", "ws02", "ws03", "ws04", "ws06", "ws07", "ws08"]),
        ("gpu[0]", ["ws01"]),
        ("gpu[-1]", ["ws04"]),
        ("gpu[1:2]", ["ws02", "ws03"]),
        ("gpu[2:]", ["ws03", "ws04"]),
        ("all:!gpu[0]:!rest", ["ws02", "ws03", "ws04", "ws05"]),
        ("empty:ws01", ["ws01"]),
    ],
)
def test_the_forms(pattern: str | None, hosts: list[str]) -> None:
    assert chosen(pattern) == hosts


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("gqu", "did you mean gpu?"),
        ("gpu:!ws3", "did you mean ws03?"),
        ("WS01", "did you mean ws01?"),
        ("gpu:!gpu", "selects no host"),
        ("empty", "selects no host"),
        ("gpu[7]", "gpu has 4 hosts"),
        ("~ws0(", "not a regular expression"),
        ("@/no/such/file", "cannot be read"),
        ("quitedifferent", "groups: all, gpu"),
    ],
)
def test_what_matches_nothing_is_said(pattern: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        chosen(pattern)
    assert words in str(caught.value)
    assert caught.value.where == "--limit"
    assert caught.value.hint


def test_a_file_of_patterns(tmp_path: Path) -> None:
    path = tmp_path / "limit"
    path.write_text("# failed yesterday\ngpu\n\n!ws02\n")
    assert chosen(f"@{path}") == ["ws01", "ws03", "ws04"]
    assert chosen(f"rest,@{path}") == ["ws06", "ws07", "ws08", "ws01", "ws03", "ws04"]
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="not text in UTF-8"):
        chosen(f"@{path}")


_terms = st.sampled_from([*_NAMES, "gpu", "big", "rest", "all"])
_separators = st.sampled_from([":", ","])


def _hosts_of(term: str) -> set[str]:
    return set(_GROUPS.get(term, (term,)))


@given(
    st.lists(_terms, max_size=4), st.lists(_terms, max_size=3), st.lists(_terms, max_size=3), _separators, st.randoms()
)
def test_union_then_intersection_then_difference_in_any_order(
    union: list[str], kept: list[str], left_out: list[str], separator: str, random: st.DrawFn
) -> None:
    expected = set().union(*map(_hosts_of, union)) if union else set(_NAMES)
    for term in kept:
        expected &= _hosts_of(term)
    for term in left_out:
        expected -= _hosts_of(term)
    terms = [*union, *(f"&{t}" for t in kept), *(f"!{t}" for t in left_out)]
    random.shuffle(terms)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    if not expected:
        with pytest.raises(ConfigurationError):
            chosen(separator.join(terms) or "empty")
        return
    found = chosen(separator.join(terms) or None)
    assert set(found) == expected
    assert len(found) == len(set(found))


@given(st.text(min_size=1, max_size=12))
def test_any_text_gives_hosts_or_a_configuration_error(text: str) -> None:
    try:
        found = chosen(text)
    except ConfigurationError:
        return
    assert set(found) <= set(_NAMES)
    assert found

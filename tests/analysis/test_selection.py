"""Which measurements count: undisturbed ones where there are enough, else all; never is a pair lost in silence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.comparison import Measurement, compare
from harness.analysis.selection import LEAST_UNDISTURBED, Selection, select


def measure(value: float, *, disturbed: str = "", host: str = "h", first: int = 1) -> list[Measurement]:
    """One number a round; ``disturbed`` holds a mark a round, ``b`` for busy, ``c`` for another caveat."""
    ids = {"b": ("host-busy",), "c": ("too-short",), ".": ()}
    return [Measurement("s", host, n, value, ids[mark]) for n, mark in enumerate(disturbed, start=first)]


def test_three_pairs_of_which_one_is_undisturbed_all_count() -> None:
    """One baseline run valid, the rest disturbed: it was called one round without an interval."""
    found = compare(measure(900, disturbed="..."), measure(100, disturbed=".bb"))
    assert found.ratio is not None and found.ratio.n == 3 and found.ratio.value == pytest.approx(9)
    assert found.ratio.low is not None and found.verdict.kind == "faster"
    assert (found.disturbance.count, found.disturbance.is_busy, found.left_out) == (2, True, 0)


def test_three_undisturbed_pairs_are_enough_and_the_rest_is_counted() -> None:
    found = compare(measure(900, disturbed="...b."), measure(100, disturbed="...bb"))
    assert found.ratio is not None and found.ratio.n == 3
    assert (found.disturbance.count, found.disturbance.is_busy, found.left_out) == (0, False, 2)


def test_a_caveat_that_is_not_about_the_host_is_not_called_busy() -> None:
    found = compare(measure(900, disturbed="cc"), measure(100, disturbed=".."))
    assert found.disturbance.count == 2 and not found.disturbance.is_busy
    assert found.disturbance.findings == ("too-short",)


def test_a_host_that_is_always_busy_still_counts() -> None:
    case = [*measure(300, disturbed="...", host="quiet"), *measure(200, disturbed="...", host="busy")]
    base = [*measure(100, disturbed="...", host="quiet"), *measure(100, disturbed="bbb", host="busy")]
    found = compare(case, base)
    assert [host.host for host in found.hosts] == ["busy", "quiet"]
    assert found.ratio is not None and found.ratio.n == 6 and found.disturbance.count == 3


def test_unpaired_measurements_are_counted_apart() -> None:
    found = compare(measure(900, disturbed="bbb"), measure(100, disturbed="bb"))
    assert found.ratio is not None and (found.ratio.n, found.unpaired, found.left_out) == (2, 1, 0)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=30))
def test_what_is_measured_is_used_or_handed_back(items: list[tuple[str, bool]]) -> None:
    found: Selection[tuple[int, str, bool]] = select(
        [(number, host, is_busy) for number, (host, is_busy) in enumerate(items)],
        machine=lambda item: item[1],
        disturbed_by=lambda item: ("host-busy",) if item[2] else (),
    )
    assert sorted([*found.used, *found.left_out]) == [(n, host, busy) for n, (host, busy) in enumerate(items)]
    for host in "ab":
        own = [busy for name, busy in items if name == host]
        used = [item for item in found.used if item[1] == host]
        quiet = own.count(False)
        assert len(used) == (quiet if quiet >= LEAST_UNDISTURBED else len(own))
    assert all(item[2] for item in found.left_out)
    assert found.disturbance.count == sum(item[2] for item in found.used)

"""What a measurement may take of its host."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.protection import available_limit, default_memory_reserve, disk_allowance, reserve_of
from harness.values.errors import HostNotReady
from harness.values.facts import DiskFacts, Facts

GIB = 2**30


def test_the_larger_of_two_gib_and_a_tenth_stays_the_hosts() -> None:
    assert available_limit(Facts(ram_bytes=16 * GIB, available_bytes=12 * GIB)) == 10 * GIB
    assert available_limit(Facts(ram_bytes=100 * GIB, available_bytes=90 * GIB)) == 80 * GIB
    assert default_memory_reserve(Facts(ram_bytes=20 * GIB)) == 2 * GIB


def test_the_inventorys_reserve_takes_the_place_of_the_default() -> None:
    facts = Facts(ram_bytes=100 * GIB, available_bytes=90 * GIB)
    assert available_limit(facts, 0) == 90 * GIB
    assert available_limit(facts, 50 * GIB) == 40 * GIB


@pytest.mark.parametrize("facts", [Facts(), Facts(ram_bytes=GIB), Facts(available_bytes=GIB)])
def test_what_is_unknown_is_never_guessed(facts: Any) -> None:
    with pytest.raises(HostNotReady) as raised:
        available_limit(facts)
    assert raised.value.hint


def test_disks_keep_five_percent_and_five_gib() -> None:
    assert disk_allowance(DiskFacts(path="/", total_bytes=50 * GIB, free_bytes=20 * GIB)) == 15 * GIB
    assert disk_allowance(DiskFacts(path="/", total_bytes=1000 * GIB, free_bytes=200 * GIB)) == 150 * GIB
    assert disk_allowance(DiskFacts(path="/", total_bytes=1000 * GIB, free_bytes=200 * GIB), GIB) == 199 * GIB
    assert disk_allowance(DiskFacts(path="/")) == 0


def test_a_reserve_is_of_every_disk_or_of_the_one_that_it_names() -> None:
    assert reserve_of(GIB, "scratch") == GIB
    assert reserve_of({"fast": GIB}, "fast") == GIB
    assert reserve_of({"fast": GIB}, "scratch") is reserve_of(None, "scratch") is None


@given(ram=st.integers(0, 2**45), share=st.floats(0, 1), reserve=st.none() | st.integers(0, 2**45))
def test_no_limit_is_negative_or_above_what_is_available(ram: Any, share: Any, reserve: Any) -> None:
    available = round(ram * share)
    limit = available_limit(Facts(ram_bytes=ram, available_bytes=available), reserve)
    assert 0 <= limit <= available
    assert limit == 0 or available - limit >= (reserve if reserve is not None else 2 * GIB)

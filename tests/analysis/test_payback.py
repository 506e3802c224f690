"""Payback: a number, never, or not known: three values that nobody can confuse."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.payback import MOST_EPOCHS, NeverPays, PaybackUnknown, PaysFrom, find_payback, payback_fields


def find(fill: float, cached: float, first: float, uncached: float) -> PaysFrom | NeverPays:
    return find_payback(fill_s=fill, cached_epoch_s=cached, uncached_first_s=first, uncached_epoch_s=uncached)


def test_the_articles_file_cache_pays_from_the_fourth_epoch_on() -> None:
    assert find(42, 14, 23, 23) == PaysFrom(4)
    assert 42 + 14 * 3 <= 23 * 4 and 42 + 14 * 2 > 23 * 3


def test_at_once_exactly_and_never() -> None:
    assert find(9, 5, 10, 10) == PaysFrom(1)
    assert find(10, 10, 10, 10) == PaysFrom(1)
    assert find(20, 5, 10, 10) == PaysFrom(3)
    assert find(20, 10, 10, 10) == NeverPays(10, 10)
    assert find(42, 30, 23, 23) == NeverPays(30, 23)


def test_a_cache_that_is_ahead_at_first_and_slower_later_never_pays() -> None:
    assert find(9, 11, 10, 10) == NeverPays(11, 10)


@given(st.floats(0.1, 1e4), st.floats(0.1, 1e4), st.floats(0.1, 1e4), st.floats(0.1, 1e4))
def test_it_is_the_first_epoch_and_holds_ever_after(fill: float, cached: float, first: float, uncached: float) -> None:
    found = find(fill, cached, first, uncached)

    def behind(epoch: int) -> float:
        return fill + (epoch - 1) * cached - first - (epoch - 1) * uncached

    if isinstance(found, NeverPays):
        assert cached >= uncached or behind(MOST_EPOCHS) > 0
        return
    slack = 1e-6 * (fill + first + found.epoch * (cached + uncached))
    assert behind(found.epoch) <= slack and behind(found.epoch + 1000) <= slack
    assert found.epoch == 1 or behind(found.epoch - 1) > -slack


@pytest.mark.parametrize(("epoch", "epochs", "training"), [(4, 1, 4), (4, 2, 2), (4, 10, 1), (1, 3, 1), (7, 3, 3)])
def test_the_training_in_which_a_kept_cache_has_paid(epoch: int, epochs: int, training: int) -> None:
    assert PaysFrom(epoch).training(epochs) == training


def test_a_record_keeps_three_values_apart() -> None:
    found = [payback_fields(each, 2) for each in (PaysFrom(4), NeverPays(2.0, 1.0), PaybackUnknown("no figures"))]
    assert json.loads(json.dumps(found)) == [
        {"payback_epoch": 4, "payback_training": 2},
        {"payback_epoch": "never", "payback_training": "never"},
        {"payback_epoch": None, "payback_training": None},
    ]

"""Growth over epochs: what goes on is told from what fills up, and from noise."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.analysis.growth import find_growth
from harness.values.record import Epoch

MB = 10**6


def epochs(*megabytes: float) -> list[Epoch]:
    sizes = [round(size * MB) for size in megabytes]
    return [Epoch(index=index, images=10, seconds=1.0, anon_bytes=size) for index, size in enumerate(sizes, 1)]


def test_a_leak_is_found_with_its_slope_and_its_end() -> None:
    growth = find_growth(epochs(300, 400, 411, 419, 430, 440))
    assert growth is not None and growth.is_steady and growth.epochs == 5
    assert growth.bytes_per_epoch == pytest.approx(9.9 * MB)
    assert growth.epochs_until(1000 * MB) == pytest.approx(560 / 9.9)
    assert growth.epochs_until(400 * MB) == 0


@pytest.mark.parametrize(
    "sizes",
    [
        (300, 900, 900, 900, 900, 900),  # what the first epoch fills
        (300, 400, 450, 475, 487, 493, 496),  # arenas that fill up
        (300, 400, 399, 401, 400, 400, 399),  # noise
        (300, 400, 410, 420),  # too few to say whether it goes on
    ],
)
def test_what_does_not_go_on_is_no_growth(sizes: Sequence[float]) -> None:
    growth = find_growth(epochs(*sizes))
    assert growth is not None and growth.epochs_until(1000 * MB) is None


def test_memory_that_nobody_knows_has_no_slope() -> None:
    unknown = [Epoch(index=index, images=10, seconds=1.0) for index in range(1, 9)]
    assert find_growth(unknown) is None
    assert find_growth(epochs(300, 400)) is None

"""The edge of living and the edge of full speed, found on machines of which the truth is known."""

from __future__ import annotations

import pytest

from harness.analysis.limit_search import Found, Trial, conclude, next_limit

MB = 10**6
MOST = 16_000 * MB


def search(lives: int, fast: int, slow_rate: float = 0.5) -> tuple[Found, int]:
    trials: list[Trial] = []
    while (limit := next_limit(sorted(trials, key=lambda trial: trial.limit), most=MOST)) is not None:
        assert limit not in [trial.limit for trial in trials]
        rate = None if limit < lives else 100.0 if limit >= fast else 100.0 * slow_rate
        trials.append(Trial(limit, rate))
        assert len(trials) < 24
    return conclude(sorted(trials, key=lambda trial: trial.limit)), len(trials)


@pytest.mark.parametrize(("lives", "fast"), [(400 * MB, 400 * MB), (350 * MB, 1200 * MB), (900 * MB, 15_000 * MB)])
def test_both_edges_are_found_within_five_per_cent(lives: int, fast: int) -> None:
    found, trials = search(lives, fast)
    assert found.lives_from is not None and found.full_speed_from is not None
    assert lives <= found.lives_from <= 1.051 * lives
    assert fast <= found.full_speed_from <= 1.051 * fast
    assert trials <= 16


def test_what_never_lives_is_tried_once() -> None:
    assert search(MOST + 1, MOST + 1) == (Found(None, None), 1)


def test_the_largest_limit_is_tried_first_and_small_differences_of_speed_are_none() -> None:
    assert next_limit([], most=MOST) == MOST
    found, _ = search(400 * MB, 2000 * MB, slow_rate=0.97)
    assert found.full_speed_from == found.lives_from

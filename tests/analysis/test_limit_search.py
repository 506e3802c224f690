"""The edge of living and the edge of full speed, found on machines of which the truth is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.analysis.limit_search import Found, Trial, conclude, next_step, steps_left

MB = 10**6
MOST = 16_000 * MB


def search(run: Callable[[int, int], float | None], *, is_short: bool = False) -> tuple[Found, int, list[Trial]]:
    """``run(limit, number)`` gives a rate, None for a death. Found, how many runs it took, and the trials."""
    rates: dict[int, tuple[float, ...]] = {}
    runs = 0
    trials: list[Trial] = []
    while (step := next_step(trials, most=MOST)) is not None:
        assert step.number == len(rates.get(step.limit, ())) + 1
        assert steps_left(trials, most=MOST) > 0
        rate = run(step.limit, step.number)
        runs += 1
        rates[step.limit] = () if rate is None else (*rates.get(step.limit, ()), rate)
        trials = [Trial(limit, rates[limit], is_short) for limit in sorted(rates)]
        assert runs < 40
    assert steps_left(trials, most=MOST) == 0
    return conclude(trials), runs, trials


def machine(lives: int, fast: int, slow_rate: float = 0.5) -> Callable[[int, int], float | None]:
    return lambda limit, _number: None if limit < lives else 100.0 if limit >= fast else 100.0 * slow_rate


@pytest.mark.parametrize(("lives", "fast"), [(400 * MB, 400 * MB), (350 * MB, 1200 * MB), (900 * MB, 15_000 * MB)])
def test_both_edges_are_found_within_five_per_cent(lives: int, fast: int) -> None:
    found, runs, _ = search(machine(lives, fast))
    assert found.lives_from is not None and found.full_speed_from is not None
    assert lives <= found.lives_from <= 1.055 * lives
    assert fast <= found.full_speed_from <= 1.055 * fast
    assert runs <= 24


def test_what_never_lives_is_tried_once() -> None:
    assert search(machine(MOST + 1, MOST + 1))[:2] == (Found(None, None), 1)


def test_the_largest_limit_is_tried_first_and_small_differences_of_speed_are_none() -> None:
    first = next_step([], most=MOST)
    assert first is not None and (first.limit, first.number) == (MOST, 1)
    found, _, trials = search(machine(400 * MB, 2000 * MB, slow_rate=0.97))
    assert found.full_speed_from == found.lives_from
    assert [trial.limit for trial in trials if len(trial.rates) > 1] == [MOST]


def test_a_run_that_was_disturbed_is_not_taken_for_a_slow_limit() -> None:
    sound = machine(400 * MB, 400 * MB)

    def disturbed(limit: int, number: int) -> float | None:
        rate = sound(limit, number)
        return 40.0 if rate is not None and number == 1 and limit < 700 * MB else rate

    found, _, _ = search(disturbed)
    assert found.full_speed_from == found.lives_from


@pytest.mark.parametrize(
    ("run", "doubt"),
    [
        (lambda limit, number: 100.0 if number == 1 or limit < MOST else 80.0, "differ by 25 %"),
        (lambda limit, _number: 100.0 if limit < MOST else 80.0, "faster than under the largest"),
    ],
)
def test_speed_is_not_judged_where_the_host_is_too_noisy_for_it(
    run: Callable[[int, int], float | None], doubt: str
) -> None:
    found, _, _ = search(run)
    assert found.lives_from is not None and found.full_speed_from is None
    assert doubt in (found.doubt or "")


def test_speed_of_epochs_that_are_too_short_is_not_judged() -> None:
    found, runs, _ = search(machine(400 * MB, 2000 * MB), is_short=True)
    assert found.full_speed_from is None and "more images" in (found.doubt or "")
    assert runs <= 9  # not even the largest limit runs twice


def test_one_death_under_a_limit_counts() -> None:
    lives, dies, rest = Trial(500 * MB, (90.0,)), Trial(480 * MB, ()), Trial(MOST, (100.0, 100.0))
    assert conclude([dies, lives, rest]).lives_from == 500 * MB
    assert conclude([Trial(500 * MB, ()), Trial(480 * MB, (90.0,)), rest]).lives_from == MOST

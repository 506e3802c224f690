"""Run pipelines in turn, take their CPU time, and derive the costs of stages. Standard library only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from ..measure.usage import read_usage

Run = Callable[[int], object]
"""Runs the given number of epochs of a pipeline."""

WHOLE = "whole"
"""The name of the complete pipeline; others have the name of their last stage."""
WANTED_S = 0.25
"""Wanted CPU seconds of a pass: its number of epochs makes the fixed cost of a pass a small part of it."""
ONCE_SHARE = 0.5
"""If the fixed cost of a pass is larger (workers start), its epochs take at least this share of it, to exceed noise."""
MOST_TIMES = 40
LEAST_ROUNDS, MOST_ROUNDS = 3, 9
PATIENCE_S = 12.0
"""No round begins after this time, once the least number was run."""
AGREEMENT = 0.1
"""Accepted difference between the sum of stages and the whole, as a share of the whole."""


def take_cpu_s(run: Run, times: int = 1) -> float:
    """Return the CPU seconds that this process and its children used for ``times`` epochs."""
    before = read_usage().cpu_s
    run(times)
    return read_usage().cpu_s - before


class Samples:
    """The CPU seconds of passes run in turn over ``pipelines`` of ``images`` images each, ``WHOLE`` among them.

    All have run before. ``one_image`` is the whole pipeline on one image: it gives the fixed cost of a pass, which is
    subtracted.
    """

    def __init__(self, pipelines: Mapping[str, Run], one_image: Run, images: int) -> None:
        self._pipelines = dict(pipelines)
        self._one_image = one_image
        self._images = images
        self._alone = [take_cpu_s(one_image)]
        self._found = {name: [take_cpu_s(run)] for name, run in pipelines.items()}
        self._times = self._choose_times()
        for name, times in self._times.items():
            if times > 1:
                self._found[name] = [take_cpu_s(self._pipelines[name], times)]

    def _choose_times(self) -> dict[str, int]:
        """Return how many epochs a pass of each pipeline has."""
        once_s = self._alone[0]
        if once_s <= WANTED_S:
            return {name: _fit_times(taken[0]) for name, taken in self._found.items()}
        times, taken_s = 1, self._found[WHOLE][0]
        while taken_s - once_s < ONCE_SHARE * once_s and times < MOST_TIMES:
            times = min(MOST_TIMES, 4 * times)
            taken_s = take_cpu_s(self._pipelines[WHOLE], times)
        return dict.fromkeys(self._pipelines, times)

    @property
    def rounds(self) -> int:
        """The number of times that each pipeline was run."""
        return len(self._alone)

    def add_round(self) -> None:
        """Run each pipeline once more, in the opposite order of the round before."""
        names = list(self._pipelines)
        for name in reversed(names) if self.rounds % 2 else names:
            self._found[name].append(take_cpu_s(self._pipelines[name], self._times[name]))
        self._alone.append(take_cpu_s(self._one_image))

    def each_s(self) -> dict[str, float]:
        """Return the CPU seconds per image of each pipeline, by the median of its passes."""
        taken = {name: median(seconds) for name, seconds in self._found.items()}
        alone_s = median(self._alone)
        whole_s = max(0.0, taken[WHOLE] - alone_s) / max(1, self._images * self._times[WHOLE] - 1)
        once_s = max(0.0, alone_s - whole_s)
        return {name: max(0.0, taken[name] - once_s) / (self._images * self._times[name]) for name in taken}


def cost_in_turn(
    pipelines: Mapping[str, Run],
    one_image: Run,
    images: int,
    stages: Sequence[str],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Samples:
    """Run pipelines in turn until the costs of ``stages`` sum up to the whole's, or until a limit is reached."""
    begun = clock()
    samples = Samples(pipelines, one_image, images)
    while samples.rounds < LEAST_ROUNDS or (
        samples.rounds < MOST_ROUNDS and clock() - begun < PATIENCE_S and not _agree(samples.each_s(), stages)
    ):
        samples.add_round()
    return samples


def _agree(each_s: Mapping[str, float], stages: Sequence[str]) -> bool:
    rest_s = each_s[WHOLE] - sum(find_differences(each_s, stages).values())
    return each_s[WHOLE] > 0 and (not stages or abs(rest_s) <= AGREEMENT * each_s[WHOLE])


def _fit_times(seconds: float) -> int:
    return max(1, min(MOST_TIMES, round(WANTED_S / seconds))) if seconds > 0 else MOST_TIMES


def find_differences(each_s: Mapping[str, float], stages: Sequence[str]) -> dict[str, float]:
    """Return the cost of each stage: its pipeline's CPU time minus that of the one that stops before it.

    A pipeline with more stages cannot cost less; if it does by noise, neighbours are replaced by their mean.
    """
    risen = fit_rising([each_s[stage] for stage in stages])
    return {stage: after - before for stage, before, after in zip(stages, [0.0, *risen], risen, strict=False)}


def fit_rising(values: Sequence[float]) -> list[float]:
    """Return the non-decreasing sequence closest to the values, by least squares (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, count = value, 1
        while pools and pools[-1][0] > mean:
            other, others = pools.pop()
            mean, count = (mean * count + other * others) / (count + others), count + others
        pools.append((mean, count))
    return [mean for mean, count in pools for _ in range(count)]

"""CPU time of pipelines that are run in turn, and what their differences say of stages. Standard library only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from ..measure.usage import read_usage

Run = Callable[[int], object]
"""Makes so many epochs of a pipeline."""

WHOLE = "whole"
"""The name of the pipeline that is not cut; others have the name of their last stage."""
WANTED_S = 0.25
"""CPU seconds of a pass: as many epochs are made as take so long, so that what a pass costs once is little of it."""
ONCE_SHARE = 0.5
"""Where to begin a pass takes longer (workers start), epochs take this share of it, to stand out of its noise."""
MOST_TIMES = 40
LEAST_ROUNDS, MOST_ROUNDS = 3, 9
PATIENCE_S = 12.0
"""No round is begun after it, where there were the least."""
AGREEMENT = 0.1
"""As far from the whole, as a share of it, the sum of the stages may be."""


def take_cpu_s(run: Run, times: int = 1) -> float:
    """Return the CPU seconds that this process and its children used while so many epochs were made."""
    before = read_usage().cpu_s
    run(times)
    return read_usage().cpu_s - before


class Samples:
    """CPU seconds of passes that were made in turn. ``pipelines`` are of so many ``images``, ``WHOLE`` among them.

    All have run before. ``one_image`` is the whole pipeline on one image alone: from it comes what a pass costs once,
    however many images it has, which is left out.
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
        """Return how many epochs a pass of each pipeline is to have."""
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
        """How often each pipeline was run."""
        return len(self._alone)

    def add_round(self) -> None:
        """Run each once more, in the other direction than in the round before."""
        names = list(self._pipelines)
        for name in reversed(names) if self.rounds % 2 else names:
            self._found[name].append(take_cpu_s(self._pipelines[name], self._times[name]))
        self._alone.append(take_cpu_s(self._one_image))

    def each_s(self) -> dict[str, float]:
        """Return the CPU seconds of an image in each pipeline: of the median of its passes."""
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
    """Run pipelines in turn until the costs of ``stages`` sum to the whole's, but not for ever."""
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
    """Return what each stage costs: its pipeline's CPU time less that of the one that stops before it.

    A pipeline that goes further costs no less: where noise says so, neighbours are taken together, with their mean.
    """
    risen = fit_rising([each_s[stage] for stage in stages])
    return {stage: after - before for stage, before, after in zip(stages, [0.0, *risen], risen, strict=False)}


def fit_rising(values: Sequence[float]) -> list[float]:
    """Return the numbers that never fall and are nearest to those given, by squares."""
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, count = value, 1
        while pools and pools[-1][0] > mean:
            other, others = pools.pop()
            mean, count = (mean * count + other * others) / (count + others), count + others
        pools.append((mean, count))
    return [mean for mean, count in pools for _ in range(count)]

"""How much memory a case needs after so many batches, by formula or by its trial run; its peak, and when it is OOM.

What counts against a limit and cannot be reclaimed is a cache in memory, which grows with the images, and the program
beside it, which grows with the batches until glibc's arenas are full (``analysis/arenas.py``). Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from statistics import fmean

from harness.analysis import arenas
from harness.bench.protocol.loader_registry import LOADERS
from harness.values.case import Case
from harness.values.prediction import Interval
from harness.values.rehearsal import MemoryRun, Rehearsal

OUTSIDE_BYTES = 10 * 10**6
"""Memory within a limit besides the program: the supervisor (7 MB), and memory of the kernel for the job."""
PAGE_TABLE_SHARE = 0.0025
"""Page tables as a share of the memory that they map (measured: 2.9 MB more for 777 MB)."""

START_BYTES = {"load": 206 * 10**6, "train": 262 * 10**6}
"""A program that has imported TensorFlow 2.21 and built its pipeline (in training also its model), without images."""
FRAMES_BYTES = 37 * 10**6
"""Additional memory of ImageDataGenerator and PIL."""
ACTIVATION_FACTOR = 23.0
"""Bytes of activations of MobileNet with a frozen base at alpha 1, per input byte of the batch."""
BATCHES_AT_ONCE = 1.2
"""Batches that exist at the same time beside those in arenas, where arenas keep batches."""
MAPPED_AT_ONCE = 2.7
"""Batches that exist at the same time where arenas do not keep them."""
FAST_TAU, SLOW_TAU = 16.0, 50.0
"""Arenas fill with ``1 - exp(-batches / (tau * cpus))``, by at most one batch with each batch; slowly where batches
come one by one, as without a model or cache."""

REHEARSED_SPREAD = 0.10
"""How much a program without its cache may differ from its trial run: the arena of a batch is chosen by chance."""
CACHE_SPREAD = 0.03
"""How much the cached tensors may differ from their bytes."""
FORMULA_SPREAD = 0.15
"""Added to both ends of the interval of the formula."""


@dataclass(frozen=True)
class MemoryModel:
    """Bytes of a program without its cache after 0, 1, 2, … batches, and bytes of its cache per image.

    ``low``, ``expected`` and ``high`` have a value for each batch; the last one applies to all later batches.
    ``image_bytes`` is 0 without a cache in memory. The first ``first_pass`` values were measured in a first epoch.
    Where arenas keep nothing, a longer first epoch grows at most as much as later epochs did, which hold one or two
    more batches (cached images arrive faster than they are used), and approaches that with its length. None: the first
    epoch grows like all others.
    """

    batch_size: int
    image_bytes: float
    low: tuple[float, ...]
    expected: tuple[float, ...]
    high: tuple[float, ...]
    first_pass: int | None = None

    def with_more(self, low: float, expected: float, high: float) -> MemoryModel:
        """Return the model with so many more bytes from the first batch on."""
        return replace(
            self,
            low=tuple(size + low for size in self.low),
            expected=tuple(size + expected for size in self.expected),
            high=tuple(size + high for size in self.high),
        )

    def held(self, images: int, batches: int) -> Interval:
        """Return the largest memory within a limit after so many cached images and so many batches."""
        cached = images * self.image_bytes
        return Interval(
            low=_limited(self.low, batches, cached * (1 - CACHE_SPREAD)),
            expected=_limited(self.expected, batches, cached),
            high=_limited(self.high, batches, cached * (1 + CACHE_SPREAD)),
        )

    def peak(self, images: int, epochs: int) -> Interval:
        """Return the largest memory of a case with so many images and epochs."""
        return self.held(images, epochs * -(-images // self.batch_size))

    def images_until(self, limit_bytes: int, images: int) -> Interval:
        """Return after how many images of the first epoch a limit is reached; all images if it is not reached then."""
        each, first = self.image_bytes, self.first_pass
        middle = list(self.expected)
        if first is not None:
            least = middle[first - 1]
            for batches in range(first, len(middle)):
                middle[batches] = least + (middle[batches] - least) * (1 - ((first - 1) / batches) ** 2)
        return Interval(
            low=self._until(self.high, each * (1 + CACHE_SPREAD), limit_bytes, images),
            expected=self._until(middle, each, limit_bytes, images),
            high=self._until(self.low[:first], each * (1 - CACHE_SPREAD), limit_bytes, images),
        )

    def _until(self, beside: Sequence[float], each: float, limit: int, images: int) -> int:
        steps = -(-images // self.batch_size)
        for batches in range(1, min(len(beside), steps + 1)):
            if _limited(beside, batches, each * min(images, batches * self.batch_size)) > limit:
                return (batches - 1) * self.batch_size
        if steps < len(beside) or _limited(beside, steps, each * images) <= limit:
            return images
        cached = (limit - OUTSIDE_BYTES) / (1 + PAGE_TABLE_SHARE) - beside[-1]
        return max(0, min(images, math.floor(cached / each / self.batch_size) * self.batch_size))


def _limited(beside: Sequence[float], batches: int, cached: float) -> int:
    held = beside[min(batches, len(beside) - 1)] + cached
    return round(held * (1 + PAGE_TABLE_SHARE)) + OUTSIDE_BYTES


def model_by_formula(case: Case, image_bytes: float, cpus: int) -> MemoryModel:
    """Build the memory model of a case from constants; ``cpus`` is the number that it may use."""
    spec = LOADERS.get(case.loader)  # the file of a user's own loader may be missing
    batch = _batch_bytes(case)
    has_frames = spec is not None and spec.frames_for_lists
    start = float(START_BYTES[case.mode] + (FRAMES_BYTES if has_frames else 0))
    if case.mode == "train" and case.model is not None and not case.model.is_emulated:
        start += ACTIVATION_FACTOR * case.model.alpha * batch
    kept = 0.0 if spec is not None and spec.is_single_threaded else arenas.most_kept(cpus, batch)
    working = start + (BATCHES_AT_ONCE if kept else MAPPED_AT_ONCE) * batch
    tau = FAST_TAU if case.cache == "memory" or case.mode == "train" else SLOW_TAU
    grown = [kept * (1 - math.exp(-number / (tau * cpus))) for number in range(arenas.count_batches(cpus) + 1)]
    return MemoryModel(
        batch_size=case.batch_size,
        image_bytes=image_bytes,
        low=tuple(working * (1 - FORMULA_SPREAD) for _ in grown),
        expected=tuple(working + more / 2 for more in grown),
        high=tuple((working + more) * (1 + FORMULA_SPREAD) for more in grown),
    )


def model_as_rehearsed(case: Case, image_bytes: float, rehearsal: Rehearsal, cpus: int) -> MemoryModel:
    """Build the memory model of a case from its trial run; memory that grew at its end is expected to grow on."""
    held = list(zip(*(_beside(run, image_bytes, rehearsal.images) for run in rehearsal.runs), strict=False))
    seen = [fmean(values) for values in held]
    kept = arenas.most_kept(cpus, _batch_bytes(case))
    expected = seen + _grow_on(seen, seen[0] + kept, arenas.count_batches(cpus))
    high = [value * (1 + REHEARSED_SPREAD) for value in expected]
    return MemoryModel(
        batch_size=case.batch_size,
        image_bytes=image_bytes,
        low=tuple(min(*values, mean * (1 - REHEARSED_SPREAD)) for values, mean in zip(held, seen, strict=True)),
        expected=tuple(expected),
        high=(*(max(*values, most) for values, most in zip(held, high, strict=False)), *high[len(held) :]),
        first_pass=None if kept else min(len(held), 1 + -(-rehearsal.images // case.batch_size)),
    )


def _beside(run: MemoryRun, image_bytes: float, images: int) -> list[float]:
    """Return the largest memory of a program without its cache after 0, 1, 2, … batches."""
    beside = [float(run.start_bytes)]
    beside += [max(0.0, peak - image_bytes * min(count, images)) for count, peak in run.points]
    return list(accumulate(beside, max))


def _grow_on(seen: list[float], most: float, batches: int) -> list[float]:
    """Return how memory grows to ``most`` until so many batches, beginning with the rate of the second half."""
    last = len(seen) - 1
    room = most - seen[last]
    rate = (seen[last] - seen[last // 2]) / (last - last // 2)
    if room <= 0 or rate <= 0:
        return []
    return [seen[last] + room * (1 - math.exp(-rate * number / room)) for number in range(1, batches - last + 1)]


def _batch_bytes(case: Case) -> float:
    height, width = case.image_size
    return case.batch_size * height * width * 3 * 4.0

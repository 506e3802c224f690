"""How near each loader comes to the yardstick (the least work of decoding), per CPU second. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.selection import is_countable
from harness.analysis.summary import reduce_record
from harness.bench.protocol.loader_registry import is_automatic, is_yardstick
from harness.values.case import Case
from harness.values.record import Record

_SETTING = ("data", "image_size", "interpolation", "decoding", "max_images", "mode", "batch_size")
"""Parameters that a case must share with the yardstick to be compared with it; native pixels cannot be compared."""


@dataclass(frozen=True)
class Nearness:
    """A case on one host: its images per CPU second, and its share of those of the yardstick."""

    host: str
    case: Case
    images_per_cpu_s: float
    share: float


def measure_nearness(records: Sequence[Record]) -> tuple[Nearness, ...]:
    """Return every case with a yardstick on its host, nearest first, by geometric means over the rounds.

    A case with a cache may be above 1, since it does not decode. Empty where no yardstick was measured.
    """
    rates: dict[tuple[str, Case], list[float]] = {}
    for record in records:
        rate = reduce_record(record).images_per_cpu_s
        if is_countable(record) and record.alias is None and rate:
            rates.setdefault((record.host, record.case), []).append(rate)
    means = {key: math.exp(math.fsum(map(math.log, values)) / len(values)) for key, values in rates.items()}
    marks = {(host, _setting(case)): mean for (host, case), mean in means.items() if is_yardstick(case.loader)}
    found = [
        Nearness(host, case, mean, mean / marks[host, _setting(case)])
        for (host, case), mean in means.items()
        if (host, _setting(case)) in marks and not is_automatic(case.loader) and case.interpolation != "native"
    ]
    return tuple(sorted(found, key=lambda each: (each.host, -each.share)))


def _setting(case: Case) -> tuple[object, ...]:
    return tuple(getattr(case, name) for name in _SETTING)

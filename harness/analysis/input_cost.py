"""Time per image in training: the model, and what the input adds, split where that was measured. Pure.

The time of the model is that of the model limit. In epochs that begin cold, a warm run of the same case splits the time
of the input into preparation and fetch (``stalls``); where only the first epoch is cold, first epochs are compared.
Elsewhere the rate of reading from storage shows it: without any reading all of it is preparation, near the rate of the
disk it is fetch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from harness.analysis.coverage import total
from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.analysis.stalls import Stalls, find_stalls, warm_twin
from harness.analysis.statistics import Estimate
from harness.analysis.summary import CaseSummary
from harness.values.record import Epoch, Record

Which = Literal["steady", "first"]


@dataclass(frozen=True, slots=True)
class InputCost:
    """The cost of a row in its first or its later epochs: ``image_s`` seconds per image, and its ``stalls``.

    ``read_bytes_s`` is the rate of reading from storage, ``read_share`` its share of the bytes that had to be read,
    both as medians of the runs; None where they could not be counted.
    """

    row: Row
    which: Which
    image_s: float
    stalls: Stalls
    read_bytes_s: float | None = None
    read_share: float | None = None

    @property
    def parts_s(self) -> tuple[float, float | None, float | None, float]:
        """Return the seconds per image of model, preparation and fetch (None where not split), and of all input."""
        model_s = self.image_s * (self.stalls.utilisation or 0.0)
        preparation, fetch = self.stalls.preparation, self.stalls.fetch
        return (
            model_s,
            None if preparation is None else self.image_s * preparation,
            None if fetch is None else self.image_s * fetch,
            self.image_s - model_s,
        )


def split_costs(group: HardwareGroup, setting: Setting) -> list[InputCost]:
    """Return the costs of each training row with a rate; none without a model limit.

    They are of its later epochs, and of its first one where only that is cold and a warm run splits its time.
    """
    ceiling = setting.ceiling
    model = ceiling.rate() if ceiling else None
    if model is None:
        return []
    costs: list[InputCost] = []
    for row in setting.rows:
        if row.summary.alias is None and row.summary.used:
            costs += _costs_of(row, model, _find_warm(group, row.summary, setting.files))
    return costs


def _costs_of(row: Row, model: Estimate, warm: CaseSummary | None) -> Iterator[InputCost]:
    steady, first = row.summary.steady_images_per_s, row.summary.first_images_per_s
    every_is_cold = row.case.page_cache == "cold"
    if steady is not None:
        yield _cost(row, "steady", steady, model, warm.steady_images_per_s if warm and every_is_cold else None)
    only_first_is_cold = warm is not None and not every_is_cold
    if first is not None and (steady is None or only_first_is_cold):
        yield _cost(row, "first", first, model, warm.first_images_per_s if warm else None)


def _cost(row: Row, which: Which, rate: Estimate, model: Estimate, warm: Estimate | None) -> InputCost:
    stalls = find_stalls(rate.value, ceiling_images_s=model.value, warm_images_s=warm.value if warm else None)
    read = [found for record in row.summary.used if (found := _read(record, which)) is not None]
    bytes_s = median(rate_s for rate_s, _ in read) if read else None
    shares = [share for _, share in read if share is not None]
    return InputCost(row, which, 1 / rate.value, stalls, bytes_s, median(shares) if shares else None)


def _read(record: Record, which: Which) -> tuple[float, float | None] | None:
    """Return bytes per second from storage, and their share of what had to be read; None where not counted."""
    epochs: list[Epoch] = [epoch for epoch in record.epochs if (epoch.index > 1) == (which == "steady")]
    read, needed = total(epoch.bytes_read for epoch in epochs), total(epoch.bytes_needed for epoch in epochs)
    seconds = sum(epoch.seconds for epoch in epochs)
    if read is None or seconds <= 0:
        return None
    return read / seconds, read / needed if needed else None


def _find_warm(group: HardwareGroup, summary: CaseSummary, files: str) -> CaseSummary | None:
    """Return the same case with its files in memory: an extra run, or another case of the experiment."""
    if summary.case.page_cache == "warm" or summary.case.cache != "none":
        return None
    wanted = warm_twin(summary.case).case_id
    settings: Sequence[Setting] = (*group.warm_runs, *group.settings)
    found = (row.summary for setting in settings if setting.files == files for row in setting.rows)
    return next((one for one in found if one.case_id == wanted and one.used), None)

"""The knee of a ladder of workers: the number from which on more workers gain nothing. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.advice import can_gain, compare_rows
from harness.analysis.comparison import Comparison
from harness.analysis.matrix import Row, Setting
from harness.analysis.statistics import THRESHOLD
from harness.values.case import Case

Kind = Literal["knee", "none", "short"]
"""``knee``: no larger number is more than 5 % faster; ``none``: the largest number is the fastest; ``short``: epochs
are too short for a verdict."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """One pipeline at one memory limit with several numbers of workers: ``rows`` by their number, those with a rate.

    ``knee`` is the row beyond which nothing is gained; the last one where ``kind`` is ``none`` or ``short``.
    ``is_settled``: the whole intervals show it, and not just the averages.
    """

    rows: tuple[Row, ...]
    kind: Kind
    knee: Row
    is_settled: bool = False

    @property
    def case(self) -> Case:
        """Return the pipeline without a number of workers."""
        return self.knee.case.model_copy(update={"workers": None})


def find_ladders(setting: Setting) -> list[Ladder]:
    """Return a ladder for each pipeline and limit of a setting with rates of at least two numbers of workers."""
    groups: dict[Case, list[Row]] = {}
    for row in setting.rows:
        has_rate = bool(row.summary.used) and row.summary.rate(setting.metric) is not None
        if row.summary.alias is None and row.case.workers is not None and has_rate:
            groups.setdefault(row.case.model_copy(update={"workers": None}), []).append(row)
    return [_judge(sorted(rows, key=_workers), setting) for rows in groups.values() if len(rows) > 1]


def _judge(rows: Sequence[Row], setting: Setting) -> Ladder:
    if any(row.summary.short_epochs(setting.metric) is not None for row in rows):
        return Ladder(tuple(rows), "short", rows[-1])
    above = {
        id(row): [compare_rows(other, row, setting) for other in rows[place:]] for place, row in enumerate(rows, 1)
    }
    for row in rows[:-1]:
        if not any(map(_is_faster, above[id(row)])):
            return Ladder(tuple(rows), "knee", row, is_settled=not any(map(can_gain, above[id(row)])))
    is_fastest = all(above[id(row)][-1].verdict.kind == "faster" for row in rows[:-1])
    return Ladder(tuple(rows), "none", rows[-1], is_settled=is_fastest)


def _is_faster(found: Comparison) -> bool:
    """Return whether the first of a comparison is more than 5 % faster on average, or may be where it is unknown."""
    return found.ratio is None or found.ratio.value > THRESHOLD


def _workers(row: Row) -> int:
    return row.case.workers or 0

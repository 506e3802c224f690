"""What an image costs in training: the model's time, and what input adds, told apart where it was measured.

Ceiling: the model alone. Preparation: what the same case adds with its data in the page cache (warm minus
ceiling). Fetch: what storage adds to that (as it is minus warm). Without a warm case the two are one.
After "Analyzing and Mitigating Data Stalls in DNN Training" (Mohan et al., VLDB 2021), which tells them apart alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.analysis.summary import CaseSummary


@dataclass(frozen=True, slots=True)
class InputCost:
    """Seconds an image: ``model_s`` and either ``preparation_s`` and ``fetch_s``, or ``input_s`` where they are one."""

    row: Row
    model_s: float
    input_s: float
    preparation_s: float | None = None
    fetch_s: float | None = None


def split_costs(group: HardwareGroup, setting: Setting) -> list[InputCost]:
    """The costs of each training row that has a rate; empty without a ceiling."""
    ceiling = _seconds(setting.ceiling) if setting.ceiling else None
    if ceiling is None:
        return []
    warm = _find_warm(group.settings)
    costs = []
    for row in setting.rows:
        seconds = _seconds(row.summary)
        if row.summary.alias is None and seconds is not None:
            costs.append(_split(row, ceiling, seconds, warm.get(_key(row.summary))))
    return costs


def _split(row: Row, ceiling_s: float, seconds: float, warm_s: float | None) -> InputCost:
    model_s, input_s = min(ceiling_s, seconds), max(seconds - ceiling_s, 0.0)
    if row.summary.case.page_cache == "warm" or warm_s is None:
        return InputCost(row, model_s, input_s)
    preparation_s = min(max(warm_s - ceiling_s, 0.0), input_s)
    return InputCost(row, model_s, input_s, preparation_s, input_s - preparation_s)


def _find_warm(settings: Sequence[Setting]) -> dict[str, float]:
    found = {}
    for summary in _summaries(settings):
        seconds = _seconds(summary)
        if summary.case.page_cache == "warm" and seconds is not None:
            found[_key(summary)] = seconds
    return found


def _summaries(settings: Sequence[Setting]) -> Iterable[CaseSummary]:
    return (row.summary for setting in settings for row in setting.rows if row.summary.alias is None)


def _key(summary: CaseSummary) -> str:
    """Equal for cases that differ in the page cache's state alone."""
    return summary.case.model_copy(update={"page_cache": "cold-start"}).case_id


def _seconds(summary: CaseSummary) -> float | None:
    rate = summary.steady_images_per_s or summary.first_images_per_s
    return 1 / rate.value if rate and summary.used else None

"""What uint8 delivered instead of float32 is worth: in training alone, where scaling is part of every step."""

from __future__ import annotations

from collections.abc import Iterable

from harness.analysis.advice import compare_rows
from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.report.words import say_ratio
from harness.values.comparability import setting_key
from harness.values.names import name_pipeline


def say_deliveries(setting: Setting, group: HardwareGroup) -> Iterable[str]:
    """Say of a setting of uint8 how it stands against the same of float32, or why that is not said."""
    case = setting.case
    if case.deliver != "uint8":
        return
    if case.mode == "load":
        yield (
            "Its batches stay uint8, and scaling them is left to the model: its rates are not comparable with those "
            "of float32, which are scaled; train with both to compare."
        )
        return
    key = setting_key(case.model_copy(update={"deliver": "float32"}))
    other = next((one for one in group.settings if setting_key(one.case) == key and one.files == setting.files), None)
    if other is None:
        return
    for limit in setting.limits:
        best, best_other = _find_best(setting, limit), _find_best(other, limit)
        if best is None or best_other is None:
            continue
        ratio = compare_rows(best, best_other, setting).ratio
        if ratio is not None and ratio.low is not None:
            yield (
                f"Across settings, in training, the layer that scales included: {name_pipeline(best.case)} with uint8 "
                f"delivers {say_ratio(ratio)} the images of {name_pipeline(best_other.case)} with float32."
            )
            return


def _find_best(setting: Setting, limit: int | str) -> Row | None:
    """The fastest of a limit, of those whose epochs are long enough to say so."""
    rows = [row for row in setting.pipelines_at(limit) if row.summary.short_epochs(setting.metric) is None]
    rated = [(row.summary.rate(setting.metric), row) for row in rows if row.summary.used]
    living = [(found.value, row) for found, row in rated if found is not None and found.value > 0]
    return max(living, key=lambda pair: pair[0])[1] if living else None

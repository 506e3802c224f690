"""What uint8 batches gain over float32 batches: compared only in training, where each step includes the scaling."""

from __future__ import annotations

from collections.abc import Iterable

from harness.analysis.advice import compare_rows
from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.report.words import say_ratio
from harness.values.comparability import setting_key
from harness.values.names import name_pipeline


def say_deliveries(setting: Setting, group: HardwareGroup) -> Iterable[str]:
    """Yield how a setting with uint8 batches compares with the same setting with float32, or why it cannot."""
    case = setting.case
    if case.deliver != "uint8":
        return
    if case.mode == "load":
        yield (
            "The loader delivers uint8 batches, which the model has to scale: the rates cannot be compared with those "
            "of float32 batches, which are scaled. Measure training with both to compare them."
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
                f"In training, scaling included: {name_pipeline(best.case)} with uint8 batches delivers "
                f"{say_ratio(ratio)} the images/s of {name_pipeline(best_other.case)} with float32 batches."
            )
            return


def _find_best(setting: Setting, limit: int | str) -> Row | None:
    """Return the fastest row of a limit among those whose epochs are long enough for a verdict."""
    rows = [row for row in setting.pipelines_at(limit) if row.summary.short_epochs(setting.metric) is None]
    rated = [(row.summary.rate(setting.metric), row) for row in rows if row.summary.used]
    living = [(found.value, row) for found, row in rated if found is not None and found.value > 0]
    return max(living, key=lambda pair: pair[0])[1] if living else None

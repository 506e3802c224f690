"""Extra runs of a session: the repeat check, which measures noise, and runs with files in memory. Pure.

Runs with files in memory separate the time for preparing images from the time for reading them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.analysis.stalls import wants_warm_twin, warm_twin
from harness.bench.protocol.loader_registry import is_automatic
from harness.experiment import Experiment
from harness.values.case import Case
from harness.values.prediction import Prediction

_UNCACHED_PEAK = 400 * 10**6


def choose_twin(
    cases: Sequence[Case],
    experiment: Experiment,
    *,
    refused: frozenset[str],
    predictions: Mapping[str, Prediction],
) -> Case | None:
    """Return the case that each round runs twice: the baseline, else the first case that is expected to succeed."""
    fatal = {
        case_id for case_id, prediction in predictions.items() if prediction.fit in ("may not fit", "does not fit")
    }
    alive = [case for case in cases if case.case_id not in fatal]
    able = [case for case in alive if not is_automatic(case.loader) and case.case_id not in refused]
    return next((case for case in able if experiment.baseline.matches(case)), able[0] if able else None)


def choose_warm(
    cases: Sequence[Case],
    *,
    refused: frozenset[str],
    predictions: Mapping[str, Prediction],
    data_bytes: Mapping[str, int],
    limits: Mapping[str, int],
) -> list[Case]:
    """Return the training cases to run again with files in memory: those that read files each epoch and have room."""
    found: dict[Case, None] = {}
    for case in cases:
        needed = data_bytes.get(case.case_id)
        if case.case_id in refused or needed is None:
            continue
        predicted = predictions.get(case.case_id)
        known = predicted.peak_memory_bytes if predicted is not None else None
        peak = _UNCACHED_PEAK if known is None else known.high
        if wants_warm_twin(case, data_bytes=needed, peak_bytes=peak, limit_bytes=limits[case.case_id]):
            found[warm_twin(case)] = None
    return [case for case in found if case not in cases]

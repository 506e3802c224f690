"""What a session runs beside its cases: a twin for the noise floor, warm runs that tell CPU from storage. Pure."""

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
    """Return the case that each round runs twice: the baseline, or the first that can run and is expected to live."""
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
    """Return warm twins of training cases that read their files in each epoch and have room to keep them in memory."""
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

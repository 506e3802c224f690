"""What a training case lost to its input: utilisation of the accelerator, preparation stall, fetch stall. Pure.

The differential follows J. Mohan, A. Phanishayee, A. Raniwala and V. Chidambaram, "Analyzing and mitigating data
stalls in DNN training" (VLDB 14(5), 2021): the model alone (ceiling), files from memory (warm), from storage (cold).
The thresholds are those of TensorFlow's profiler (``op_stats_to_input_pipeline_analysis``: 5 and 20 % waiting).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.analysis.noise import rate_of
from harness.values.case import Case
from harness.values.record import Record

MODERATE_SHARE = 0.05
HIGH_SHARE = 0.20

Bound = Literal["model-bound", "moderately input-bound", "input-bound"]


@dataclass(frozen=True)
class Stalls:
    """Of one case. ``utilisation``: time that the model needs ÷ time that it took, at most 1; None without a ceiling.

    ``preparation`` and ``fetch`` are shares of the cold time, None without a warm run: (warm − ceiling) and
    (cold − warm) ÷ cold, by seconds an image. ``storage_bytes_s`` is what came from storage a second.
    """

    utilisation: float | None
    bound: Bound | None
    preparation: float | None = None
    fetch: float | None = None
    storage_bytes_s: float | None = None


def judge_utilisation(utilisation: float | None) -> Bound | None:
    """In words: a share of waiting below 5 % is model-bound, below 20 % moderately input-bound, else input-bound."""
    if utilisation is None:
        return None
    waiting = 1 - utilisation
    if waiting < MODERATE_SHARE:
        return "model-bound"
    return "moderately input-bound" if waiting < HIGH_SHARE else "input-bound"


def find_stalls(
    cold_images_s: float,
    *,
    ceiling_images_s: float | None,
    warm_images_s: float | None = None,
    storage_bytes_s: float | None = None,
) -> Stalls:
    """The stalls of a case from its rate and those of its ceiling and of its warm run."""
    utilisation = None if not ceiling_images_s else min(1.0, cold_images_s / ceiling_images_s)
    preparation = fetch = None
    if warm_images_s and ceiling_images_s:
        cold, warm, alone = 1 / cold_images_s, 1 / warm_images_s, 1 / ceiling_images_s
        preparation, fetch = max(0.0, warm - alone) / cold, max(0.0, cold - warm) / cold
    return Stalls(utilisation, judge_utilisation(utilisation), preparation, fetch, storage_bytes_s)


def storage_rate(record: Record) -> float | None:
    """Bytes a second that came from storage in the steady epochs, or in the only one."""
    steady = [epoch for epoch in record.epochs if epoch.index > 1] or list(record.epochs)
    if not steady or any(epoch.bytes_read is None for epoch in steady):
        return None
    seconds = sum(epoch.seconds for epoch in steady)
    return sum(epoch.bytes_read or 0 for epoch in steady) / seconds if seconds > 0 else None


def cold_rate(record: Record) -> float | None:
    """Images a second of the epoch that read storage: the first; a case without a cache reads it in each."""
    first = next((epoch for epoch in record.epochs if epoch.index == 1), None)
    return first.images / first.seconds if record.status == "ok" and first is not None and first.seconds > 0 else None


def stalls_by_case(records: Iterable[Record], ceilings: Mapping[str, str | None]) -> dict[str, Stalls]:
    """The stalls of each training case of one hardware by its case_id; ``ceilings`` names each case's ceiling.

    Rates are medians over valid and degraded invocations; a warm run is the same case but for ``page_cache``.
    """
    known = [record for record in records if record.status == "ok" and record.validity != "invalid"]
    rates = {
        case_id: _median(rate_of(r) for r in known if r.case_id == case_id) for case_id in {r.case_id for r in known}
    }
    found = {}
    for case_id, ceiling in ceilings.items():
        own = [record for record in known if record.case_id == case_id]
        rate = rates.get(case_id)
        if not own or rate is None or own[0].case.page_cache == "warm":
            continue
        warm = rates.get(warm_twin(own[0].case).case_id)
        cold = _median(cold_rate(record) for record in own) if warm else None
        found[case_id] = find_stalls(
            cold or rate,
            ceiling_images_s=rates.get(ceiling) if ceiling else None,
            warm_images_s=warm,
            storage_bytes_s=_median(storage_rate(record) for record in own),
        )
    return found


def warm_twin(case: Case) -> Case:
    """The same case with its files in memory from the start."""
    return case.model_copy(update={"page_cache": "warm"})


def wants_warm_twin(case: Case, *, data_bytes: int, peak_bytes: int, limit_bytes: int) -> bool:
    """Whether an extra warm run of a case can be made: it trains, reads files each epoch, and they fit beside it."""
    return (
        case.mode == "train"
        and case.cache == "none"
        and case.loader != "ceiling"
        and case.page_cache != "warm"
        and limit_bytes - peak_bytes >= data_bytes
    )


def _median(values: Iterable[float | None]) -> float | None:
    from statistics import median

    known = [value for value in values if value is not None]
    return median(known) if known else None

"""Time that training waits for its input: utilisation of the accelerator, preparation stall, fetch stall. Pure.

The differential method is that of J. Mohan, A. Phanishayee, A. Raniwala and V. Chidambaram, "Analyzing and mitigating
data stalls in DNN training" (VLDB 14(5), 2021): the model alone (model limit), files from memory (warm), from storage
(cold). The thresholds are those of TensorFlow's profiler (``op_stats_to_input_pipeline_analysis``: 5 and 20 % waiting).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.bench.protocol.loader_registry import is_automatic
from harness.values.case import Case

MODERATE_SHARE = 0.05
HIGH_SHARE = 0.20

Bound = Literal["model-bound", "moderately input-bound", "input-bound"]


@dataclass(frozen=True, slots=True)
class Stalls:
    """The stalls of a case. ``utilisation``: time of the model alone ÷ time of training; None without a model limit.

    ``preparation`` and ``fetch`` are shares of the same time, None without a warm run; the three add up to 1.
    """

    utilisation: float | None
    bound: Bound | None
    preparation: float | None = None
    fetch: float | None = None


def judge_utilisation(utilisation: float | None) -> Bound | None:
    """Return what bounds a case: ``model-bound`` below 5 % waiting, ``moderately input-bound`` below 20 %."""
    if utilisation is None:
        return None
    waiting = 1 - utilisation
    if waiting < MODERATE_SHARE:
        return "model-bound"
    return "moderately input-bound" if waiting < HIGH_SHARE else "input-bound"


def find_stalls(cold_images_s: float, *, ceiling_images_s: float | None, warm_images_s: float | None = None) -> Stalls:
    """Return the stalls of a case from its rate, the model limit and the rate of its warm run.

    Preparation is (warm − model limit) ÷ cold and fetch (cold − warm) ÷ cold, by seconds per image. Where noise
    reverses their order, both are limited to 0 and to the time that the model waited.
    """
    if not ceiling_images_s:
        return Stalls(None, None)
    utilisation = min(1.0, cold_images_s / ceiling_images_s)
    bound = judge_utilisation(utilisation)
    if not warm_images_s:
        return Stalls(utilisation, bound)
    waiting = 1 - utilisation
    preparation = min(max(0.0, cold_images_s / warm_images_s - cold_images_s / ceiling_images_s), waiting)
    return Stalls(utilisation, bound, preparation, waiting - preparation)


def warm_twin(case: Case) -> Case:
    """Return the same case with its files in memory from the start."""
    return case.model_copy(update={"page_cache": "warm"})


def wants_warm_twin(case: Case, *, data_bytes: int, peak_bytes: int, limit_bytes: int) -> bool:
    """Return whether an extra warm run is possible: the case trains, reads files each epoch, and they fit in memory."""
    return (
        case.mode == "train"
        and case.cache == "none"
        and not is_automatic(case.loader)
        and case.page_cache != "warm"
        and limit_bytes - peak_bytes >= data_bytes
    )

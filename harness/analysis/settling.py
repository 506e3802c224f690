"""When a session with ``rounds: auto`` may end: every interval that matters is as narrow as was declared before. Pure.

Going on until a difference is significant finds differences that are not there (P. Armitage, C. K. McPherson and
B. C. Rowe, "Repeated significance tests on accumulating data", JRSS A 132, 1969); going on until an interval is narrow
looks at its width only, never at where it lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.noise import rate_of
from harness.analysis.statistics import Estimate, estimate_geometric_mean, estimate_ratio
from harness.values.record import Record


@dataclass(frozen=True)
class Width:
    """How wide the interval of one case is: ``high / low - 1``; None while it has none (fewer than two rounds)."""

    case_id: str
    width: float | None


def interval_widths(records: Sequence[Record], baselines: Mapping[str, str | None]) -> list[Width]:
    """The widths of one host's intervals, widest first.

    ``baselines`` names each case that matters and the one it is compared with: by the ratio of paired rounds; a case
    that is its own baseline, or has none, by its rate. A case of which no invocation ended well has none to wait for.
    """
    rates: dict[str, dict[int, float]] = {}
    for record in records:
        rate = rate_of(record)
        if rate is not None and record.alias is None and record.validity != "invalid":
            rates.setdefault(record.case_id, {})[record.round] = rate
    found = []
    for case_id, baseline in baselines.items():
        own = rates.get(case_id)
        if own:
            beside = rates.get(baseline, {}) if baseline not in (None, case_id) else {}
            pairs = [(rate, beside[number]) for number, rate in own.items() if number in beside]
            estimate = estimate_ratio(pairs) if beside else estimate_geometric_mean(list(own.values()))
            found.append(Width(case_id, _width(estimate)))
    return sorted(found, key=lambda each: float("inf") if each.width is None else each.width, reverse=True)


def is_settled(records: Sequence[Record], baselines: Mapping[str, str | None], interval: float) -> bool:
    """Whether no interval is wider than ``interval`` any more."""
    return all(each.width is not None and each.width <= interval for each in interval_widths(records, baselines))


def _width(estimate: Estimate | None) -> float | None:
    if estimate is None or estimate.low is None or estimate.high is None:
        return None
    return estimate.high / estimate.low - 1

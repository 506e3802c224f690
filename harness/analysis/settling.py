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
from harness.analysis.summary import choose_used
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
    Only what a report averages counts: valid invocations, degraded ones where a case has no valid one.
    """
    rates = {case_id: _rates(records, case_id) for case_id in {*baselines, *filter(None, baselines.values())}}
    found = []
    for case_id, baseline in baselines.items():
        own = rates[case_id]
        if own:
            beside = rates[baseline] if baseline is not None and baseline != case_id else {}
            pairs = [(rate, beside[number]) for number, rate in own.items() if number in beside]
            estimate = estimate_ratio(pairs) if beside else estimate_geometric_mean(list(own.values()))
            found.append(Width(case_id, _width(estimate)))
    return sorted(found, key=_breadth, reverse=True)


def find_open(widths: Sequence[Width], interval: float) -> Width | None:
    """The widest of the intervals that are wider than ``interval``; None where none is."""
    widest = max(widths, key=_breadth, default=None)
    return widest if widest is not None and _breadth(widest) > interval else None


def _breadth(each: Width) -> float:
    return float("inf") if each.width is None else each.width


def _rates(records: Sequence[Record], case_id: str) -> dict[int, float]:
    """Images per second by round."""
    used, _ = choose_used([record for record in records if record.case_id == case_id and record.alias is None])
    return {record.round: rate for record in used if (rate := rate_of(record)) is not None}


def _width(estimate: Estimate | None) -> float | None:
    if estimate is None or estimate.low is None or estimate.high is None:
        return None
    return estimate.high / estimate.low - 1

"""When a session with ``rounds: auto`` may end: every interval that matters is as narrow as was declared before. Pure.

Going on until a difference is significant finds differences that are not there (P. Armitage, C. K. McPherson and
B. C. Rowe, "Repeated significance tests on accumulating data", JRSS A 132, 1969); going on until an interval is narrow
looks at its width only, never at where it lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.comparison import Measurement, compare
from harness.analysis.noise import rate_of
from harness.analysis.selection import disturbances, is_countable, select_records
from harness.analysis.statistics import Estimate, estimate_geometric_mean
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
    What counts is what a report counts (``selection``).
    """
    found = []
    for case_id, baseline in baselines.items():
        own = _records_of(records, case_id)
        beside = _records_of(records, baseline) if baseline is not None and baseline != case_id else []
        if own:
            ratio = compare(_measure(own), _measure(beside)).ratio
            found.append(Width(case_id, _width(ratio if beside else _average(own))))
    return sorted(found, key=_breadth, reverse=True)


def find_open(widths: Sequence[Width], interval: float) -> Width | None:
    """The widest of the intervals that are wider than ``interval``; None where none is."""
    widest = max(widths, key=_breadth, default=None)
    return widest if widest is not None and _breadth(widest) > interval else None


def _breadth(each: Width) -> float:
    return float("inf") if each.width is None else each.width


def _records_of(records: Sequence[Record], case_id: str) -> list[Record]:
    return [r for r in records if r.case_id == case_id and r.alias is None and is_countable(r) and rate_of(r)]


def _measure(records: Sequence[Record]) -> list[Measurement]:
    return [Measurement(r.session, r.host, r.round, rate_of(r) or 0.0, disturbances(r)) for r in records]


def _average(records: Sequence[Record]) -> Estimate | None:
    return estimate_geometric_mean([rate for r in select_records(records).used if (rate := rate_of(r))])


def _width(estimate: Estimate | None) -> float | None:
    if estimate is None or estimate.low is None or estimate.high is None:
        return None
    return estimate.high / estimate.low - 1

"""Two sessions of the same hosts, before and after: what became faster or slower, and what changed between them.

Rounds of two sessions are no pairs: nothing ties round 1 of one to round 1 of the other. So the ratio is that of two
independent samples, by the logs of their images/s with Welch's interval (Welch, "The generalization of 'Student's'
problem when several different population variances are involved", Biometrika 34, 1947). Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.analysis.statistics import Estimate, Verdict, judge_ratio, student_quantile
from harness.analysis.summary import reduce_record
from harness.values.case import Case
from harness.values.record import Record

Key = tuple[str, str]
"""Host and case_id."""

_SURROUNDINGS = ("hardware", "engine", "image_digest", "payload_digest", "data_fingerprint")
_NOT_SOFTWARE = frozenset(
    {"budgets", "devices", "anon_bytes_before", "cpu_affinity", "decoder", "order", "interpolation", "emulated"}
)


@dataclass(frozen=True)
class Change:
    """One case on one host: images/s before and after (geometric means), their ratio, and the words for it.

    ``old_status`` and ``new_status`` are the commonest; a ratio is None where one side has no figure.
    """

    host: str
    case: Case
    old: float | None
    new: float | None
    ratio: Estimate | None
    verdict: Verdict
    old_status: str
    new_status: str


@dataclass(frozen=True)
class SessionsCompared:
    """``changes`` of the cases in both; ``only_old`` and ``only_new`` are (host, case); ``surroundings`` lists
    (host, what, before, after) for whatever differs between the two: software, image, hardware, data."""

    changes: tuple[Change, ...]
    only_old: tuple[tuple[str, Case], ...]
    only_new: tuple[tuple[str, Case], ...]
    surroundings: tuple[tuple[str, str, str, str], ...]


def compare_sessions(old: Sequence[Record], new: Sequence[Record]) -> SessionsCompared:
    """Compare by host and case; the A/A twins are left out, and records that are invalid."""
    before, after = _group(old), _group(new)
    changes = [_change(before[key], after[key]) for key in after if key in before]
    return SessionsCompared(
        changes=tuple(sorted(changes, key=lambda change: (change.host, -_distance(change)))),
        only_old=tuple((key[0], before[key][0].case) for key in before if key not in after),
        only_new=tuple((key[0], after[key][0].case) for key in after if key not in before),
        surroundings=tuple(_differences(old, new)),
    )


def _group(records: Sequence[Record]) -> dict[Key, list[Record]]:
    found: dict[Key, list[Record]] = {}
    for record in records:
        if record.alias is None and record.status != "skipped":
            found.setdefault((record.host, record.case_id), []).append(record)
    return found


def _change(old: Sequence[Record], new: Sequence[Record]) -> Change:
    before, after = _rates(old), _rates(new)
    ratio = estimate_independent_ratio(after, before)
    return Change(
        host=new[0].host,
        case=new[0].case,
        old=_geometric_mean(before),
        new=_geometric_mean(after),
        ratio=ratio,
        verdict=judge_ratio(ratio),
        old_status=_commonest(old),
        new_status=_commonest(new),
    )


def _rates(records: Sequence[Record]) -> list[float]:
    """Images/s of the steady epochs, else of the first."""
    reduced = [reduce_record(record) for record in records if record.status == "ok" and record.validity != "invalid"]
    found = [each.steady_images_per_s or each.first_images_per_s for each in reduced]
    return [value for value in found if value is not None and value > 0]


def estimate_independent_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Estimate | None:
    """Ratio of geometric means of two independent samples, with Welch's 95 % interval where each has two or more."""
    if not numerators or not denominators:
        return None
    samples = [[math.log(value) for value in values] for values in (numerators, denominators)]
    means = [math.fsum(logs) / len(logs) for logs in samples]
    value, size = math.exp(means[0] - means[1]), min(len(logs) for logs in samples)
    if size < 2:
        return Estimate(value, size)
    parts = [
        math.fsum((log - mean) ** 2 for log in logs) / (len(logs) - 1) / len(logs)
        for logs, mean in zip(samples, means, strict=True)
    ]
    spread = math.sqrt(math.fsum(parts))
    if spread == 0:
        return Estimate(value, size, value, value, 0.0)
    freedom = math.fsum(parts) ** 2 / math.fsum(
        part**2 / (len(logs) - 1) for part, logs in zip(parts, samples, strict=True)
    )
    reach = student_quantile(max(1, math.floor(freedom))) * spread
    low, high = math.exp(means[0] - means[1] - reach), math.exp(means[0] - means[1] + reach)
    return Estimate(value, size, low, high, spread * math.sqrt(size))


def _geometric_mean(values: Sequence[float]) -> float | None:
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if values else None


def _commonest(records: Sequence[Record]) -> str:
    statuses = [record.status for record in records]
    return max(dict.fromkeys(statuses), key=statuses.count)


def _distance(change: Change) -> float:
    return abs(math.log(change.ratio.value)) if change.ratio else math.inf


def _differences(old: Sequence[Record], new: Sequence[Record]) -> list[tuple[str, str, str, str]]:
    found: list[tuple[str, str, str, str]] = []
    for host in dict.fromkeys(record.host for record in new):
        before, after = (_surroundings(records, host) for records in (old, new))
        found += [
            (host, name, _words(before[name]), _words(after[name]))
            for name in sorted(before.keys() & after.keys())
            if before[name] != after[name]
        ]
    return found


def _surroundings(records: Sequence[Record], host: str) -> dict[str, set[str]]:
    """What a host's records say of their surroundings, each with all its values."""
    found: dict[str, set[str]] = {}
    for record in records:
        if record.host != host:
            continue
        for name in _SURROUNDINGS:
            key = f"{name} of {record.case.data}" if name == "data_fingerprint" else name
            found.setdefault(key, set()).add(str(getattr(record, name)))
        for name, value in _flat(record.environment).items():
            found.setdefault(name, set()).add(value)
    return found


def _flat(environment: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: str(value)
        for name, value in environment.items()
        if name not in _NOT_SOFTWARE and isinstance(value, str | int | float)
    }


def _words(values: set[str]) -> str:
    return ", ".join(sorted(value[:19] if value.startswith("sha256:") else value[:60] for value in values))

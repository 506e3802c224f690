"""Comparison of a case with a baseline: paired by session, host and round."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from harness.analysis.selection import UNDISTURBED, Disturbance, disturbances, select
from harness.analysis.statistics import EVIDENCE, THRESHOLD, Estimate, Verdict, estimate_ratio, judge_ratio
from harness.values.record import MACHINE, Record


@dataclass(frozen=True, slots=True)
class Measurement:
    """A run, reduced to one number of which more is better (images/s).

    ``disturbed_by`` are the ids of the findings that disturbed it, empty for an undisturbed run. ``attempt`` is above 1
    for a repeated run. ``computer`` is the name of its machine, where ``host`` is another name of it.
    """

    session: str
    host: str
    round: int
    value: float
    disturbed_by: tuple[str, ...] = ()
    attempt: int = 1
    computer: str = ""

    @property
    def machine(self) -> tuple[str, str]:
        """Identify the machine: hosts of two sessions may have the same name by accident."""
        return (self.session, self.computer or self.host)

    @property
    def place(self) -> tuple[str, str, int]:
        """Return what paired measurements share: session, host and round."""
        return (self.session, self.host, self.round)


def measure(record: Record, value: float) -> Measurement:
    """Return a record and its value as a measurement."""
    computer = str(record.environment.get(MACHINE) or "")
    return Measurement(record.session, record.host, record.round, value, disturbances(record), record.attempt, computer)


@dataclass(frozen=True, slots=True)
class HostRatio:
    """The ratio on one host alone."""

    host: str
    ratio: Estimate


@dataclass(frozen=True, slots=True)
class Comparison:
    """A case compared with its baseline on hosts of one hardware.

    ``ratio`` is None where no round has both. ``unpaired`` counts measurements of the case whose round has no baseline.
    ``agreeing`` counts hosts whose ratio is on the same side of 1 as that of all (or within the threshold, where the
    verdict is ``same``). ``disturbance`` is that of the pairs that count; ``left_out`` counts disturbed pairs that do
    not count, because there are enough undisturbed ones. ``images_needed`` is the number of images that an epoch needs,
    where epochs are too short for a verdict.
    """

    ratio: Estimate | None
    verdict: Verdict
    unpaired: int = 0
    hosts: tuple[HostRatio, ...] = ()
    agreeing: int = 0
    disturbance: Disturbance = UNDISTURBED
    left_out: int = 0
    images_needed: int | None = None


def pair_rounds(case: Iterable[Measurement], baseline: Iterable[Measurement]) -> list[tuple[Measurement, Measurement]]:
    """Return one pair for each round that has both: the undisturbed pair, else the first.

    Where one of the two was repeated, the other was repeated with it. Of several undisturbed pairs, one whose runs were
    measured together is preferred, and then the earlier one.
    """
    own, other = _gather_rounds(case), _gather_rounds(baseline)
    return [_choose_pair(found, other[key]) for key, found in own.items() if key in other]


_Round = tuple[str, str, int]


def _gather_rounds(measurements: Iterable[Measurement]) -> dict[_Round, list[Measurement]]:
    found: dict[_Round, list[Measurement]] = {}
    for each in measurements:
        found.setdefault(each.place, []).append(each)
    return found


def _choose_pair(case: list[Measurement], baseline: list[Measurement]) -> tuple[Measurement, Measurement]:
    if len(case) == len(baseline) == 1:
        return case[0], baseline[0]
    own, other = (enumerate(sorted(each, key=lambda m: m.attempt)) for each in (case, baseline))

    def rank(pair: tuple[tuple[int, Measurement], tuple[int, Measurement]]) -> tuple[bool, bool, int]:
        (first, one), (second, two) = pair
        return bool(one.disturbed_by or two.disturbed_by), first != second, first + second

    (_, one), (_, two) = min(product(own, other), key=rank)
    return one, two


def compare(case: Sequence[Measurement], baseline: Sequence[Measurement], evidence: float = EVIDENCE) -> Comparison:
    """Compare a case with its baseline by the ratios of all rounds that have both.

    A pair is disturbed where one of its runs is. All pairs that count (``selection``) have the same weight: the result
    is about these hosts; a host that differs widens the interval and is missing in ``agreeing``. ``evidence`` is the
    threshold that rules a ratio out (``statistics``).
    """
    pairs = pair_rounds(case, baseline)
    chosen = select(
        pairs,
        machine=lambda pair: pair[0].machine,
        disturbed_by=lambda pair: (*pair[0].disturbed_by, *pair[1].disturbed_by),
    )
    by_machine: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for own, other in chosen.used:
        by_machine.setdefault(own.machine, []).append((own.value, other.value))
    ratio = estimate_ratio([pair for pairs in by_machine.values() for pair in pairs], evidence)
    verdict = judge_ratio(ratio, evidence)
    hosts = tuple(_host_ratio(name, pairs, evidence) for (_, name), pairs in sorted(by_machine.items()))
    return Comparison(
        ratio=ratio,
        verdict=verdict,
        unpaired=len({(m.machine, m.round) for m in case}) - len(pairs),
        hosts=hosts,
        agreeing=_count_agreeing(hosts, ratio, verdict),
        disturbance=chosen.disturbance,
        left_out=len(chosen.left_out),
    )


def _host_ratio(name: str, pairs: Sequence[tuple[float, float]], evidence: float) -> HostRatio:
    ratio = estimate_ratio(pairs, evidence)
    assert ratio is not None  # a machine is listed only with a pair
    return HostRatio(name, ratio)


def _count_agreeing(hosts: Sequence[HostRatio], ratio: Estimate | None, verdict: Verdict) -> int:
    if ratio is None:
        return 0
    if verdict.kind == "same":
        return sum(1 / THRESHOLD <= host.ratio.value <= THRESHOLD for host in hosts)
    return sum((host.ratio.value > 1) == (ratio.value > 1) for host in hosts)

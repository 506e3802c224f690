"""How noisy a session is: its repeat checks, drift, spread, and short or idle epochs. Pure.

A session runs one case twice in each round, the second time under the alias ``b``: the two runs differ as much as two
equal loaders may differ here (an A/A test: R. Kohavi and others, "Controlled experiments on the web", Data Mining and
Knowledge Discovery 18, 2009, section 3.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from harness.analysis.comparison import Measurement, measure, pair_rounds
from harness.analysis.findings import find
from harness.analysis.pauses import paused_seconds
from harness.analysis.selection import is_countable, select
from harness.analysis.short_epochs import LEAST_EPOCH_S, MORE_IMAGES, find_short, say_cure
from harness.analysis.statistics import EVIDENCE, THRESHOLD, Estimate, critical_t, estimate_ratio
from harness.values.case import Case
from harness.values.record import TRIAL, TWIN, Epoch, Finding, Record, number

IDLE_SHARE = 0.75
"""An epoch had idle cores if it kept fewer CPUs busy than this share of the median of its peers …"""
SLOW_SHARE = 0.85
"""… and was slower than this share of their median rate."""
FIRST_SHARE = 0.90
SPREAD = 0.10
DRIFT = 0.05
LEAST_PEERS = 2
QUIET_NOISE = 0.10
"""Up to this noise of a run each comparison is judged alone (docs/methodology.md)."""


@dataclass(frozen=True)
class NoiseFloor:
    """The differences within the repeat checks of a host.

    ``typical`` and ``largest`` are factors above 1: exp of the root mean square, and of the largest, of log ratios.
    ``ratio`` is second run ÷ first run with its 95 % interval; ``disturbed`` counts the disturbed pairs.
    """

    host: str
    case_id: str
    pairs: int
    typical: float
    largest: float
    ratio: Estimate
    disturbed: int = 0

    @property
    def noise(self) -> float:
        """Return the noise of one run: the standard deviation of its logarithm; a pair has that of two runs."""
        return math.log(self.typical) / math.sqrt(2)

    @property
    def is_noisy(self) -> bool:
        """Return whether the noise is above ``QUIET_NOISE`` by its 90 % lower bound, for normal noise.

        The quantile of χ² is that of E. B. Wilson and M. M. Hilferty ("The distribution of chi-square", PNAS 17, 1931).
        """
        part = 2 / (9 * self.pairs)
        return self.noise / math.sqrt((1 - part + 1.2816 * math.sqrt(part)) ** 3) > QUIET_NOISE


@dataclass(frozen=True)
class Drift:
    """How the rates of one host changed from its first round to its last, as a factor; a line through rounds on logs.

    ``is_sure``: the 95 % interval of the slope excludes 0.
    """

    host: str
    rounds: int
    factor: float
    is_sure: bool


def rate_of(record: Record) -> float | None:
    """Return the images/s of the later epochs, or of the only one; None for a run without a rate."""
    steady = [epoch for epoch in record.epochs if epoch.index > 1] or list(record.epochs)
    seconds, images = math.fsum(epoch.seconds for epoch in steady), sum(epoch.images for epoch in steady)
    return images / seconds if record.status == "ok" and seconds > 0 and images else None


def find_noise(record: Record, peers: Sequence[Record]) -> Iterator[Finding]:
    """Yield findings about the epochs of a run, compared with those of its peers (records of the same session)."""
    if record.status != "ok":
        return
    yield from _find_short(record)
    if paused_seconds(record):
        return
    same = [
        other
        for other in peers
        if other.case_id == record.case_id
        and other.host == record.host
        and other.status == "ok"
        and other.invocation != record.invocation
        and not paused_seconds(other)
    ]
    yield from _find_idle(record, same)
    yield from _find_first(record, same, peers)


def parallelism(epoch: Epoch) -> float | None:
    """Return how many CPUs an epoch kept busy: CPU seconds per second; None where CPU time was not counted."""
    return epoch.cpu_s / epoch.seconds if epoch.cpu_s is not None and epoch.seconds > 0 else None


def _find_short(record: Record) -> Iterator[Finding]:
    shortest = min(record.epochs, key=lambda epoch: epoch.seconds, default=None)
    short = None if shortest is None else find_short(shortest.seconds, shortest.images)
    if shortest is None or short is None:
        return
    message = f"epoch {shortest.index} took {shortest.seconds:.3f} s: epochs below {LEAST_EPOCH_S} s get no verdict"
    yield find("too-short", message, f"{say_cure(short.images_needed)}: {MORE_IMAGES}")


def _find_idle(record: Record, same: Sequence[Record]) -> Iterator[Finding]:
    """Yield a finding for epochs with idle cores; cores that other programs used are ``host-busy``."""
    foreign, cpus = number(record.io, "host", "foreign_cpus", "mean") or 0.0, number(record.io, "host", "cpus")
    for epoch in record.epochs:
        own = parallelism(epoch)
        if own is not None and cpus and own + foreign >= IDLE_SHARE * cpus:
            continue
        others = [
            other
            for each in (*same, record)
            for other in each.epochs
            if (other.index > 1) == (epoch.index > 1) and other is not epoch and parallelism(other) is not None
        ]
        if own is None or len(others) < LEAST_PEERS or epoch.seconds <= 0:
            continue
        usual = median(parallelism(other) or 0.0 for other in others)
        usual_rate = median(other.images / other.seconds for other in others if other.seconds > 0)
        rate = epoch.images / epoch.seconds
        if own < IDLE_SHARE * usual and rate < SLOW_SHARE * usual_rate:
            message = (
                f"epoch {epoch.index} kept {own:.2f} CPUs busy at {rate:.0f} images/s, similar epochs {usual:.2f} at "
                f"{usual_rate:.0f}: cores were idle"
            )
            yield find("cores-idle", message, "run more rounds; if it is frequent, set tf.data's threads for all cases")


def _find_first(record: Record, same: Sequence[Record], peers: Sequence[Record]) -> Iterator[Finding]:
    """Yield a finding if the first run of a session on a host is slower than all others of its case."""
    here = [each.started_at for each in (*peers, record) if each.host == record.host and each.started_at is not None]
    rates = [rate for other in same if (rate := rate_of(other)) is not None]
    own = rate_of(record)
    if own is None or len(rates) < LEAST_PEERS or record.started_at is None or record.started_at > min(here):
        return
    if own < FIRST_SHARE * min(rates):
        message = f"the first run on this host: {own:.0f} images/s, later runs at least {min(rates):.0f}"
        yield find("first-slower", message, "the host was not warm yet: more rounds reduce its effect")


def noise_floors(records: Iterable[Record]) -> list[NoiseFloor]:
    """Return the noise floor of each host with repeat checks, from the pairs that count (``selection``).

    ``records`` may hold several attempts of a run.
    """
    found: dict[tuple[str, str], tuple[list[Measurement], list[Measurement]]] = {}
    for record in records:
        rate = rate_of(record)
        if rate is not None and is_countable(record) and record.alias in (None, TRIAL, TWIN):
            repeats, firsts = found.setdefault((record.host, record.case_id), ([], []))
            (repeats if record.alias == TWIN else firsts).append(measure(record, rate))
    floors = (measure_floor(host, case_id, *halves) for (host, case_id), halves in sorted(found.items()))
    return [floor for floor in floors if floor is not None]


def measure_floor(
    host: str, case_id: str, repeats: Sequence[Measurement], firsts: Sequence[Measurement]
) -> NoiseFloor | None:
    """Return the noise floor of the repeat checks of one host, from the pairs that count; None without a pair."""
    chosen = select(
        pair_rounds(repeats, firsts),
        machine=lambda pair: pair[0].machine,
        disturbed_by=lambda pair: (*pair[0].disturbed_by, *pair[1].disturbed_by),
    )
    pairs = [(repeat.value, first.value) for repeat, first in chosen.used]
    ratio = estimate_ratio(pairs)
    if ratio is None:
        return None
    logs = [abs(math.log(repeat / first)) for repeat, first in pairs]
    typical = math.exp(math.sqrt(math.fsum(log * log for log in logs) / len(logs)))
    return NoiseFloor(host, case_id, len(pairs), typical, math.exp(max(logs)), ratio, chosen.disturbance.count)


def evidence_for(floors: Iterable[NoiseFloor], comparisons: int) -> float:
    """Return the evidence that rules a ratio out, for so many comparisons on hosts with these noise floors.

    It is ``EVIDENCE``, unless the repeat check of a host shows noise above 10 %: then it is multiplied by the number of
    comparisons, so that any false verdict is as rare as with a single comparison.
    """
    is_noisy = any(floor.is_noisy for floor in floors)
    return EVIDENCE * max(1, comparisons) if is_noisy else EVIDENCE


def drifts(records: Iterable[Record]) -> list[Drift]:
    """Return the drift of each host with at least three rounds, by the log rates of all cases minus their means."""
    by_host: dict[str, dict[tuple[str, str | None], dict[int, float]]] = {}
    for record in records:
        rate = rate_of(record)
        if rate is not None and record.validity != "invalid":
            cases = by_host.setdefault(record.host, {})
            cases.setdefault((record.case_id, record.alias), {})[record.round] = math.log(rate)
    return [found for host, cases in sorted(by_host.items()) if (found := _fit_drift(host, cases)) is not None]


def _fit_drift(host: str, cases: dict[tuple[str, str | None], dict[int, float]]) -> Drift | None:
    rounds = sorted({number for logs in cases.values() for number in logs})
    whole = [logs for logs in cases.values() if len(logs) == len(rounds)]
    if len(rounds) < 3 or not whole:
        return None
    effects = [math.fsum(logs[number] for logs in whole) / len(whole) for number in rounds]
    centre, middle = math.fsum(effects) / len(effects), math.fsum(rounds) / len(rounds)
    width = math.fsum((number - middle) ** 2 for number in rounds)
    slope = math.fsum((x - middle) * (y - centre) for x, y in zip(rounds, effects, strict=True)) / width
    rest = [y - centre - slope * (x - middle) for x, y in zip(rounds, effects, strict=True)]
    error = math.sqrt(math.fsum(r * r for r in rest) / (len(rounds) - 2) / width)
    is_sure = abs(slope) > critical_t(len(rounds) - 1) * error
    return Drift(host, len(rounds), math.exp(slope * (rounds[-1] - rounds[0])), is_sure)


def find_session_noise(records: Sequence[Record], name: Callable[[Case], str]) -> list[tuple[str, Finding]]:
    """Return findings about a session's noise, each with its host; ``name`` returns the name of a case."""
    found: list[tuple[str, Finding]] = []
    for floor in noise_floors(records):
        found += [(floor.host, one) for one in _judge_floor(floor)]
    for drift in drifts(records):
        if abs(math.log(drift.factor)) > math.log1p(DRIFT) and drift.is_sure:
            verb = "rose" if drift.factor > 1 else "fell"
            message = f"all rates {verb} by {100 * abs(drift.factor - 1):.0f} % over {drift.rounds} rounds"
            hint = "ratios are not affected (paired by rounds), absolute figures are: see clocks and temperature"
            found.append((drift.host, find("drift", message, hint)))
    return [*found, *_find_spread(records, name)]


def _judge_floor(floor: NoiseFloor) -> Iterator[Finding]:
    pairs = f"{floor.pairs} pair{'s' if floor.pairs != 1 else ''}"
    if floor.disturbed:
        pairs += f", {floor.disturbed} of them disturbed"
    if floor.typical > THRESHOLD:
        message = (
            f"two runs of one case differ by {100 * (floor.typical - 1):.0f} % here ({pairs}): this is the noise floor"
        )
        yield find(
            "noise-floor", message, "smaller differences mean nothing here: reduce other load, or run more rounds"
        )
    ratio = floor.ratio
    if ratio.low is not None and ratio.high is not None and (ratio.low > THRESHOLD or ratio.high < 1 / THRESHOLD):
        message = f"a case differs from itself by a factor of {ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
        yield find("twins-differ", message, "do not rely on verdicts of this host until this is explained")


def _find_spread(records: Sequence[Record], name: Callable[[Case], str]) -> Iterator[tuple[str, Finding]]:
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if rate_of(record) is not None and record.validity != "invalid":
            groups.setdefault((record.host, record.case_id), []).append(record)
    for (host, _), group in sorted(groups.items()):
        logs = [math.log(rate) for record in group if (rate := rate_of(record)) is not None]
        if len(logs) < 3:
            continue
        centre = math.fsum(logs) / len(logs)
        deviation = math.sqrt(math.fsum((log - centre) ** 2 for log in logs) / (len(logs) - 1))
        if deviation > SPREAD:
            message = (
                f"{name(group[0].case)}: {len(logs)} runs vary by "
                f"{100 * math.expm1(deviation):.0f} % (standard deviation)"
            )
            yield host, find("spread", message, "see which rounds differ and what their findings are; run more rounds")

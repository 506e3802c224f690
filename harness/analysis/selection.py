"""Which measurements count (measuring rule 13): the undisturbed ones where there are enough, else all. Pure.

A disturbed run is repeated once at the end of its round; both attempts stay, and the undisturbed one counts, else the
first. Averages of a case, ratios of pairs, the noise floor and the end of a session with ``rounds: auto`` all use these
rules. Measurements that do not count are returned, too, so that the report can name their number.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.analysis.findings import BUSY
from harness.values.record import Record

LEAST_UNDISTURBED = 3
"""With fewer undisturbed measurements on a machine all count, since fewer give no interval."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Disturbance:
    """The number of disturbed measurements among those that count, and the ids of the findings that disturbed them."""

    count: int = 0
    findings: tuple[str, ...] = ()

    @property
    def is_busy(self) -> bool:
        """Return whether the host was the cause: it was busy, throttled or swapping."""
        return not BUSY.isdisjoint(self.findings)

    def plus(self, other: Disturbance) -> Disturbance:
        """Return the disturbance of two selections."""
        return Disturbance(self.count + other.count, tuple(sorted({*self.findings, *other.findings})))


UNDISTURBED = Disturbance()


@dataclass(frozen=True, slots=True)
class Selection(Generic[T]):
    """The items that count, in their order, and disturbed ones that do not."""

    used: tuple[T, ...]
    left_out: tuple[T, ...]
    disturbance: Disturbance


def select(
    items: Iterable[T], *, machine: Callable[[T], Hashable], disturbed_by: Callable[[T], Iterable[str]]
) -> Selection[T]:
    """Select the undisturbed items of each machine where there are at least ``LEAST_UNDISTURBED``, else all of them.

    Each machine is selected separately, so that one that is always in use is not missing from the result of its kind.
    ``disturbed_by`` returns the findings that disturbed an item, none for an undisturbed one.
    """
    known = [(item, machine(item), frozenset(disturbed_by(item))) for item in items]
    quiet: dict[Hashable, int] = {}
    for _, place, findings in known:
        quiet[place] = quiet.get(place, 0) + (not findings)
    counts = [not findings or quiet[place] < LEAST_UNDISTURBED for _, place, findings in known]
    used = [(item, findings) for (item, _, findings), is_used in zip(known, counts, strict=True) if is_used]
    left_out = [item for (item, _, _), is_used in zip(known, counts, strict=True) if not is_used]
    found = sorted({identifier for _, findings in used for identifier in findings})
    disturbed = sum(bool(findings) for _, findings in used)
    return Selection(tuple(item for item, _ in used), tuple(left_out), Disturbance(disturbed, tuple(found)))


def is_countable(record: Record) -> bool:
    """Return whether a record may count: it is ok and not invalid."""
    return record.status == "ok" and record.validity != "invalid"


def disturbances(record: Record) -> tuple[str, ...]:
    """Return the ids of the findings that disturbed a record; empty for an undisturbed one."""
    if record.validity != "degraded":
        return ()
    return tuple(finding.id for finding in record.findings if finding.severity == "warning") or ("degraded",)


@dataclass(frozen=True, slots=True)
class Attempts:
    """All attempts of a run, oldest first.

    Those that were ``measured`` count in pairs; all but the first of them are repeats.
    """

    records: tuple[Record, ...]

    @property
    def identity(self) -> str:
        """Return the identity of the run."""
        return self.records[0].invocation

    @property
    def next_number(self) -> int:
        """Return the number of the next attempt."""
        return self.records[-1].attempt + 1

    @property
    def measured(self) -> tuple[Record, ...]:
        """Return the attempts that succeeded, without those before its loader was found to do other work."""
        found: list[Record] = []
        for record in self.records:
            if record.status == "skipped" and record.validity == "invalid":
                found = []
            elif is_countable(record):
                found.append(record)
        return tuple(found)

    @property
    def counting(self) -> tuple[Record, ...]:
        """Return the attempts that were measured, else the newest one."""
        return self.measured or self.records[-1:]

    @property
    def current(self) -> Record:
        """Return the record that represents the run: the newest undisturbed one, else the first measured one."""
        measured = self.measured
        if not measured:
            return self.records[-1]
        return next((record for record in reversed(measured) if not disturbances(record)), measured[0])

    @property
    def is_repeated(self) -> bool:
        """Return whether it was measured and then repeated, with any result except lost."""
        measured = self.measured
        return bool(measured) and any(
            record.attempt > measured[0].attempt and record.status != "lost" for record in self.records
        )

    @property
    def wants_repeat(self) -> bool:
        """Return whether it was disturbed and must still be repeated."""
        return bool(self.measured) and bool(disturbances(self.current)) and not self.is_repeated


def gather_attempts(records: Iterable[Record]) -> list[Attempts]:
    """Return all attempts of each run of each session; the last record of an attempt counts."""
    found: dict[tuple[str, str], dict[int, Record]] = {}
    for record in records:
        found.setdefault((record.session, record.invocation), {})[record.attempt] = record
    return [Attempts(tuple(attempts[number] for number in sorted(attempts))) for attempts in found.values()]


def current_records(records: Iterable[Record]) -> dict[str, Record]:
    """Return the record that represents each run of a session, by identity."""
    return {attempts.identity: attempts.current for attempts in gather_attempts(records)}


def select_records(records: Iterable[Record]) -> Selection[Record]:
    """Select the records of a case, one for each run, for its averages."""
    return select(
        (record for record in records if is_countable(record)),
        machine=lambda record: (record.session, record.host),
        disturbed_by=disturbances,
    )

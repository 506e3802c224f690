"""Which measurements count (measuring rule 13): the undisturbed ones where there are enough, else all. Pure.

An invocation that was disturbed is repeated once at the end of its round; both attempts stay, and the undisturbed one
counts, else the first. The one place of these rules: averages of a case, ratios of pairs, the noise floor and the end
of a session with ``rounds: auto`` all ask here. What does not count is handed back beside what does, so that it can be
said.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.analysis.findings import BUSY
from harness.values.record import Record

LEAST_UNDISTURBED = 3
"""With fewer undisturbed measurements on a machine all of them count: no interval comes of fewer."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What disturbed some of the measurements that count.

    ``count`` of them were disturbed; ``findings`` are the ids that say by what.
    """

    count: int = 0
    findings: tuple[str, ...] = ()

    @property
    def is_busy(self) -> bool:
        """Whether the host was at fault: others used it, or it throttled or swapped."""
        return not BUSY.isdisjoint(self.findings)

    def plus(self, other: Disturbance) -> Disturbance:
        """Return the disturbance of two selections together."""
        return Disturbance(self.count + other.count, tuple(sorted({*self.findings, *other.findings})))


UNDISTURBED = Disturbance()


@dataclass(frozen=True, slots=True)
class Selection(Generic[T]):
    """``used`` count, in their order; ``left_out`` are disturbed ones that do not."""

    used: tuple[T, ...]
    left_out: tuple[T, ...]
    disturbance: Disturbance


def select(
    items: Iterable[T], *, machine: Callable[[T], Hashable], disturbed_by: Callable[[T], Iterable[str]]
) -> Selection[T]:
    """Select of each machine the undisturbed items, where there are at least ``LEAST_UNDISTURBED``, else all of them.

    It is decided by machine so that none whose owner works all day falls out of what is said of its kind.
    ``disturbed_by`` names the findings that disturbed an item; empty where nothing did.
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
    """Whether a record may count at all: it ended well, and nothing makes it invalid."""
    return record.status == "ok" and record.validity != "invalid"


def disturbances(record: Record) -> tuple[str, ...]:
    """Return the ids of the findings that make a record degraded; empty for one that nothing disturbed."""
    if record.validity != "degraded":
        return ()
    return tuple(finding.id for finding in record.findings if finding.severity == "warning") or ("degraded",)


@dataclass(frozen=True, slots=True)
class Attempts:
    """What is known of one invocation: all its records, oldest first.

    Those that were ``measured`` count in pairs; all but the first of them are repeats.
    """

    records: tuple[Record, ...]

    @property
    def identity(self) -> str:
        """The identity of the invocation."""
        return self.records[0].invocation

    @property
    def next_number(self) -> int:
        """The number of the attempt that would come next."""
        return self.records[-1].attempt + 1

    @property
    def measured(self) -> tuple[Record, ...]:
        """The attempts that ended well, without those of a loader that was found to do other work since."""
        found: list[Record] = []
        for record in self.records:
            if record.status == "skipped" and record.validity == "invalid":
                found = []
            elif is_countable(record):
                found.append(record)
        return tuple(found)

    @property
    def counting(self) -> tuple[Record, ...]:
        """The attempts that say something of the invocation: those that were measured, else the newest."""
        return self.measured or self.records[-1:]

    @property
    def current(self) -> Record:
        """The record that stands for the invocation: the newest undisturbed one, else the first that was measured."""
        measured = self.measured
        if not measured:
            return self.records[-1]
        return next((record for record in reversed(measured) if not disturbances(record)), measured[0])

    @property
    def is_repeated(self) -> bool:
        """Whether it was measured and then done once more, whatever came of that; a lost attempt is none."""
        measured = self.measured
        return bool(measured) and any(
            record.attempt > measured[0].attempt and record.status != "lost" for record in self.records
        )

    @property
    def wants_repeat(self) -> bool:
        """Whether it was disturbed and is to be done once more."""
        return bool(self.measured) and bool(disturbances(self.current)) and not self.is_repeated


def gather_attempts(records: Iterable[Record]) -> list[Attempts]:
    """Return all attempts of each invocation of each session; of two records of one attempt the last written."""
    found: dict[tuple[str, str], dict[int, Record]] = {}
    for record in records:
        found.setdefault((record.session, record.invocation), {})[record.attempt] = record
    return [Attempts(tuple(attempts[number] for number in sorted(attempts))) for attempts in found.values()]


def current_records(records: Iterable[Record]) -> dict[str, Record]:
    """Return the record that stands for each invocation of a session, by identity."""
    return {attempts.identity: attempts.current for attempts in gather_attempts(records)}


def select_records(records: Iterable[Record]) -> Selection[Record]:
    """Select the records of one case, one an invocation, that its averages are made of."""
    return select(
        (record for record in records if is_countable(record)),
        machine=lambda record: (record.session, record.host),
        disturbed_by=disturbances,
    )

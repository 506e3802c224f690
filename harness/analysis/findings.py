"""The catalogue of findings: every id that a record or a session can have, its severity, and what it means.

The families in ``rules`` define the findings; ``make findings`` writes ``docs/findings.md`` from them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cache
from typing import Literal

from harness.bench.protocol.plugins import load_constants
from harness.values.facts import Facts
from harness.values.record import Finding, Record, Severity

Scope = Literal["invocation", "session", "host"]
Judge = Callable[[Record, Facts | None, Sequence[Record]], Iterable[Finding]]
"""Returns the findings of a run, from its record, its host's facts and other records of the session."""


@dataclass(frozen=True)
class Entry:
    """A finding of the catalogue: an ``error`` makes a run invalid, a ``warning`` degraded, an ``info`` neither.

    ``reason`` is the finding in a few words, for lists and tables: "invalid: does other work". ``cause`` and ``cure``
    are its text in docs/findings.md, and ``grades`` replaces the severity there where a finding has several.
    """

    severity: Severity
    scope: Scope
    reason: str = ""
    _: KW_ONLY
    cause: str
    cure: str
    grades: str = ""


@dataclass(frozen=True)
class Family:
    """Findings about one subject: ``rank`` is its place among the families, ``judge`` finds those of a run."""

    rank: int
    title: str
    entries: Mapping[str, Entry]
    judge: Judge | None = None


def join_rules(*rules: Callable[[Record], Iterable[Finding]]) -> Judge:
    """Join several rules that need only the record into one."""
    return lambda record, _facts, _peers: itertools.chain.from_iterable(rule(record) for rule in rules)


@cache
def load_families() -> tuple[Family, ...]:
    """Return the families of findings, found by their files, in order."""
    return tuple(sorted(load_constants("harness.analysis.rules", "FAMILY", Family), key=lambda family: family.rank))


@cache
def catalogue() -> Mapping[str, Entry]:
    """Return all findings by their ids. Raises TypeError where two families define the same id."""
    found: dict[str, Entry] = {}
    for family in load_families():
        if twice := found.keys() & family.entries.keys():
            raise TypeError(f"two families define the same findings: {', '.join(sorted(twice))}")
        found |= family.entries
    return found


BUSY = frozenset(
    {"host-busy", "cpu-stolen", "cpu-throttled", "host-swapping", "cores-idle", "gpu-shared", "gpu-throttled"}
)
"""Findings of a busy or throttled host, which may not occur at another time."""


def find(identifier: str, message: str, hint: str, *, severity: Severity | None = None) -> Finding:
    """Make a finding of the catalogue; ``severity`` replaces that of its entry."""
    return Finding(id=identifier, severity=severity or catalogue()[identifier].severity, message=message, hint=hint)

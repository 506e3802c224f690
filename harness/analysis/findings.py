"""The catalogue of findings: every id that a record or a session can carry, how grave it is, and what it means.

The findings stand in the families of ``rules``; ``make findings`` writes ``docs/findings.md`` from them.
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
"""Findings of one invocation, from its record, its host's facts and its peers (other records of the session)."""


@dataclass(frozen=True)
class Entry:
    """``severity``: an ``error`` makes an invocation invalid, a ``warning`` degraded, an ``info`` leaves it valid.

    ``reason`` is the finding in a few words, for lists and tables: "invalid: does other work". ``cause`` and ``cure``
    are what the page of findings says of it; ``grades`` stands there instead of the severity where it has several.
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
    """Findings about one thing: ``rank`` is the place among the others, ``judge`` finds those of an invocation."""

    rank: int
    title: str
    entries: Mapping[str, Entry]
    judge: Judge | None = None


def join_rules(*rules: Callable[[Record], Iterable[Finding]]) -> Judge:
    """Make one rule of several that look at the record alone."""
    return lambda record, _facts, _peers: itertools.chain.from_iterable(rule(record) for rule in rules)


@cache
def load_families() -> tuple[Family, ...]:
    """Return the families of findings, found by their files, in order."""
    return tuple(sorted(load_constants("harness.analysis.rules", "FAMILY", Family), key=lambda family: family.rank))


@cache
def catalogue() -> Mapping[str, Entry]:
    """Return all findings by their ids. Raises TypeError where two families have the same."""
    found: dict[str, Entry] = {}
    for family in load_families():
        if twice := found.keys() & family.entries.keys():
            raise TypeError(f"findings stand in two families: {', '.join(sorted(twice))}")
        found |= family.entries
    return found


BUSY = frozenset(
    {"host-busy", "cpu-stolen", "cpu-throttled", "host-swapping", "cores-idle", "gpu-shared", "gpu-throttled"}
)
"""Findings that say that the host was busy or throttled: what a quiet hour would mend."""


def find(identifier: str, message: str, hint: str, *, severity: Severity | None = None) -> Finding:
    """Make a finding of the catalogue, the only way; ``severity`` where this one has another grade than its entry."""
    return Finding(id=identifier, severity=severity or catalogue()[identifier].severity, message=message, hint=hint)

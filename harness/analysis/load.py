"""Whether somebody else uses a host just now. Pure."""

from __future__ import annotations

from harness.values.facts import Facts

BUSY_LOAD_PER_CPU = 0.5
BUSY_LOAD_LEAST = 1.5
"""One program that ends, or an installation that ran just before, does not make a small machine busy."""


def busy_load(facts: Facts) -> float:
    """The load average of a minute above which a host counts as busy."""
    cpus = len(facts.usable_cpus) or facts.logical_cpus or 1
    return max(BUSY_LOAD_LEAST, BUSY_LOAD_PER_CPU * cpus)


def busy_reason(facts: Facts, allow_busy: bool = False, *, own_load: float = 0.0) -> str | None:
    """Why a host is too busy to measure on; None where it is not, or where that is allowed or cannot be known.

    ``own_load`` is what this session's own jobs cause: never foreign.
    """
    if allow_busy or facts.load_1m is None:
        return None
    foreign, most = facts.load_1m - own_load, busy_load(facts)
    if foreign <= most:
        return None
    cpus = len(facts.usable_cpus) or facts.logical_cpus or 1
    return f"others use it: load {foreign:.1f} in the last minute on {cpus} CPUs, busy above {most:.1f}"

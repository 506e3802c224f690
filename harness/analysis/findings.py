"""The catalogue of findings: every id that a record or a session can carry, and how grave it is.

``docs/findings.md`` says of each what causes it and what to do about it; a test holds page and table together.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from harness.values.record import Finding, Severity

Scope = Literal["invocation", "session", "host"]


class Entry(NamedTuple):
    """``severity``: an ``error`` makes an invocation invalid, a ``warning`` degraded, an ``info`` leaves it valid."""

    severity: Severity
    scope: Scope


CATALOGUE: dict[str, Entry] = {
    "limit-not-enforced": Entry("error", "invocation"),
    "limit-unproven": Entry("error", "invocation"),
    "swap-used": Entry("warning", "invocation"),
    "swap-unaccounted": Entry("warning", "invocation"),
    "engine-warning": Entry("warning", "invocation"),
    "work-differs": Entry("error", "invocation"),
    "work-unproven": Entry("warning", "invocation"),
    "approximate-pixels": Entry("info", "invocation"),
    "page-cache-unproven": Entry("info", "invocation"),
    "reads-uncounted": Entry("info", "invocation"),
    "cold-epoch-warm": Entry("warning", "invocation"),
    "served-from-memory": Entry("info", "invocation"),
    "warm-epoch-cold": Entry("warning", "invocation"),
    "cache-size-off": Entry("warning", "invocation"),
    "budget-beyond-limit": Entry("info", "invocation"),
    "too-short": Entry("warning", "invocation"),
    "cores-idle": Entry("warning", "invocation"),
    "first-slower": Entry("warning", "invocation"),
    "supervisor-heavy": Entry("warning", "invocation"),
    "sampler-heavy": Entry("warning", "invocation"),
    "host-unwatched": Entry("info", "invocation"),
    "host-busy": Entry("warning", "invocation"),
    "cpu-stolen": Entry("warning", "invocation"),
    "cpu-throttled": Entry("warning", "invocation"),
    "clock-dropped": Entry("info", "invocation"),
    "governor-saves-power": Entry("info", "invocation"),
    "host-swapping": Entry("warning", "invocation"),
    "memory-pressure": Entry("info", "invocation"),
    "disk-slow": Entry("info", "invocation"),
    "gpu-shared": Entry("warning", "invocation"),
    "gpu-throttled": Entry("warning", "invocation"),
    "gpu-lost": Entry("error", "invocation"),
    "gpu-unwatched": Entry("info", "invocation"),
    "noise-floor": Entry("warning", "session"),
    "twins-differ": Entry("warning", "session"),
    "drift": Entry("warning", "session"),
    "spread": Entry("warning", "session"),
    "environment-changed": Entry("warning", "session"),
    "image-differs": Entry("error", "session"),
    "payload-differs": Entry("error", "session"),
    "clock-offset": Entry("warning", "session"),
    "host-changed": Entry("warning", "session"),
    "not-rehearsed": Entry("info", "session"),
    "limit-found": Entry("info", "session"),
    "search-open": Entry("warning", "session"),
    "rounds-settled": Entry("info", "session"),
    "rounds-open": Entry("warning", "session"),
    "budget-over": Entry("warning", "session"),
    "max-fail": Entry("error", "session"),
    "lock-left": Entry("info", "session"),
    "cut-line": Entry("info", "session"),
    "report-failed": Entry("warning", "session"),
    "engine-fallback": Entry("warning", "host"),
    "no-swap-accounting": Entry("warning", "host"),
    "rootless-docker": Entry("warning", "host"),
    "limit-impossible": Entry("warning", "host"),
}

BUSY = frozenset(
    {"host-busy", "cpu-stolen", "cpu-throttled", "host-swapping", "cores-idle", "gpu-shared", "gpu-throttled"}
)
"""Findings that say that the host was busy or throttled: what a quiet hour would mend."""


def find(identifier: str, message: str, hint: str, *, severity: Severity | None = None) -> Finding:
    """A finding of the catalogue; ``severity`` where this one is milder than the table says."""
    return Finding(id=identifier, severity=severity or CATALOGUE[identifier].severity, message=message, hint=hint)

"""The catalogue of findings: every id that a record or a session can carry, and how grave it is.

``docs/findings.md`` says of each what causes it and what to do about it; a test holds page and table together.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from harness.values.record import Finding, Severity

Scope = Literal["invocation", "session", "host"]


class Entry(NamedTuple):
    """``severity``: an ``error`` makes an invocation invalid, a ``warning`` degraded, an ``info`` leaves it valid.

    ``reason`` is the finding in a few words, for lists and tables: "invalid: does other work".
    """

    severity: Severity
    scope: Scope
    reason: str = ""


CATALOGUE: dict[str, Entry] = {
    "limit-not-enforced": Entry("error", "invocation", "memory limit not enforced"),
    "limit-unproven": Entry("error", "invocation", "memory limit unproven"),
    "swap-used": Entry("warning", "invocation", "swap was used"),
    "swap-unaccounted": Entry("warning", "invocation", "swap not accounted for"),
    "engine-warning": Entry("warning", "invocation", "the engine warned"),
    "work-differs": Entry("error", "invocation", "does other work"),
    "work-unproven": Entry("warning", "invocation", "same work unproven"),
    "approximate-pixels": Entry("info", "invocation"),
    "page-cache-unproven": Entry("info", "invocation"),
    "reads-uncounted": Entry("info", "invocation"),
    "cold-epoch-warm": Entry("warning", "invocation", "files were in memory already"),
    "served-from-memory": Entry("info", "invocation", "served from memory"),
    "warm-epoch-cold": Entry("warning", "invocation", "files were not in memory"),
    "cache-size-off": Entry("warning", "invocation", "cache of another size"),
    "budget-beyond-limit": Entry("info", "invocation"),
    "too-short": Entry("warning", "invocation", "too short to time"),
    "cores-idle": Entry("warning", "invocation", "cores were idle"),
    "first-slower": Entry("warning", "invocation", "first on its host, slower"),
    "supervisor-heavy": Entry("warning", "invocation", "watching took too much"),
    "sampler-heavy": Entry("warning", "invocation", "watching took too much"),
    "host-unwatched": Entry("info", "invocation"),
    "host-busy": Entry("warning", "invocation", "the host was busy"),
    "cpu-stolen": Entry("warning", "invocation", "CPU time was stolen"),
    "cpu-throttled": Entry("warning", "invocation", "the CPU was throttled"),
    "clock-dropped": Entry("info", "invocation"),
    "governor-saves-power": Entry("info", "invocation"),
    "host-swapping": Entry("warning", "invocation", "the host was swapping"),
    "memory-pressure": Entry("info", "invocation"),
    "disk-slow": Entry("info", "invocation"),
    "gpu-shared": Entry("warning", "invocation", "the GPU was shared"),
    "gpu-throttled": Entry("warning", "invocation", "the GPU was throttled"),
    "gpu-lost": Entry("error", "invocation", "the GPU was lost"),
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

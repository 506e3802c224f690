"""Whether an invocation may be believed: pure rules over what a record holds (documented in docs/findings.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.values.record import Finding, Memory, Validity
from harness.values.units import format_bytes

FINDING_IDS = (
    "limit-not-enforced",
    "limit-unproven",
    "swap-unaccounted",
    "swap-used",
    "page-cache-unproven",
    "engine-warning",
    "cache-size-off",
    "supervisor-heavy",
)
_PAGE = 4096
_CACHE_TOLERANCE = 0.01
_SUPERVISOR_ANON_BYTES = 16 * 2**20
_SUPERVISOR_CPU_SHARE = 0.01
_SHORT_S = 5.0


def judge_validity(
    memory: Memory,
    *,
    outcome: dict[str, Any] | None,
    warnings: Sequence[str],
    cache_bytes: int | None,
    predicted_bytes: int | None,
) -> tuple[Validity, tuple[Finding, ...]]:
    """Findings of one invocation, and the worst of them as its validity."""
    findings = [*_limit_findings(memory, warnings), *_swap_findings(memory, outcome)]
    findings += [*_page_cache_findings(outcome), *_cache_findings(cache_bytes, predicted_bytes)]
    findings += _supervisor_findings(outcome)
    severities = {finding.severity for finding in findings}
    validity: Validity = "invalid" if "error" in severities else "degraded" if "warning" in severities else "valid"
    return validity, tuple(findings)


def _limit_findings(memory: Memory, warnings: Sequence[str]) -> list[Finding]:
    findings = []
    discarded = [text for text in warnings if "memory" in text.lower() and "discard" in text.lower()]
    asked, effective = memory.limit_asked, memory.limit_effective
    if asked is not None and (discarded or (effective is not None and abs(effective - asked) >= _PAGE)):
        found = discarded[0] if discarded else f"asked {format_bytes(asked)}, effective {format_bytes(effective)}"
        message = f"the memory limit is not what was asked: {found}"
        hint = "enable the memory controller on the host; `harness check` shows whether a limit holds"
        findings.append(Finding(id="limit-not-enforced", severity="error", message=message, hint=hint))
    elif asked is not None and effective is None:
        message = "the memory limit could not be read back from inside"
        hint = "see the log; the cgroup files may not be visible in this container"
        findings.append(Finding(id="limit-unproven", severity="error", message=message, hint=hint))
    for text in warnings:
        if text not in discarded and "swap" not in text.lower():
            hint = "read it; the engine did not do all that was asked"
            findings.append(Finding(id="engine-warning", severity="warning", message=text, hint=hint))
    return findings


def _swap_findings(memory: Memory, outcome: dict[str, Any] | None) -> list[Finding]:
    if memory.swap_used:
        message = f"{format_bytes(memory.swap_used)} of swap were used: the limit was not one of memory alone"
        return [_warn("swap-used", message, "turn swap accounting on (kernel parameter swapaccount=1) or swap off")]
    swap_limit = ((outcome or {}).get("memory") or {}).get("swap_limit")
    if outcome is not None and memory.limit_asked is not None and swap_limit is None and memory.swap_used is None:
        message = "swap is not accounted for on this host, and whether any was used is not known"
        return [
            _warn("swap-unaccounted", message, "turn swap accounting on (kernel parameter swapaccount=1) or swap off")
        ]
    return []


def _page_cache_findings(outcome: dict[str, Any] | None) -> list[Finding]:
    unproven = ((outcome or {}).get("page_cache") or {}).get("unproven")
    if not unproven:
        return []
    message = f"the page cache's state at the start is unproven: {unproven}"
    hint = "first epochs may have been served from memory; keep data on a local file system to know"
    return [Finding(id="page-cache-unproven", severity="info", message=message, hint=hint)]


def _cache_findings(measured: int | None, predicted: int | None) -> list[Finding]:
    if not measured or not predicted or abs(measured / predicted - 1) <= _CACHE_TOLERANCE:
        return []
    message = f"the cache holds {format_bytes(measured)}, the formula says {format_bytes(predicted)}"
    return [_warn("cache-size-off", message, "the cache may not hold what it should: see the log")]


def _supervisor_findings(outcome: dict[str, Any] | None) -> list[Finding]:
    own = (outcome or {}).get("supervisor") or {}
    wall, cpu, anon = (outcome or {}).get("wall_s"), own.get("cpu_s"), own.get("anon_bytes")
    heavy_cpu = wall and cpu and wall > _SHORT_S and cpu / wall > _SUPERVISOR_CPU_SHARE
    if heavy_cpu or (anon and anon > _SUPERVISOR_ANON_BYTES):
        message = f"the supervisor took {cpu} s of CPU in {wall} s and {format_bytes(anon)} of memory"
        return [_warn("supervisor-heavy", message, "report this: it should be below 1 % of a core and 16 MiB")]
    return []


def _warn(identifier: str, message: str, hint: str) -> Finding:
    return Finding(id=identifier, severity="warning", message=message, hint=hint)

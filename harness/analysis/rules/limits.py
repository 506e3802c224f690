"""Findings about limits: of memory, of swap, and what an engine can enforce."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analysis.findings import Entry, Family, find, join_rules
from harness.values.engine_names import PAGE_BYTES
from harness.values.record import Finding, Record, count
from harness.values.units import format_bytes

_SWAP_CURE = "turn swap accounting on (kernel parameter swapaccount=1) or swap off"

ENTRIES = {
    "limit-not-enforced": Entry(
        "error",
        "invocation",
        "memory limit not enforced",
        cause=(
            "the limit read back from inside the container is not the one that was asked for, or the engine said "
            "that it discarded it."
        ),
        cure=(
            "turn the memory controller on (`cgroup_enable=memory`), start the engine again; `harness check "
            "--ship` tries a limit for real."
        ),
    ),
    "limit-unproven": Entry(
        "error",
        "invocation",
        "memory limit unproven",
        cause="a limit was asked for and could not be read back: the container does not see its cgroup's files.",
        cure="see the log of the run; mount the cgroup file system for containers, as Docker does by default.",
    ),
    "swap-used": Entry(
        "warning",
        "invocation",
        "swap was used",
        cause="the run swapped, so that its limit was not one of memory alone, and its times are those of a disk.",
        cure="turn swap accounting on (kernel parameter `swapaccount=1`, or cgroup v2), or turn swap off.",
    ),
    "swap-unaccounted": Entry(
        "warning",
        "invocation",
        "swap not accounted for",
        cause="the kernel does not count swap by cgroup, the machine has swap, and whether any was used is not known.",
        cure="as for `swap-used`. On a machine without swap this finding does not come.",
    ),
    "engine-warning": Entry(
        "warning",
        "invocation",
        "the engine warned",
        cause="the engine warned when it made the container; the words are its own.",
        cure="read them: it did not do all that was asked.",
    ),
    "engine-fallback": Entry(
        "warning",
        "host",
        grades="warning; error where a better engine answers and no image could be had",
        cause=(
            "neither a Docker Engine nor Podman answers on the host, so that jobs ran as processes of its own Python, "
            "under the same limits but not in the same image."
        ),
        cure="install Podman, or install or start Docker there; `harness check` says what is missing.",
    ),
}


def _find_limits(record: Record) -> Iterator[Finding]:
    told = record.evidence.get("engine_warnings")
    warnings = [str(text) for text in told] if isinstance(told, list) else []
    discarded = [text for text in warnings if "memory" in text.lower() and "discard" in text.lower()]
    asked, effective = record.memory.limit_asked, record.memory.limit_effective
    is_other = asked is not None and effective is not None and not _is_rounded(record, effective - asked)
    if asked is not None and (discarded or is_other):
        said = discarded[0] if discarded else f"asked {format_bytes(asked)}, effective {format_bytes(effective)}"
        hint = "enable the memory controller on the host; `harness check` shows whether a limit holds"
        yield find("limit-not-enforced", f"the memory limit is not what was asked: {said}", hint)
    elif asked is not None and effective is None and record.status != "lost":  # of which nothing came back
        hint = "see the log; the cgroup files may not be visible in this container"
        yield find("limit-unproven", "the memory limit could not be read back from inside", hint)
    for text in warnings:
        if text not in discarded and "swap" not in text.lower():
            yield find("engine-warning", text, "read it; the engine did not do all that was asked")


def _is_rounded(record: Record, difference: int) -> bool:
    """Whether a limit that is read back differs from the one that was asked no more than by rounding."""
    step = count(record.evidence, "limit_step_bytes") or PAGE_BYTES
    return -step < difference < PAGE_BYTES


def _find_swap(record: Record) -> Iterator[Finding]:
    memory = record.memory
    if memory.swap_used:
        message = f"{format_bytes(memory.swap_used)} of swap were used: the limit was not one of memory alone"
        yield find("swap-used", message, _SWAP_CURE)
    elif memory.limit_effective is not None and memory.swap_limit is None and memory.swap_used is None:
        message = "swap is not accounted for on this host, and whether any was used is not known"
        yield find("swap-unaccounted", message, _SWAP_CURE)


FAMILY = Family(rank=10, title="Limits", entries=ENTRIES, judge=join_rules(_find_limits, _find_swap))

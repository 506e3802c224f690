"""Checks of the machine: memory, CPU frequency governor, clock. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analysis.host_check import Check
from harness.analysis.protection import available_limit
from harness.values.errors import HostNotReady
from harness.values.facts import Facts
from harness.values.units import format_bytes

LEAST_USABLE_BYTES = 2 * 10**9
"""TensorFlow alone needs about half a GB; with less than this no case of the presets succeeds."""
MOST_CLOCK_OFFSET_S = 5.0


def check_hardware(facts: Facts, memory_reserve: int | None) -> Iterator[Check]:
    """Check what a session needs of a machine besides its GPUs."""
    yield _check_memory(facts, memory_reserve)
    if facts.governor is not None and facts.governor != "performance":
        cure = "for steadier figures: `sudo cpupower frequency-set -g performance` while measuring"
        yield Check("governor", "", "warning", f"the CPU frequency governor is {facts.governor}", cure)
    if facts.clock_offset_s is not None and abs(facts.clock_offset_s) > MOST_CLOCK_OFFSET_S:
        message = f"the host's clock differs from the controller's by {facts.clock_offset_s:+.0f} s"
        yield Check("clock", "", "warning", message, "start a time service there: `sudo timedatectl set-ntp true`")


def _check_memory(facts: Facts, memory_reserve: int | None) -> Check:
    try:
        limit = available_limit(facts, memory_reserve)
    except HostNotReady as error:
        return Check("memory", "", "failure", error.message, error.hint)
    total = format_bytes(facts.ram_bytes)
    message = f"{format_bytes(limit)} of {total} may be used (available memory minus the reserve)"
    if limit < LEAST_USABLE_BYTES:
        return Check(
            "memory",
            "",
            "failure" if limit == 0 else "warning",
            message,
            "end programs that use much memory: `ps aux --sort=-rss | head`",
        )
    return Check("memory", "", "ok", message)

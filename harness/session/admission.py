"""Whether a case may start on a host now: allowed hours, other load, free memory and free disk space.

Checked just before each case. Cases that can never run on a host are found earlier (``feasibility``).
"""

from __future__ import annotations

import time
from datetime import datetime

from harness.analysis.protection import busy_reason, reserve_of
from harness.bench.protocol.loader_registry import is_on_disk
from harness.engine.refusal import lack_room
from harness.hosts.facts import read_available_bytes
from harness.hosts.facts.facts_script import read_busy_cpus
from harness.hosts.folders import read_free_bytes
from harness.session import feasibility
from harness.session.invocations import Invocation
from harness.session.schedule import Hours
from harness.session.setup import HostSetup
from harness.values.units import format_bytes

ROOM_FOR_JOB = 16 * 2**20
"""Bytes for the payload, log and results of one job, doubled. The space for its cache is checked separately."""

_FREED_WITHIN_S = 8.0


def reason_to_wait(setup: HostSetup, hours: Hours | None, *, when_idle: bool) -> str | None:
    """Return why no case may start now, though one may later; None if one may start."""
    if hours is not None and not hours.is_open(datetime.now().astimezone()):
        return f"cases start only between {hours}"
    if not when_idle:
        return None
    in_use = read_busy_cpus(setup.connection)
    return None if in_use is None else busy_reason(setup.facts.model_copy(update={"load_1m": in_use}))


def require_room(setup: HostSetup) -> None:
    """Raise NoRoomForJob if the engine's disk has no room for another job."""
    place = setup.engine_facts.folder or setup.scratch
    free = read_free_bytes(setup.connection, place)
    if free is not None and free < ROOM_FOR_JOB:
        raise lack_room(f"{format_bytes(free)} are free at {place}, {format_bytes(ROOM_FOR_JOB)} needed", setup.host)


def refuse_now(setup: HostSetup, invocation: Invocation) -> str | None:
    """Return why a run cannot start at this moment (memory or disk that is no longer free); None if it can."""
    reason = _lacking_memory(setup, invocation.memory_bytes)
    if reason:
        return reason
    disk = setup.facts.disks.get(invocation.case.cache_disk)
    needed = invocation.predictions.disk_bytes if invocation.predictions else None
    if not is_on_disk(invocation.case.cache) or disk is None or needed is None:
        return None
    now = disk.model_copy(update={"free_bytes": read_free_bytes(setup.connection, disk.path)})
    return feasibility.lacking_disk(now, reserve_of(setup.disk_reserve, invocation.case.cache_disk), needed)


def _lacking_memory(setup: HostSetup, limit: int | None) -> str | None:
    """Return which memory is lacking, or None. Waits some seconds for memory that the previous job held."""
    if limit is None:
        return None
    deadline = time.monotonic() + _FREED_WITHIN_S
    while reason := feasibility.lacking_memory(limit, read_available_bytes(setup.connection)):
        if time.monotonic() > deadline:
            return reason
        time.sleep(1.0)
    return None

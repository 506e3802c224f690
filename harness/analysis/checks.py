"""The checks of ``harness check``: from facts to what works on a host and what does not, with a cure each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.analysis.check_engine import check_engine, check_logout
from harness.analysis.check_hardware import check_hardware
from harness.analysis.check_storage import check_data, check_disks
from harness.analysis.gpu_fit import check_gpus
from harness.analysis.host_check import Check, GpuProbe, LimitProbe, LockView, Refused
from harness.analysis.protection import DiskReserve, busy_load, busy_reason
from harness.values.data import DataState
from harness.values.engine_names import NO_WORDS, EngineFacts
from harness.values.errors import HarnessError, HostError
from harness.values.facts import Facts, hardware_label


def judge_host(
    facts: Facts | HarnessError,
    engine: EngineFacts | None = None,
    refused: Sequence[Refused] = (),
    *,
    limit_probe: LimitProbe | None = None,
    data: Iterable[DataState] = (),
    used_gpus: Sequence[str] | None = None,
    gpu_probe: GpuProbe | None = None,
    image_bytes: int | None = None,
    memory_reserve: int | None = None,
    disk_reserve: DiskReserve = None,
    lock_owner: LockView | None = None,
    allow_busy: bool = False,
    is_remote: bool = False,
) -> list[Check]:
    """Return all checks of one host, in the order in which a user fixes things.

    ``facts`` is an error where they could not be read. ``engine`` are the facts of the engine to use, None where there
    is none; ``refused`` are the engines that were tried before it. ``used_gpus`` are ids of the GPUs that jobs may use,
    None for all; ``image_bytes`` is the size of an image that must still be sent. ``is_remote``: the host is reached
    over a connection, which may be lost.
    """
    if isinstance(facts, HarnessError):
        state = facts.state if isinstance(facts, HostError) else "not_ready"
        return [Check("host", state, "failure", facts.message, facts.hint)]
    return [
        Check("host", "ready", "ok", _describe(facts)),
        *_check_lock(lock_owner),
        _check_load(facts, allow_busy),
        *check_engine(facts, engine, refused, limit_probe),
        *(check_logout(facts, engine) if is_remote else ()),
        *check_gpus(facts, engine, used_gpus, gpu_probe),
        *check_hardware(facts, memory_reserve),
        *check_disks(facts, disk_reserve, image_bytes, engine.words if engine else NO_WORDS),
        *check_data(data),
    ]


def host_state(checks: Iterable[Check]) -> str:
    """Return ``unreachable``, ``not_ready``, ``locked``, ``busy`` or ``ready``: the first that applies.

    What a user must fix comes before what passes by itself.
    """
    failed = [check for check in checks if check.outcome == "failure"]
    if any(check.id == "host" and check.subject == "unreachable" for check in failed):
        return "unreachable"
    passing = {"lock": "locked", "load": "busy"}
    if any(check.id not in passing for check in failed):
        return "not_ready"
    found = {passing[check.id] for check in failed}
    return "locked" if "locked" in found else "busy" if found else "ready"


def _describe(facts: Facts) -> str:
    system = ", ".join(part for part in (facts.os, f"Linux {facts.kernel}" if facts.kernel else None) if part)
    return f"{hardware_label(facts)}; {system}" if system else hardware_label(facts)


def _check_lock(owner: LockView | None) -> list[Check]:
    if owner is None:
        return []
    cure = "wait for that session to end, or run `harness unlock INVENTORY` if it no longer runs"
    return [Check("lock", owner.session, "failure", f"another session has locked it: {owner.describe()}", cure)]


def _check_load(facts: Facts, allow_busy: bool) -> Check:
    if facts.load_1m is None:
        return Check("load", "", "unproven", "the load could not be read")
    reason = busy_reason(facts)
    if reason is None:
        return Check(
            "load", "", "ok", f"load {facts.load_1m:.2f} in the last minute (busy above {busy_load(facts):.1f})"
        )
    if allow_busy:
        return Check("load", "", "warning", f"{reason}; allowed", "figures from a busy host are less reliable")
    cure = (
        "wait until it is quiet (see `top` there), or allow it: `allow_busy: true` in the inventory, "
        "or `harness run --allow-busy`"
    )
    return Check("load", "", "failure", reason, cure)

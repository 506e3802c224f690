"""Which cases cannot run on a host, and why, in numbers. Used before a session and before each case. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import TypeVar

from harness.analysis.protection import DiskReserve, disk_allowance, reserve_of
from harness.bench.protocol.loader_registry import is_on_disk
from harness.session.invocations import Refusal
from harness.values.case import Case
from harness.values.errors import HarnessError
from harness.values.facts import DiskFacts
from harness.values.units import format_bytes
from harness.values.weights import weights_key

_Why = TypeVar("_Why")


def limit_of(case: Case, memory_available: int | None) -> int | None:
    """Return the limit to enforce, in bytes: for ``none`` all available memory, which is None if not known."""
    return case.memory_limit if isinstance(case.memory_limit, int) else memory_available


def refusals(
    cases: Sequence[Case],
    *,
    memory_available: int | None,
    disks: Mapping[str, DiskFacts],
    disk_reserve: DiskReserve,
    cache_bytes: Mapping[str, int | None],
    missing_data: Mapping[str, str],
    missing_weights: Mapping[str, str],
    engine_reasons: Sequence[str],
    can_limit_memory: bool,
    can_limit_cpus: bool,
    disk_names: Sequence[str],
    cpus: int | None,
    gpus: int | None,
    gpu_obstacle: str | None = None,
    unlabelled: Container[str] = (),
) -> tuple[Refusal, ...]:
    """Return the cases that cannot run on a host at all, why, and what to do about it.

    ``cache_bytes`` are predictions by case_id; ``missing_data`` is by name, ``missing_weights`` by ``weights_key``.
    ``cpus`` and ``gpus`` are the numbers that jobs may use; they and ``memory_available`` are None if the host was not
    contacted. ``gpu_obstacle`` is why no job can use the GPUs. ``unlabelled`` are data sets without labels.
    """
    found = []
    for case in cases:
        reason = (
            missing_for(case, missing_data, missing_weights)
            or _label_reason(case, unlabelled)
            or _cpu_reason(case, cpus, can_limit_cpus)
            or _gpu_reason(case, gpus, gpu_obstacle)
            or _memory_reason(case, memory_available, engine_reasons, can_limit_memory)
            or _disk_reason(case, disks, disk_reserve, cache_bytes.get(case.case_id), disk_names)
        )
        if reason:
            found.append(Refusal(case.case_id, reason))
    return tuple(found)


def missing_for(case: Case, missing_data: Mapping[str, _Why], missing_weights: Mapping[str, _Why]) -> _Why | None:
    """Return why a case's data set or weights are absent; None if they are there."""
    key = weights_key(case)
    return missing_data.get(case.data) or (None if key is None else missing_weights.get(key))


def refuse_hopeless(
    cases: Sequence[Case], missing_data: Mapping[str, HarnessError], missing_weights: Mapping[str, HarnessError]
) -> None:
    """Raise the first case's reason if every case lacks its data set or weights."""
    lacking = [missing_for(case, missing_data, missing_weights) for case in cases]
    if lacking and lacking[0] is not None and None not in lacking:
        raise lacking[0]


def _label_reason(case: Case, unlabelled: Container[str]) -> str | None:
    if case.model is None or case.data not in unlabelled:
        return None
    return (
        f"the images of data set {case.data!r} have no labels, so that nothing can be trained with them: measure "
        "loading (`mode: load`), or give one folder per class or a list of paths and labels"
    )


def _cpu_reason(case: Case, cpus: int | None, can_limit: bool) -> str | None:
    if case.cpus is None:
        return None
    if not can_limit:
        asked = _count(case.cpus, "CPU")
        return f"the case asks for {asked}, but jobs cannot be limited to CPUs here: leave out `cpus`, or use Docker"
    if cpus is None or case.cpus <= cpus:
        return None
    cure = f"ask for {cpus} at most, or raise the host's `cpus` in the inventory"
    return f"the case asks for {_count(case.cpus, 'CPU')}, the host offers {cpus}: {cure}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def gpus_of(case: Case, offered: int | None) -> int | None:
    """Return the number of GPUs that a case gets; None if the host was not contacted.

    ``auto`` is all that the host offers and the case can use: at least one image of a batch for each GPU, and one GPU
    with XLA, because Keras does not compile steps for several GPUs with XLA.
    """
    if isinstance(case.gpus, int) or offered is None:
        return case.gpus if isinstance(case.gpus, int) else None
    is_xla = case.model is not None and bool(case.model.xla)
    return min(offered, 1 if is_xla else case.batch_size)


def _gpu_reason(case: Case, offered: int | None, obstacle: str | None) -> str | None:
    if isinstance(case.gpus, int) and offered is not None and case.gpus > offered:
        return (
            f"the case asks for {_count(case.gpus, 'GPU')}, the host offers {offered}: use `gpus: auto`, or see the "
            "GPUs in `harness check`"
        )
    used = gpus_of(case, offered) or 0
    if used and obstacle is not None:
        return f"no job can use the host's GPUs: {obstacle}"
    if used > case.batch_size:
        return (
            f"a batch of {_count(case.batch_size, 'image')} cannot be shared by {used} GPUs: use a `batch_size` of at "
            f"least {used}, which is for all GPUs together"
        )
    if used > 1 and case.model is not None and case.model.xla:
        return f"Keras compiles no training step with XLA for {used} GPUs: leave out `xla: true`, or use `gpus: 1`"
    return None


def _memory_reason(case: Case, available: int | None, reasons: Sequence[str], can_limit: bool) -> str | None:
    if not can_limit:
        why = "; ".join(reasons) or "the engine cannot set one"
        return f"no memory limit can be enforced here: {why}; `harness check` shows what to do"
    limit = limit_of(case, available)
    if available is not None and limit is not None and limit > available:
        return (
            f"a limit of {format_bytes(limit)} is more than this host can give: {format_bytes(available)} "
            "are available after the reserve: use a smaller limit, free memory there, or lower `memory_reserve`"
        )
    return None


def _disk_reason(
    case: Case,
    disks: Mapping[str, DiskFacts],
    reserve: DiskReserve,
    needed: int | None,
    names: Sequence[str],
) -> str | None:
    if not is_on_disk(case.cache):
        return None
    if case.cache_disk not in names:
        return f"the host has no disk named {case.cache_disk!r} (it has {', '.join(names)}): add it under `disks:`"
    disk = disks.get(case.cache_disk)
    if disk is None or needed is None:
        return None
    return lacking_disk(disk, reserve_of(reserve, case.cache_disk), needed)


def lacking_disk(disk: DiskFacts, reserve: int | None, needed: int) -> str | None:
    """Return why a cache does not fit on a disk beside the reserve, in numbers; None if it fits."""
    if disk.free_bytes is None:
        return None
    available = disk_allowance(disk, reserve)
    if needed <= available:
        return None
    return (
        f"its cache does not fit on {disk.path}: {format_bytes(available)} available after the reserve, "
        f"{format_bytes(needed)} required, {format_bytes(needed - available)} missing "
        f"({available} / {needed} / {needed - available} bytes): free that much, name a larger disk under `disks:`, or "
        "use a smaller cache (`element: uint8` takes a quarter) or a smaller `image_size`"
    )


def lacking_memory(limit: int, free_now: int | None) -> str | None:
    """Return why a run cannot start now, if less memory is free than its limit; else None."""
    if free_now is None or free_now >= limit:
        return None
    return (
        f"only {format_bytes(free_now)} of memory are free now, its limit is {format_bytes(limit)}: stop what uses "
        "memory there, or use a smaller limit"
    )

"""Checks of disks and data sets. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.analysis.host_check import Check, Outcome
from harness.analysis.protection import DiskReserve, disk_allowance, reserve_of
from harness.values.data import DataState
from harness.values.engine_names import EngineWords
from harness.values.facts import DiskFacts, Facts
from harness.values.units import format_bytes

LOAD_FACTOR = 2.0
"""The load of an image needs about twice the image for a moment."""


def check_disks(
    facts: Facts, disk_reserve: DiskReserve, image_bytes: int | None, words: EngineWords
) -> Iterator[Check]:
    """Where caches and images go; ``image_bytes`` is the size of an image that must still come, None otherwise.

    ``words`` are those of the engine that keeps the images.
    """
    for name, disk in facts.disks.items():
        if name.startswith("data:"):
            continue
        if name == "images":
            if image_bytes is not None:
                yield _check_image_store(disk, image_bytes, words.room)
            continue
        yield _check_cache_disk(name, disk, reserve_of(disk_reserve, name))


def check_data(states: Iterable[DataState]) -> Iterator[Check]:
    """Check each data set of the inventory: whether it is there, what it is, how many images, its fingerprint.

    A data set that cannot be used makes the host not ready only if no other data set can be used.
    """
    states = list(states)
    is_any_usable = any(state.problem is None for state in states)
    for state in states:
        yield _check_data(state, "warning" if is_any_usable else "failure")
        for sentence in state.said:
            yield Check("data", state.name, "ok", sentence)


def _check_cache_disk(name: str, disk: DiskFacts, disk_reserve: int | None) -> Check:
    where = f"{disk.path} ({disk.filesystem or 'unknown file system'}, {disk.kind})"
    if disk.free_bytes is None:
        return Check(
            "disk", name, "unproven", f"{where}: the free space could not be read", f"try `df {disk.path}` there"
        )
    if disk.is_writable is False:
        cure = "name a folder that this user may write, with `scratch:` or `disks:` in the inventory"
        outcome: Outcome = "failure" if name == "scratch" else "warning"
        return Check("disk", name, outcome, f"{where}: this user may not write there", cure)
    allowance = disk_allowance(disk, disk_reserve)
    message = f"{where}: {format_bytes(allowance)} for caches, {format_bytes(disk.free_bytes)} free"
    if allowance == 0:
        cure = f"free some space on {disk.path}, or name another folder with `scratch:` or `disks:`"
        return Check("disk", name, "failure" if name == "scratch" else "warning", message, cure)
    if disk.kind == "memory":
        return Check("disk", name, "warning", f"{message}; it is in memory", "name a folder on a disk")
    if disk.kind == "network":
        cure = "name a folder on a local disk: on a network disk the state of the page cache cannot be proven"
        return Check("disk", name, "warning", message, cure)
    return Check("disk", name, "ok", message)


def _check_image_store(disk: DiskFacts, image_bytes: int, cure: str) -> Check:
    needed = round(LOAD_FACTOR * image_bytes)
    if disk.free_bytes is None:
        message = f"{disk.path}: what is free could not be read"
        return Check("disk", "images", "unproven", message, f"try `df {disk.path}` there")
    message = (
        f"{disk.path}: {format_bytes(disk.free_bytes)} free, the image needs {format_bytes(needed)} while it is loaded"
    )
    if disk.free_bytes < needed:
        return Check("disk", "images", "failure", message, cure)
    return Check("disk", "images", "ok", message)


def _check_data(state: DataState, outcome_if_bad: Outcome) -> Check:
    if state.problem is not None:
        return Check("data", state.name, outcome_if_bad, state.problem, state.hint)
    if state.will_be_made:
        return Check("data", state.name, "ok", f"{state.place}: will be generated")
    count = "" if state.images is None else f", {'at most ' if state.is_bound else ''}{state.images:,} images"
    size = "" if state.bytes is None else f", {format_bytes(state.bytes)}"
    if state.fingerprint is None:
        cure = "`harness run` or `harness data describe` computes its fingerprint, for which every file is read once"
        return Check("data", state.name, "unproven", f"{state.place}{count}{size}: {state.source}", cure)
    known = f"fingerprint {state.fingerprint[:12]} ({state.source})"
    return Check("data", state.name, "ok", f"{state.place}{count}{size}, {known}")

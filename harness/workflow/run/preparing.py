"""Preparing a host that has everything it needs: its data sets are checked. Progress goes to ``emit``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.bench.protocol.loader_registry import LOADERS
from harness.engine.interface import Payload
from harness.engine.jobs import CUDA_FOLDER, HostData, JobHost
from harness.engine.reached import Reached
from harness.hosts.facts import read_available_bytes
from harness.hosts.own_folders import make_own_folder
from harness.session.feasibility import refuse_hopeless
from harness.session.setup import HostSetup
from harness.ship.bringing import Brought
from harness.ship.dataset_check import DataSpec, prepare_data
from harness.ship.datatransfer import ShippedData
from harness.ship.needs import formats_of
from harness.values.case import Case
from harness.values.errors import DataError
from harness.values.event import DataReady, Emit, progress_of


def prepare(
    reached: Reached,
    brought: Brought,
    cases: Sequence[Case],
    payload: Payload,
    emit: Emit,
    *,
    memory_available: int | None = None,
    said: Mapping[str, Sequence[str]] | None = None,
    keep: KeepLeftOut = lambda name, rows, count: None,
) -> HostSetup:
    """Check the data sets of a host and return its setup, ready to measure.

    A data set that cannot be used costs only the cases that need it. ``said`` are the sentences from the inspection of
    each data set, by name; ``keep`` stores the files that were left out of one. Raises HostError, and DataError or
    ConfigurationError if no case can run.
    """
    chosen = brought.engine
    on = JobHost.of(reached, payload, chosen.engine, chosen.facts, chosen.image)
    data: dict[str, HostData] = {}
    missing = dict(brought.missing_data)
    for name, place in brought.sets.items():
        try:
            data[name] = _check_set(on, name, place, cases, emit, (said or {}).get(name, ()), keep)
        except DataError as error:
            missing[name] = error
    refuse_hopeless(cases, missing, brought.missing_weights)
    if on.gpus:
        make_own_folder(on.connection, on.scratch, f"{on.scratch}/{CUDA_FOLDER}")
    return HostSetup(
        **vars(on),
        engine_facts=chosen.facts,
        facts=reached.facts,
        memory_available=memory_available or memory_left(reached),
        data=data,
        missing_data={name: error.as_reason for name, error in missing.items()},
        memory_reserve=reached.host.variables.memory_reserve,
        disk_reserve=reached.host.variables.disk_reserve,
        weights=brought.weights,
        missing_weights={key: error.as_reason for key, error in brought.missing_weights.items()},
    )


def memory_left(reached: Reached) -> int:
    """Return the bytes that `memory_limit: none` allows now, less what the engine took since the host was inspected."""
    before, now = reached.facts.available_bytes, read_available_bytes(reached.connection)
    gone = 0 if before is None or now is None else max(0, before - now)
    return max(0, reached.memory_available - gone)


KeepLeftOut = Callable[[str, Sequence[tuple[str, str]], int], object]
"""Stores the files that were left out of a data set: its name, (path, reason) rows, and the total count."""


def _check_set(
    on: JobHost,
    name: str,
    place: DataSpec,
    cases: Sequence[Case],
    emit: Emit,
    seen: Sequence[str],
    keep: KeepLeftOut,
) -> HostData:
    """Generate a data set if the inventory says so, check all its files, and report it. Raises DataError."""
    prepared = prepare_data(
        on,
        name,
        place,
        links=any(LOADERS[case.loader].links_for_lists and case.data == name for case in cases),
        formats=formats_of(case for case in cases if case.data == name),
        on_progress=progress_of(on.host, emit, f"data set {name}"),
    )
    refuse_changed(on.host, name, place, prepared.fingerprint)
    if prepared.images == 0:
        raise DataError(f"data set {name!r} is empty", where=on.host, hint="check its path in the inventory")
    size = (prepared.images, prepared.bytes)
    if prepared.skipped:
        keep(name, prepared.skipped, prepared.skipped_count)
    ready = DataReady(
        on.host,
        name,
        prepared.fingerprint,
        *size,
        prepared.source,
        prepared.odd,
        said=(*seen, *(one for one in prepared.said if one not in seen and not (seen and prepared.kind == "folder"))),
        examples=tuple((note, *paths) for note, paths in prepared.odd_examples.items()),
        skipped=prepared.skipped_count,
    )
    emit(ready)
    return prepared


def refuse_changed(host: str, name: str, place: DataSpec, fingerprint: str) -> None:
    """Raise DataError if a shipped data set is no longer what was sent."""
    if isinstance(place, ShippedData) and not place.skip_unreadable and place.fingerprint != fingerprint:
        hint = f"send it again: harness ship INVENTORY --data {name}"
        message = f"the shipped data set {name!r} has changed on the host (its fingerprint differs from what was sent)"
        raise DataError(message, where=host, hint=hint)

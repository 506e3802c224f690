"""Makes a reached host ready: engine, image, payload, data sets. Yields what happens through ``emit``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.findings import find
from harness.bench.protocol.loader_registry import LOADERS
from harness.engine.interface import Payload
from harness.engine.jobs import HostData, JobHost
from harness.hosts.facts import read_available_bytes
from harness.session.feasibility import missing_for
from harness.session.setup import HostSetup
from harness.ship.dataset_check import DataSpec, prepare_data
from harness.ship.datatransfer import ShippedData
from harness.values.case import Case
from harness.values.errors import DataError, HarnessError
from harness.values.event import DataReady, EngineChosen, ImageReady, SessionFinding, progress_of
from harness.workflow.host_engines import ChosenEngine, find_engine, job_host
from harness.workflow.reaching import Emit, Reached
from harness.workflow.ship.transfers import Transfers, ship_data
from harness.workflow.ship.weight_files import find_weights, missing_weights

_DATA_TIMEOUT_S = 6 * 3600.0


@dataclass(frozen=True)
class Wanted:
    """What a session needs of a host."""

    engine: str
    cases: tuple[Case, ...]
    payload: Payload
    memory_available: int | None = None
    transfers: Transfers | None = None


def prepare(reached: Reached, wanted: Wanted, emit: Emit) -> HostSetup:
    """Make a host ready to measure. Raises HostError; DataError or ConfigurationError where no case can run there.

    What is there is looked at first, before anything is built or sent. Then the weights are brought, the engine with
    its image, and the data sets one after the other: one that cannot be used costs the cases that need it, no others.
    """
    cases, transfers = wanted.cases, wanted.transfers
    seen = {name: reached.inspect(name, is_counted=False) for name in dict.fromkeys(case.data for case in cases)}
    sent = transfers.sets if transfers is not None and transfers.ship_data else ()
    absent = {name: state for name, (place, state) in seen.items() if place is None and name not in sent}
    lacking = missing_weights(cases, reached, may_ship=transfers is not None)
    refuse_hopeless(cases, {name: state.as_error(reached.name) for name, state in absent.items()}, lacking)
    weights = find_weights(cases, reached, transfers, emit)
    chosen = _ready_engine(reached, wanted, emit)
    on = job_host(reached, chosen, wanted.payload)
    data: dict[str, HostData] = {}
    missing: dict[str, DataError] = {}
    for name, (place, _) in seen.items():
        try:
            found = choose_data(reached, name, transfers, emit) if place is None else place
            data[name] = _check_set(on, name, found, cases, emit)
        except DataError as error:
            missing[name] = error
    refuse_hopeless(cases, missing, lacking)
    return HostSetup(
        **vars(on),
        engine_facts=chosen.facts,
        facts=reached.facts,
        memory_available=wanted.memory_available or memory_left(reached),
        data=data,
        missing_data={name: error.message for name, error in missing.items()},
        memory_reserve=reached.host.variables.memory_reserve,
        disk_reserve=reached.host.variables.disk_reserve,
        weights=weights,
        missing_weights={key: error.message for key, error in lacking.items()},
    )


def refuse_hopeless(
    cases: Sequence[Case], missing_data: Mapping[str, HarnessError], missing_weights: Mapping[str, HarnessError]
) -> None:
    """Raise why the first case cannot run, where every case lacks its data set or its weights."""
    lacking = [missing_for(case, missing_data, missing_weights) for case in cases]
    if lacking and lacking[0] is not None and None not in lacking:
        raise lacking[0]


def memory_left(reached: Reached) -> int:
    """Return what `memory_limit: none` allows now: an engine that has just unpacked an image holds more than before."""
    before, now = reached.facts.available_bytes, read_available_bytes(reached.connection)
    gone = 0 if before is None or now is None else max(0, before - now)
    return max(0, reached.memory_available - gone)


def _ready_engine(reached: Reached, wanted: Wanted, emit: Emit) -> ChosenEngine:
    """Find the host's engine, its image brought, and tell of it. Raises EngineUnavailable, ImageUnavailable."""
    search = find_engine(reached, wanted.engine, wanted.transfers, emit)
    chosen = search.take()
    facts, choice = chosen.facts, chosen.choice
    if choice.warning:
        lacking = f"`harness check` says what {search.refused[0].spec.name} lacks"
        hint = "; ".join(part for part in (facts.words.caution, lacking) if part)
        emit(SessionFinding.of(find("engine-fallback", choice.warning, hint, severity=choice.severity), reached.name))
    where = f", image {chosen.image}" if chosen.image else ""
    emit(EngineChosen(reached.name, facts.engine, facts.version, choice.reason + where))
    if chosen.image and facts.image_digest is not None:
        emit(ImageReady(reached.name, facts.image_digest, chosen.how, chosen.seconds))
    return chosen


def choose_data(reached: Reached, name: str, transfers: Transfers | None, emit: Emit) -> DataSpec | ShippedData:
    """Return a host's data set: as its inventory says, else shipped, now, where that is allowed. Raises DataError."""
    place, state = reached.inspect(name, is_counted=False)
    if place is None and transfers is not None and transfers.ship_data and name in transfers.sets:
        ship_data(reached, name, transfers, emit)
        place, state = reached.inspect(name, is_counted=False)
    if place is None:
        raise state.as_error(reached.name)
    return place


def _check_set(on: JobHost, name: str, place: DataSpec | ShippedData, cases: Sequence[Case], emit: Emit) -> HostData:
    """Make a data set where it is to be made, check all its files, and tell of it. Raises DataError."""
    prepared = prepare_data(
        on,
        name,
        place,
        links=any(LOADERS[case.loader].links_for_lists and case.data == name for case in cases),
        on_progress=progress_of(on.host, emit, f"data set {name}"),
        timeout_s=_DATA_TIMEOUT_S,
    )
    refuse_changed(on.host, name, place, prepared.fingerprint)
    if prepared.images == 0:
        raise DataError(f"data set {name!r} is empty", where=on.host, hint="check its path in the inventory")
    size = (prepared.images, prepared.bytes)
    emit(DataReady(on.host, name, prepared.fingerprint, *size, prepared.source, prepared.odd))
    return prepared


def refuse_changed(host: str, name: str, place: object, fingerprint: str) -> None:
    """Raise DataError where a shipped set is not any more what was sent."""
    if isinstance(place, ShippedData) and place.fingerprint != fingerprint:
        hint = f"send it again: harness ship INVENTORY --data {name}"
        message = (
            f"the shipped data set {name!r} has changed on the host (its fingerprint is not that of what was sent)"
        )
        raise DataError(message, where=host, hint=hint)

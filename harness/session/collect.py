"""Building a record from the results of a job."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from harness.analysis.findings import find
from harness.analysis.record_status import Evidence, judge_ending
from harness.analysis.stage_settings import stage_key
from harness.analysis.validity import judge_record
from harness.bench.protocol import bounded_json, protocol
from harness.bench.protocol.own_loader import own_place, split_own
from harness.engine.interface import JobState
from harness.session.invocations import Invocation
from harness.session.setup import HostSetup
from harness.values.record import ABSENT, CacheUse, Epoch, Gpu, Memory, Record, SetSize, Status
from harness.values.results import JobEnvironment, JobEvent, JobFailure, JobMemory, JobOutcome, Json
from harness.values.text import clean_text
from harness.values.work import hint_differs, say_differs

_TAIL_LINES = 30
_TAIL_CHARACTERS = 4000
_MOST_BYTES = 2**20
"""Bytes of a results file at most; it usually has some kilobytes, and all of it goes into the record."""
_MOST_EVENTS = 10_000
"""Phases and epochs of one job at most; a case of a thousand epochs has a tenth of it."""
_MAKES_NO_SENSE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)
_EPOCH_FIELDS = frozenset(Epoch.model_fields)


@dataclass(frozen=True)
class SessionIdentity:
    """The fields that all records of a session share.

    ``key`` marks its jobs and locks on hosts. The name alone is not unique: two people may run the same experiment on
    the same inventory.
    """

    session: str
    experiment: str
    key: str


@dataclass(frozen=True)
class Results:
    """The unparsed results of a job (``harness.values.results`` parses them); None for an absent file.

    ``events`` has only those that a record needs. ``unreadable`` names the files that exceed a bound, and why.
    """

    outcome: Json | None
    failure: Json | None
    environment: Json
    events: tuple[dict[str, object], ...]
    log: str
    gpu: Json | None = None
    unreadable: tuple[str, ...] = ()


def read_results(folder: Path) -> Results:
    """Read a fetched results folder; absent or malformed files count as None."""
    unreadable: list[str] = []

    def read(name: str) -> Json | None:
        try:
            value = bounded_json.read(folder / name, most_bytes=_MOST_BYTES)
        except (FileNotFoundError, bounded_json.NotJson):
            return None
        except bounded_json.Unreadable as error:
            unreadable.append(f"{name}: {error}")
            return None
        return cast(Json, value) if isinstance(value, dict) else None

    outcome, failure, environment, gpu = map(
        read, (protocol.OUTCOME, protocol.FAILURE, protocol.ENVIRONMENT, protocol.GPU)
    )
    try:
        events = _read_events(folder / protocol.EVENTS)
    except bounded_json.Unreadable as error:
        events = ()
        unreadable.append(f"{protocol.EVENTS}: {error}")
    log = protocol.read_log(folder / protocol.LOG)
    return Results(outcome, failure, environment or {}, events, log, gpu, tuple(unreadable))


def _read_events(file: Path) -> tuple[dict[str, object], ...]:
    """Read the events that a record needs: phases, epochs, and the last line of each kind of progress."""
    kept: list[dict[str, object]] = []
    newest: dict[str, dict[str, object]] = {}
    for line in protocol.read_lines(file):
        kind = line.get("event")
        if kind in ("phase", "epoch"):
            kept.append(line)
        elif kind in ("progress", "done"):
            newest[str(kind)] = line
        if len(kept) > _MOST_EVENTS:
            raise bounded_json.Unreadable(f"it holds more than {_MOST_EVENTS} phases and epochs")
    return (*kept, *newest.values())


def build_record(
    identity: SessionIdentity,
    setup: HostSetup,
    invocation: Invocation,
    state: JobState,
    results: Results,
    *,
    log: str | None,
    started_at: str,
    finished_at: str,
    peers: Sequence[Record] = (),
) -> Record:
    """Build the record of a run, with its status and validity, judged beside the session's other records (``peers``).

    Results come from a host, and from a benchmark that may contain a user's own code: results that are not valid make
    the run an error. The record is guaranteed to be readable from its JSON.
    """
    try:
        if results.unreadable:
            raise ValueError("; ".join(results.unreadable))
        record = _build(identity, setup, invocation, state, results, log, (started_at, finished_at), peers)
        Record.model_validate_json(record.model_dump_json())
        return record
    except _MAKES_NO_SENSE as error:
        cause = f"its results are not valid: {clean_text(error)}"
        record = build_unmeasured(identity, setup, invocation, status="error", cause=cause, at=started_at)
        return record.model_copy(update={"finished_at": finished_at, "log": log, "log_tail": _tail(results)})


def _build(
    identity: SessionIdentity,
    setup: HostSetup,
    invocation: Invocation,
    state: JobState,
    results: Results,
    log: str | None,
    between: tuple[str, str],
    peers: Sequence[Record],
) -> Record:
    started_at, finished_at = between
    outcome = JobOutcome.model_validate(results.outcome or {})
    events = tuple(map(JobEvent.model_validate, results.events))
    ending = judge_ending(
        Evidence(
            outcome=None if results.outcome is None else outcome,
            failure=None if results.failure is None else JobFailure.model_validate(results.failure),
            events=events,
            phase=state.phase,
            exit_code=state.exit_code,
            engine_oom=state.oom_killed,
            engine_error=state.error,
            ended_by_engine=state.ended_as,
        )
    )
    predicted = invocation.predictions.cache_bytes if invocation.predictions else None
    cache = _cache(invocation, events, predicted)
    record = _base(
        identity,
        setup,
        invocation,
        status=ending.status,
        cause=ending.cause,
        evidence={
            **ending.evidence,
            "engine_warnings": list(state.warnings),
            "limit_step_bytes": setup.engine_facts.limit_step_bytes,
        },
        epochs=tuple(_epochs(results.events)),
        memory=_memory(invocation, outcome.memory or JobMemory()),
        cache=cache,
        io=_io(outcome, events, results.gpu),
        gpu=_gpus(results.environment),
        environment={
            **setup.environment,
            **results.environment,
            "supervisor": outcome.supervisor,
            **_loader_environment(setup, invocation),
            "weights": _weights(setup, invocation),
        },
        log=log,
        log_tail=_tail(results) if ending.status != "ok" else None,
        started_at=outcome.started_at or started_at,
        finished_at=outcome.finished_at or finished_at,
    )
    validity, findings = judge_record(record, setup.facts, peers)
    return record.model_copy(update={"validity": validity, "findings": findings})


def build_skipped(
    identity: SessionIdentity, setup: HostSetup, invocation: Invocation, *, reason: str, at: str
) -> Record:
    """Build the record of a run that was not started, with the reason.

    If its loader failed the same-work check, the record is invalid.
    """
    record = build_unmeasured(identity, setup, invocation, status="skipped", cause=reason, at=at)
    proof = setup.proof_of(invocation.case)
    if proof is None or not proof.fails:
        return record
    finding = find("work-differs", say_differs(invocation.case.loader, proof.problems), hint_differs(proof))
    environment = {**record.environment, **_loader_environment(setup, invocation)}
    invalid = {"validity": "invalid", "findings": (finding,), "environment": environment, "log": proof.log}
    return record.model_copy(update=invalid)


def build_unmeasured(
    identity: SessionIdentity, setup: HostSetup, invocation: Invocation, *, status: Status, cause: str, at: str
) -> Record:
    """Build the record of a run without results."""
    return _base(
        identity,
        setup,
        invocation,
        status=status,
        cause=cause,
        memory=Memory(limit_asked=invocation.memory_bytes),
        environment=setup.environment,
        started_at=at,
        finished_at=at,
    )


def _base(identity: SessionIdentity, setup: HostSetup, invocation: Invocation, **fields: Any) -> Record:
    data = setup.data.get(invocation.case.data)
    return Record(
        session=identity.session,
        experiment=identity.experiment,
        invocation=invocation.identity,
        attempt=invocation.attempt,
        host=invocation.host,
        hardware=setup.facts.hardware,
        engine=setup.engine.name,
        image_digest=setup.image_digest,
        payload_digest=setup.payload.digest,
        data_fingerprint=data.fingerprint if data else ABSENT,
        set_size=SetSize(images=data.images, bytes=data.bytes) if data and data.images else None,
        case=invocation.case,
        case_id=invocation.case.case_id,
        alias=invocation.alias,
        round=invocation.round,
        order=invocation.order,
        predictions=invocation.predictions,
        stages=setup.stage_costs.get(stage_key(invocation.case)),
        **fields,
    )


def _epochs(events: Sequence[dict[str, object]]) -> list[Epoch]:
    return [
        Epoch.model_validate({key: value for key, value in event.items() if key in _EPOCH_FIELDS})
        for event in events
        if event.get("event") == "epoch"
    ]


def _gpus(environment: Json) -> tuple[Gpu, ...]:
    devices = JobEnvironment.model_validate(environment).devices
    return () if devices is None else tuple(Gpu(name=str(name)) for name in devices.gpus or ())


def _memory(invocation: Invocation, found: JobMemory) -> Memory:
    return Memory(
        limit_asked=invocation.memory_bytes,
        limit_effective=found.limit_effective,
        swap_limit=found.swap_limit,
        enforced_by=found.enforced_by,
        peak_anon=found.peak_anon,
        peak_total=found.peak_total,
        oom_kills=found.oom_kills,
        swap_used=found.swap_used,
    )


def _cache(invocation: Invocation, events: Sequence[JobEvent], predicted: int | None) -> CacheUse | None:
    case = invocation.case
    if case.cache == "none":
        return None
    done = next((event for event in reversed(events) if event.event == "done"), JobEvent())
    return CacheUse(
        kind=case.cache,
        element=case.element,
        bytes=done.cache_bytes,
        predicted_bytes=predicted,
        reused=case.cache_reuse == "reused",
        build_s=done.build_s,
    )


def _loader_environment(setup: HostSetup, invocation: Invocation) -> dict[str, object]:
    """Return the result of the same-work check of a case's loader, and its file if it is a user's own loader."""
    proof, own = setup.proof_of(invocation.case), split_own(invocation.case.loader)
    place = None if own is None else own_place(own[0])
    return {
        "samework": None if proof is None else proof.as_fields(),
        "own_loader": None if place is None else {"file": place, "sha256": setup.payload.own.get(place)},
    }


def _weights(setup: HostSetup, invocation: Invocation) -> dict[str, str] | None:
    """Return name and SHA-256 of the weights file that the model starts from; None for random weights."""
    file = setup.weights_of(invocation.case)
    return None if file is None else {"file": posixpath.basename(file.path), "sha256": file.sha256}


def _io(outcome: JobOutcome, events: Sequence[JobEvent], gpu: Json | None) -> Json:
    return {
        "page_cache": outcome.page_cache,
        "disk": outcome.disk,
        "phases": {event.name: event.t for event in events if event.event == "phase" and event.name is not None},
        "wall_s": outcome.wall_s,
        "child": None if outcome.child is None else outcome.child.plain(),
        "host": outcome.host,
        "gpu": gpu,
    }


def _tail(results: Results) -> str:
    lines = results.log.splitlines()[-_TAIL_LINES:]
    trace = (results.failure or {}).get("traceback")
    if isinstance(trace, list):
        lines += [str(line) for line in trace[-10:]]
    return "\n".join(lines)[-_TAIL_CHARACTERS:]

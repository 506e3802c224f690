"""``harness plan``: what ``run`` would do, in numbers. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bench.registry import is_on_disk
from harness.experiment import case_label, round_order
from harness.inventory import Host, explain_host, load_inventory, select_hosts
from harness.session.feasibility import limit_of, refusals
from harness.session.folder import find_folder
from harness.session.journal import read_records
from harness.session.plan import newest_records
from harness.values.case import Case
from harness.values.errors import ConfigurationError, EngineUnavailable, HostError
from harness.values.record import Record
from harness.values.units import format_bytes, format_duration
from harness.workflow.expectations import data_size, expect
from harness.workflow.reaching import Reached, probe_engines, reach, select_cpus, select_gpus
from harness.workflow.resolve import Resolved, resolve, wanted_engine

if TYPE_CHECKING:
    from harness.console import Console

_ASSUMED_CPUS = 4


@dataclass(frozen=True)
class HostPlan:
    """What would run on one host; ``lines`` are its cases, by case_id in the order of the first round."""

    host: str
    state: str
    note: str
    engine: str
    lines: tuple[dict[str, Any], ...]
    orders: Mapping[int, tuple[str, ...]]
    disk_bytes: int
    seconds: float
    done: int
    planned: int


def explain_inventory(console: Console, inventory: Path, host_name: str, *, as_json: bool) -> None:
    """Print each value of one host with the file and line that it came from."""
    try:
        (host,) = select_hosts(load_inventory(inventory), host_name)[:1]
    except ConfigurationError as error:
        if error.where != "--limit":
            raise
        raise ConfigurationError(error.message, where="--explain", hint=error.hint) from None
    rows = explain_host(host)
    if as_json:
        keys = ("key", "value", "file", "line")
        console.result_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    table = [[str(key), str(value), f"{file}:{line}" if line else str(file)] for key, value, file, line in rows]
    console.table(["variable", "value", "from"], table, title=f"{host.name} (groups: {', '.join(host.groups)})")


def show_plan(
    console: Console,
    inventory: Path,
    *,
    limit: str | None,
    experiment: str | None,
    engine: str | None,
    offline: bool,
    rounds: int | None,
    only: Sequence[str],
    output: Path,
    as_json: bool,
) -> None:
    """Print hosts × cases, what was folded out, order, predictions, what cannot fit, and a time."""
    resolved = resolve(console, inventory, limit=limit, experiment=experiment, rounds=rounds, only=only)
    folder = find_folder(
        output,
        inventory=resolved.inventory.name,
        experiment=resolved.experiment.name,
        digest=resolved.digest,
        name=None,
        is_fresh=False,
    )
    records = list(newest_records(read_records(folder)).values()) if folder.exists() else []
    plans = [_plan_host(host, resolved, records, engine, offline=offline) for host in resolved.hosts]
    if as_json:
        console.result_json(_as_json(resolved, str(folder.path), plans))
        return
    _print_head(console, resolved, str(folder.path), is_there=folder.exists())
    for plan in plans:
        _print_host(console, plan)
    _print_folded(console, resolved)


def _plan_host(
    host: Host, resolved: Resolved, records: Sequence[Record], engine: str | None, *, offline: bool
) -> HostPlan:
    requested = wanted_engine(host, engine)
    if offline:
        return _build(host, resolved, records, None, "not asked", "assumed to be ready", requested, ())
    try:
        reached = reach(host)
        name, reasons = _engine_of(reached, requested)
    except HostError as error:
        return _build(host, resolved, records, None, error.state, str(error), requested, ())
    return _build(host, resolved, records, reached, "reached", reached.facts.hardware, name, reasons)


def _engine_of(reached: Reached, requested: str) -> tuple[str, tuple[str, ...]]:
    """The engine that would be used, and why it could not limit memory (empty where it can)."""
    docker, process = probe_engines(reached, requested, "")
    for name, found in (("docker", docker), ("process", process)):
        if found is not None and not isinstance(found, EngineUnavailable):
            reasons = () if found.can_limit_memory else found.reasons or ("the engine cannot set one",)
            return f"{name} {found.version}", reasons
    raise (docker if isinstance(docker, EngineUnavailable) else process) or EngineUnavailable(  # type: ignore[misc]
        "no engine", where=reached.name
    )


def _build(
    host: Host,
    resolved: Resolved,
    records: Sequence[Record],
    reached: Reached | None,
    state: str,
    note: str,
    engine: str,
    engine_reasons: Sequence[str],
) -> HostPlan:
    cases, experiment = resolved.cases, resolved.experiment
    cpus = len(select_cpus(reached.facts, host.variables.cpus)) if reached else _ASSUMED_CPUS
    has_gpu = reached is not None and bool(select_gpus(reached.facts, host.variables.gpus))
    limits = {case.case_id: _limit(case, reached) for case in cases}
    sizes = {case.case_id: data_size(case, host, records) for case in cases}
    expected = {
        case.case_id: expect(
            case, sizes[case.case_id], cpus=cpus, limit=limits[case.case_id], has_gpu=has_gpu, records=records
        )
        for case in cases
    }
    refused = {} if reached is None else _refused(host, cases, reached, expected, engine_reasons)
    lines = tuple(
        _line(case, cases, limits[case.case_id], expected[case.case_id], refused.get(case.case_id), records, host.name)
        for case in cases
    )
    orders = {
        number: tuple(
            case.case_id for case in round_order(cases, seed=experiment.seed, host=host.name, round_number=number)
        )
        for number in range(1, experiment.first_rounds + 1)
    }
    seconds = sum(line["seconds"] or 0.0 for line in lines if not line["refused"])
    done = sum(line["done"] for line in lines)
    return HostPlan(
        host=host.name,
        state=state,
        note=note,
        engine=engine,
        lines=lines,
        orders=orders,
        disk_bytes=max((line["cache_bytes"] or 0 for line in lines if line["cache_on_disk"]), default=0),
        seconds=seconds * experiment.first_rounds,
        done=done,
        planned=len(cases) * experiment.first_rounds,
    )


def _limit(case: Case, reached: Reached | None) -> int | None:
    if reached is not None:
        return limit_of(case, reached.memory_available)
    return case.memory_limit if isinstance(case.memory_limit, int) else None


def _refused(
    host: Host,
    cases: Sequence[Case],
    reached: Reached,
    expected: Mapping[str, Mapping[str, Any]],
    engine_reasons: Sequence[str],
) -> dict[str, str]:
    names = {case.data for case in cases}
    known = host.variables.data
    missing = {name: f"the host has no data set {name!r}" for name in names if name not in known}
    found = refusals(
        cases,
        memory_available=reached.memory_available,
        disks=reached.facts.disks,
        disk_reserve=host.variables.disk_reserve,
        cache_bytes={case_id: one.get("cache_bytes") for case_id, one in expected.items()},
        missing_data=missing,
        missing_weights={},
        engine_reasons=engine_reasons,
        can_limit_memory=not engine_reasons,
        disk_names=tuple(reached.disks),
        gpus=len(select_gpus(reached.facts, host.variables.gpus)),
    )
    return {refusal.case_id: refusal.reason for refusal in found}


def _line(
    case: Case,
    cases: Sequence[Case],
    limit: int | None,
    expected: Mapping[str, Any],
    refused: str | None,
    records: Sequence[Record],
    host: str,
) -> dict[str, Any]:
    done = sum(1 for record in records if record.case_id == case.case_id and record.host == host)
    return {
        "case_id": case.case_id,
        "label": case_label(case, among=cases),
        "memory_limit": limit,
        "cache_bytes": expected.get("cache_bytes"),
        "cache_on_disk": is_on_disk(case.cache),
        "peak_memory_bytes": expected.get("peak_memory_bytes"),
        "fits": expected.get("fits"),
        "reason": expected.get("reason"),
        "seconds": expected.get("duration_s"),
        "refused": refused,
        "done": done,
    }


def _as_json(resolved: Resolved, folder: str, plans: Sequence[HostPlan]) -> dict[str, Any]:
    return {
        "experiment": resolved.experiment.model_dump(mode="json"),
        "reason": resolved.reason,
        "session_folder": folder,
        "seed": resolved.experiment.seed,
        "rounds": resolved.experiment.rounds,
        "folded": [{"case": one.description, "reason": one.reason} for one in resolved.matrix.folded],
        "excluded": [{"case": one.description, "reason": one.reason} for one in resolved.matrix.excluded],
        "notes": list(resolved.matrix.notes),
        "hosts": [vars(plan) for plan in plans],
    }


def _print_head(console: Console, resolved: Resolved, folder: str, *, is_there: bool) -> None:
    experiment = resolved.experiment
    console.result(f"experiment  {experiment.name}: {resolved.reason}")
    console.result(f"session     {folder} ({'continues' if is_there else 'new'})")
    console.result(f"rounds      {experiment.rounds}, seed {experiment.seed}, order random within each round")
    for note in resolved.matrix.notes:
        console.result(f"note        {note}")


def _print_host(console: Console, plan: HostPlan) -> None:
    console.result("")
    console.result(f"{plan.host} ({plan.state}; engine {plan.engine}): {plan.note}")
    positions = {case_id: index for index, case_id in enumerate(plan.orders.get(1, ()), start=1)}
    rows = []
    for line in sorted(plan.lines, key=lambda one: positions.get(one["case_id"], 0)):
        verdict = (
            f"skipped: {line['refused']}"
            if line["refused"]
            else ("fits" if line["fits"] in (True, None) else line["reason"])
        )
        limit = "all it can give" if line["memory_limit"] is None else format_bytes(line["memory_limit"])
        rows.append(
            [
                str(positions.get(line["case_id"], "–")),
                line["case_id"],
                line["label"],
                limit,
                format_bytes(line["cache_bytes"]) if line["cache_bytes"] else "–",
                format_bytes(line["peak_memory_bytes"]),
                format_duration(line["seconds"]),
                verdict,
            ]
        )
    columns = ["order 1", "case", "what", "limit", "cache", "memory", "time", "will it fit"]
    console.table(columns, rows)
    for number, order in list(plan.orders.items())[1:]:
        console.result(f"order of round {number}: {' '.join(str(positions.get(case_id, '–')) for case_id in order)}")
    console.result(
        f"disk needed at most {format_bytes(plan.disk_bytes)} at a time; {plan.done} of {plan.planned} invocations are "
        f"done; all of them take about {format_duration(plan.seconds)} (a guess until something has run)"
    )


def _print_folded(console: Console, resolved: Resolved) -> None:
    out = [*resolved.matrix.folded, *resolved.matrix.excluded]
    if out:
        console.result("")
        console.table(["folded out", "why"], [[one.description, one.reason] for one in out])

"""``harness plan``: what ``run`` would do, in numbers. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.analysis.predictions import predict
from harness.bench.registry import is_on_disk
from harness.experiment import Experiment, case_label, round_order
from harness.inventory import Host, explain_host, load_inventory, select_hosts
from harness.session.extras import choose_twin, choose_warm
from harness.session.feasibility import limit_of, refusals
from harness.session.folder import find_folder
from harness.session.journal import read_records
from harness.session.plan import newest_records
from harness.values.case import Case
from harness.values.data_state import DataState
from harness.values.errors import ConfigurationError, HostError
from harness.values.prediction import Prediction
from harness.values.record import Record
from harness.workflow.engines import find_engine
from harness.workflow.links import Links
from harness.workflow.many_hosts import ask_hosts, values_of
from harness.workflow.plan_tables import HostPlan, plans_as_json, print_plans
from harness.workflow.reaching import Reached, reach, select_cpus, select_gpus
from harness.workflow.resolve import Resolved, resolve, wanted_engine
from harness.workflow.sizes import bytes_of_case, sizes_of

if TYPE_CHECKING:
    from harness.console import Console

_ASSUMED_CPUS = 4


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
    forks: int,
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
    links = Links(console)

    def plan(host: Host) -> HostPlan:
        return _plan_host(host, links, resolved, records, engine, offline=offline)

    answers = ask_hosts(console, resolved.hosts, plan, forks=forks)
    for error in filter(None, (answer.error for answer in answers)):
        raise error  # of no host: one that cannot be reached has a plan that says so
    plans = list(values_of(answers).values())
    if as_json:
        console.result_json(plans_as_json(resolved, str(folder.path), plans))
    else:
        print_plans(console, resolved, str(folder.path), plans, is_there=folder.exists())


def _plan_host(
    host: Host, links: Links, resolved: Resolved, records: Sequence[Record], engine: str | None, *, offline: bool
) -> HostPlan:
    requested = wanted_engine(host, engine)
    if offline:
        return _build(host, resolved, records, None, "not asked", "assumed to be ready", requested, ())
    try:
        reached = reach(host, links)
    except HostError as error:
        return _build(host, resolved, records, None, error.state, str(error), requested, ())
    try:
        name, reasons = _engine_of(reached, requested)
        return _build(host, resolved, records, reached, "reached", reached.facts.hardware, name, reasons)
    except HostError as error:
        return _build(host, resolved, records, None, error.state, str(error), requested, ())
    finally:
        reached.close()


def _engine_of(reached: Reached, requested: str) -> tuple[str, tuple[str, ...]]:
    """The engine that would be used, and why it could not limit memory (empty where it can)."""
    facts = find_engine(reached, requested, None, lambda _event: None).take().facts
    reasons = () if facts.can_limit_memory else facts.reasons or ("the engine cannot set one",)
    return f"{facts.engine} {facts.version}", reasons


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
    sizes = sizes_of(cases, host, reached, records)

    def predict_case(case: Case) -> Prediction | None:
        size, limit = sizes.get(case.data), _limit(case, reached)
        images = None if size is None else size.images
        return predict(case, images=images, cpus=cpus, limit=limit, has_gpu=has_gpu, records=records)

    expected = {case.case_id: found for case in cases if (found := predict_case(case)) is not None}
    refused = {} if reached is None else _refused(host, cases, reached, expected, engine_reasons)
    lines = tuple(
        _line(
            case,
            cases,
            _limit(case, reached),
            expected.get(case.case_id),
            refused.get(case.case_id),
            records,
            host.name,
        )
        for case in cases
    )
    twin = choose_twin(cases, experiment, refused=frozenset(refused), predictions=expected)
    warm = _warm(cases, sizes, reached, expected, frozenset(refused)) if experiment.stall_rounds else []
    rounds = experiment.first_rounds
    times = [line["seconds"] for line in lines if not line["refused"]] * rounds
    times += [_seconds(expected.get(twin.case_id))] * rounds if twin else []
    times += [_seconds(predict_case(case)) for case in warm] * experiment.stall_rounds
    ids = {case.case_id for case in (*cases, *warm)}
    return HostPlan(
        host=host.name,
        state=state,
        note=note,
        engine=engine,
        lines=lines,
        orders=_orders(cases, experiment, host.name),
        data=sizes,
        twin=twin.case_id if twin else None,
        warm=tuple(case_label(case, among=(*cases, *warm)) for case in warm),
        disk_bytes=max((line["cache_bytes"] or 0 for line in lines if line["cache_on_disk"]), default=0),
        seconds=None if None in times else sum(times),
        done=sum(1 for record in records if record.host == host.name and record.case_id in ids),
        planned=(len(cases) + bool(twin)) * rounds + len(warm) * experiment.stall_rounds,
    )


def _orders(cases: Sequence[Case], experiment: Experiment, host: str) -> dict[int, tuple[str, ...]]:
    return {
        number: tuple(case.case_id for case in round_order(cases, seed=experiment.seed, host=host, round_number=number))
        for number in range(1, experiment.first_rounds + 1)
    }


def _warm(
    cases: Sequence[Case],
    sizes: Mapping[str, DataState],
    reached: Reached | None,
    expected: Mapping[str, Prediction],
    refused: frozenset[str],
) -> list[Case]:
    """What stall rounds add: training cases once more with their files in memory, where those fit beside them."""
    data_bytes = {case.case_id: size for case in cases if (size := bytes_of_case(case, sizes)) is not None}
    limits = {case.case_id: limit for case in cases if (limit := _limit(case, reached)) is not None}
    able = [case for case in cases if case.case_id in limits]
    return choose_warm(able, refused=refused, predictions=expected, data_bytes=data_bytes, limits=limits)


def _limit(case: Case, reached: Reached | None) -> int | None:
    if reached is not None:
        return limit_of(case, reached.memory_available)
    return case.memory_limit if isinstance(case.memory_limit, int) else None


def _refused(
    host: Host,
    cases: Sequence[Case],
    reached: Reached,
    expected: Mapping[str, Prediction],
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
        cache_bytes={case_id: one.cache_bytes for case_id, one in expected.items()},
        missing_data=missing,
        missing_weights={},
        engine_reasons=engine_reasons,
        can_limit_memory=not engine_reasons,
        disk_names=tuple(reached.disks),
        gpus=len(select_gpus(reached.facts, host.variables.gpus)),
    )
    return {refusal.case_id: refusal.reason for refusal in found}


def _seconds(expected: Prediction | None) -> float | None:
    return None if expected is None else expected.duration_s


def _line(
    case: Case,
    cases: Sequence[Case],
    limit: int | None,
    expected: Prediction | None,
    refused: str | None,
    records: Sequence[Record],
    host: str,
) -> dict[str, Any]:
    done = sum(1 for record in records if record.case_id == case.case_id and record.host == host)
    return {
        "case_id": case.case_id,
        "label": case_label(case, among=cases),
        "memory_limit": limit,
        "cache_bytes": expected and expected.cache_bytes,
        "cache_on_disk": is_on_disk(case.cache),
        "prediction": expected,
        "seconds": _seconds(expected),
        "refused": refused,
        "done": done,
    }

"""The plan of one host: all its invocations with limits and predictions, and how many rounds there are to be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.analysis.predictions import predict
from harness.analysis.rehearsals import predict_from, setting_key
from harness.analysis.settling import Width, find_open, interval_widths
from harness.experiment import Experiment, baseline_of, case_label, is_automatic, round_order
from harness.session import feasibility
from harness.session.extras import choose_twin, choose_warm
from harness.session.plan import HostDigests, Invocation, Refusal, plan_host
from harness.session.setup import HostSetup
from harness.values.case import Case
from harness.values.prediction import Prediction
from harness.values.record import Record
from harness.workflow.resolve import Resolved


def make_plan(
    resolved: Resolved, setup: HostSetup, digests: HostDigests, rounds: int | None = None
) -> tuple[Invocation, ...]:
    """All invocations of one host, in order, with limits, predictions and what cannot be."""
    cases = tuple(case for case in resolved.matrix.cases if case.memory_limit != "search")
    experiment = resolved.experiment
    predictions = predict_all(cases, setup)
    refused = refusals_of(cases, setup, predictions)
    limits = {case.case_id: feasibility.limit_of(case, setup.memory_available) for case in cases}
    out = frozenset(refusal.case_id for refusal in refused)
    data_bytes = {case.case_id: size for case in cases if (size := _data_bytes(case, setup)) is not None}
    warm = choose_warm(cases, refused=out, predictions=predictions, data_bytes=data_bytes, limits=limits)
    predictions |= predict_all(warm, setup)
    for case in warm:
        limits[case.case_id] = feasibility.limit_of(case, setup.memory_available)

    def order(given: Sequence[Case], round_number: int) -> Sequence[Case]:
        return round_order(given, seed=experiment.seed, host=setup.host, round_number=round_number)

    return plan_host(
        digests,
        cases,
        rounds=experiment.first_rounds if rounds is None else rounds,
        order=order,
        limits=limits,
        predictions=predictions,
        refusals=refused,
        twin=choose_twin(cases, experiment, refused=out, predictions=predictions),
        extras=warm,
        extra_rounds=experiment.stall_rounds,
    )


def rounds_at_start(experiment: Experiment, records: Iterable[Record], host: str) -> int:
    """How many rounds are planned at first: with ``auto`` what an earlier run came to, and at least three."""
    if experiment.rounds != "auto":
        return experiment.rounds
    begun = max((record.round for record in records if record.host == host), default=0)
    return min(experiment.most_rounds, max(experiment.first_rounds, begun))


def widths_of(resolved: Resolved, records: Iterable[Record], host: str) -> list[Width]:
    """How wide the intervals that matter are on a host, widest first: of each case against its baseline."""
    experiment, cases = resolved.experiment, resolved.matrix.cases
    baselines: dict[str, str | None] = {}
    for case in resolved.cases:
        if not is_automatic(case) and case.memory_limit != "search":
            baseline = baseline_of(case, cases, experiment)
            baselines[case.case_id] = baseline.case_id if baseline else None
    return interval_widths([record for record in records if record.host == host], baselines)


def open_interval(widths: Sequence[Width], interval: float, cases: Sequence[Case]) -> str | None:
    """Which interval is wider than ``rounds: auto`` was told to allow, in words; None where none is."""
    widest = find_open(widths, interval)
    if widest is None:
        return None
    name = next((case_label(case, cases) for case in cases if case.case_id == widest.case_id), widest.case_id)
    if widest.width is None:
        return f"{name} has no interval yet: fewer than two rounds can be averaged"
    return f"the interval of {name} is {100 * widest.width:.0f} % wide, {100 * interval:.3g} % are allowed"


def predict_all(cases: Iterable[Case], setup: HostSetup) -> dict[str, Prediction]:
    """Predict, by case_id, what cases need on a host; a case whose data is not there has no prediction."""
    found = ((case.case_id, predict_on(case, setup)) for case in cases)
    return {case_id: prediction for case_id, prediction in found if prediction is not None}


def predict_on(case: Case, setup: HostSetup) -> Prediction | None:
    """Predict what a case needs on a host; None where its data is not there."""
    data = setup.data.get(case.data)
    if data is None:
        return None
    limit = feasibility.limit_of(case, setup.memory_available)
    found = predict(case, images=data.images, cpus=len(setup.cpus), limit=limit, has_gpu=bool(setup.gpus))
    rehearsal = setup.rehearsals.get(setting_key(case))
    if found is None or rehearsal is None:
        return found
    return predict_from(case, data.images, limit=limit, rehearsal=rehearsal, by_formula=found)


def _data_bytes(case: Case, setup: HostSetup) -> int | None:
    data = setup.data.get(case.data)
    if data is None or not data.images:
        return None
    return round(data.bytes * min(1.0, (case.max_images or data.images) / data.images))


def refusals_of(cases: Sequence[Case], setup: HostSetup, predictions: Mapping[str, Prediction]) -> tuple[Refusal, ...]:
    """What cannot run on a host at all."""
    return feasibility.refusals(
        cases,
        memory_available=setup.memory_available,
        disks=setup.facts.disks,
        disk_reserve=setup.disk_reserve,
        cache_bytes={case_id: found.cache_bytes for case_id, found in predictions.items()},
        missing_data=setup.missing_data,
        missing_weights=setup.missing_weights,
        engine_reasons=setup.engine_facts.reasons,
        can_limit_memory=setup.engine_facts.can_limit_memory,
        disk_names=tuple(setup.disks),
        gpus=len(setup.gpus),
    )

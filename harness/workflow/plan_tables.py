"""What ``harness plan`` prints: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.values.data_state import DataState
from harness.values.prediction import Prediction
from harness.values.units import format_bytes, format_duration
from harness.workflow.resolve import Resolved

if TYPE_CHECKING:
    from harness.console import Console


@dataclass(frozen=True)
class HostPlan:
    """What would run on one host; ``lines`` are its cases, ``orders`` each round's order by case_id.

    ``twin`` is the case that each round runs twice (the A/A pair), ``warm`` are the labels of what stall rounds add.
    ``disk_bytes`` is what the largest cache takes; ``seconds`` what all of it takes, None where one case's is unknown.
    """

    host: str
    state: str
    note: str
    engine: str
    lines: tuple[dict[str, Any], ...]
    orders: Mapping[int, tuple[str, ...]]
    data: Mapping[str, DataState]
    twin: str | None
    warm: tuple[str, ...]
    disk_bytes: int
    seconds: float | None
    done: int
    planned: int


def plans_as_json(resolved: Resolved, folder: str, plans: Sequence[HostPlan]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "experiment": resolved.experiment.model_dump(mode="json"),
        "reason": resolved.reason,
        "session_folder": folder,
        "seed": resolved.experiment.seed,
        "rounds": resolved.experiment.rounds,
        "folded": [{"case": one.description, "reason": one.reason} for one in resolved.matrix.folded],
        "excluded": [{"case": one.description, "reason": one.reason} for one in resolved.matrix.excluded],
        "notes": list(resolved.matrix.notes),
        "hosts": [{**asdict(plan), "lines": [_line_as_json(line) for line in plan.lines]} for plan in plans],
    }


def _line_as_json(line: Mapping[str, Any]) -> dict[str, Any]:
    found: Prediction | None = line["prediction"]
    return {**line, "prediction": None if found is None else found.model_dump(mode="json")}


def print_plans(
    console: Console, resolved: Resolved, folder: str, plans: Sequence[HostPlan], *, is_there: bool
) -> None:
    """The plan as tables: what is common, each host, what was folded out."""
    _print_head(console, resolved, folder, is_there=is_there)
    for plan in plans:
        _print_host(console, plan)
    _print_folded(console, resolved)


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
        found: Prediction | None = line["prediction"]
        peak = None if found is None else found.peak_memory_bytes
        limit = "all it can give" if line["memory_limit"] is None else format_bytes(line["memory_limit"])
        rows.append(
            [
                str(positions.get(line["case_id"], "–")),
                line["case_id"],
                line["label"],
                limit,
                format_bytes(line["cache_bytes"]) if line["cache_bytes"] else "–",
                format_bytes(None if peak is None else peak.expected),
                format_duration(line["seconds"]),
                f"skipped: {line['refused']}" if line["refused"] else say_fit(found),
            ]
        )
    columns = ["order 1", "case", "what", "limit", "cache", "memory", "time", "will it fit"]
    console.table(columns, rows)
    for number, order in list(plan.orders.items())[1:]:
        console.result(f"order of round {number}: {' '.join(str(positions.get(case_id, '–')) for case_id in order)}")
    if plan.twin is not None:
        console.result(
            f"each round runs case {positions.get(plan.twin, '–')} a second time: the A/A pair shows the noise"
        )
    for label in plan.warm:
        console.result(f"stall rounds add: {label}")
    for name, size in plan.data.items():
        console.result(f"data set {name}: {_describe(size)}")
    time = (
        "how long all of them take is not known"
        if plan.seconds is None
        else f"all of them take about {format_duration(plan.seconds)} (a guess until something has run)"
    )
    disk = "disk needed: –" if _is_blind(plan) else f"disk needed at most {format_bytes(plan.disk_bytes)} at a time"
    console.result(f"{disk}; {plan.done} of {plan.planned} invocations are done; {time}")


def say_fit(found: Prediction | None) -> str:
    """Say whether a case fits; of a case on part of a set also whether it would on the whole, where that differs."""
    if found is None:
        return "not known"
    said = {"fits": "fits", "unknown": "not known"}.get(found.fit, found.reason)
    whole = found.whole_set
    if whole is None or whole.images == found.images or whole.fit == found.fit:
        return said
    return f"{said}; on all {whole.images:,} images: {whole.reason}"


def _is_blind(plan: HostPlan) -> bool:
    return any(line["cache_on_disk"] and line["cache_bytes"] is None for line in plan.lines)


def _describe(size: DataState) -> str:
    if size.images is None:
        return f"unknown ({size.source}); without it nothing can be predicted"
    count = f"{'at most ' if size.is_bound else ''}{size.images:,} images"
    return f"{count}{'' if size.bytes is None else ', ' + format_bytes(size.bytes)} ({size.source})"


def _print_folded(console: Console, resolved: Resolved) -> None:
    out = [*resolved.matrix.folded, *resolved.matrix.excluded]
    if out:
        console.result("")
        console.table(["folded out", "why"], [[one.description, one.reason] for one in out])

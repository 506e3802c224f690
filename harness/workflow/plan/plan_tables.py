"""The output of ``harness plan``: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from harness.analysis.outcomes import Outcome, say_counts
from harness.analysis.protection import disk_allowance, reserve_of
from harness.analysis.signs import Kind
from harness.bench.protocol.loader_registry import is_on_disk
from harness.session.invocations import Invocation, coming_of
from harness.values.case import Case
from harness.values.data import DataState
from harness.values.errors import HarnessError
from harness.values.names import case_label
from harness.values.prediction import Prediction
from harness.values.record import TWIN, WARM_RUN
from harness.values.units import format_bytes, format_duration
from harness.workflow.planning import HostPlan, PlannedHost
from harness.workflow.resolve import Resolved
from harness.workflow.round_planning import say_count
from harness.workflow.side_by_side import Seen

if TYPE_CHECKING:
    from harness.console import Console


@dataclass(frozen=True)
class ShownPlan:
    """The plan of one host, and what it is based on.

    ``state`` is the state in which ``run`` would find the host, ``error`` the error with which ``run`` would end there,
    ``note`` a description of the host. ``times`` are seconds per run by case_id, ``seconds`` the time that is left;
    None if not known. ``counts`` are the outcomes of finished runs, ``place`` is the current round in words.
    """

    host: str
    state: str
    note: str
    engine: str
    on: PlannedHost
    plan: HostPlan
    data: Mapping[str, DataState]
    times: Mapping[str, float | None]
    seconds: float | None
    error: HarnessError | None = None
    counts: Mapping[Kind, int] = field(default_factory=dict)
    place: str = ""
    seen: Seen = field(default_factory=Seen)


@dataclass(frozen=True)
class PlannedSession:
    """What a session would do on all its hosts. ``folder`` is its folder, which may not exist yet."""

    resolved: Resolved
    folder: str
    plans: Sequence[ShownPlan]
    is_new: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Line:
    """One case on one host. ``number`` is its place in the first round; None for a limit search, which comes later."""

    number: int | None
    case_id: str
    label: str
    memory_limit: int | str | None
    cache_on_disk: bool
    prediction: Prediction | None
    seconds: float | None
    refused: str | None
    done: int
    planned: int

    @property
    def cache_bytes(self) -> int | None:
        return None if self.prediction is None else self.prediction.cache_bytes

    @property
    def verdict(self) -> str:
        """What is expected of the case on this host, in words."""
        if self.refused:
            return str(Outcome("skipped", self.refused))
        if self.memory_limit == "search":
            return f"limit search, about {self.planned} trials"
        return say_fit(self.prediction)

    def as_json(self) -> dict[str, object]:
        found = self.prediction
        return {
            **asdict(self),
            "cache_bytes": self.cache_bytes,
            "prediction": None if found is None else found.model_dump(mode="json"),
            "verdict": self.verdict,
        }


def plans_as_json(shown: PlannedSession) -> dict[str, object]:
    """Return the plan for programs."""
    resolved = shown.resolved
    return {
        "experiment": resolved.experiment.model_dump(mode="json"),
        "reason": resolved.reason,
        "session_folder": shown.folder,
        "seed": resolved.experiment.seed,
        "rounds": resolved.experiment.rounds,
        "left_out": [{"case": one.description, "reason": one.reason} for one in resolved.matrix.left_out],
        "excluded": [{"case": one.description, "reason": one.reason} for one in resolved.matrix.excluded],
        "notes": [*resolved.matrix.notes, *shown.notes],
        "hosts": [_host_as_json(plan, resolved) for plan in shown.plans],
    }


def _host_as_json(shown: ShownPlan, resolved: Resolved) -> dict[str, object]:
    error = shown.error
    return {
        "host": shown.host,
        "state": shown.state,
        "note": shown.note,
        "error": None if error is None else {"message": error.message, "hint": error.hint},
        "engine": shown.engine,
        "lines": [line.as_json() for line in _lines(shown, resolved)],
        "orders": {number: list(map(_named, found)) for number, found in _rounds(shown.plan).items()},
        "data": {name: asdict(state) for name, state in shown.data.items()},
        "twin": next((each.case.case_id for each in shown.plan.invocations if each.alias == TWIN), None),
        "warm": _warm_labels(shown.plan, resolved),
        "disks": _disk_needs(shown),
        "seconds": shown.seconds,
        "done": shown.plan.done,
        "counts": shown.counts,
        "planned": shown.plan.planned,
        "place": shown.place,
    }


def print_plans(console: Console, shown: PlannedSession) -> None:
    """Print the plan: the session, then each group of hosts with the same plan, then the cases that are left out.

    With ``-v``, also print the order of each round on each host.
    """
    _print_head(console, shown)
    alike: dict[tuple[tuple[str, str], ...], list[ShownPlan]] = {}
    for plan in shown.plans:
        key = tuple(sorted((line.case_id, line.verdict) for line in _lines(plan, shown.resolved)))
        alike.setdefault(key, []).append(plan)
    for plans in alike.values():
        _print_alike(console, plans, shown.resolved)
    _print_left_out(console, shown.resolved)


def _print_head(console: Console, shown: PlannedSession) -> None:
    experiment = shown.resolved.experiment
    console.result(f"experiment  {experiment.name}: {shown.resolved.reason}")
    console.result(f"session     {shown.folder} ({'new' if shown.is_new else 'continues'})")
    console.result(
        f"rounds      {say_count(experiment.rounds)}, seed {experiment.seed}, order random within each round"
    )
    for note in (*shown.resolved.matrix.notes, *shown.notes):
        console.result(f"note        {note}")


def _print_alike(console: Console, plans: Sequence[ShownPlan], resolved: Resolved) -> None:
    """Print a group of hosts with the same plan: a line for each, their cases once, and details."""
    console.result("")
    for plan in plans:
        state = plan.state.replace("_", " ")
        console.result(f"{plan.host} ({state}; engine {plan.engine})" + (f": {plan.note}" if plan.note else ""))
        if plan.error is not None:
            console.result(f"  {plan.error.message}" + (f"\n  → {plan.error.hint}" if plan.error.hint else ""))
    rows: dict[str, list[list[str]]] = {}
    for plan in plans:
        for line in _lines(plan, resolved):
            rows.setdefault(line.case_id, []).append(_row(line))
    columns = ["case", "what", "limit", "cache", "memory", "time", "does it fit"]
    console.table(columns, [[_say_span(cells) for cells in zip(*found, strict=True)] for found in rows.values()])
    first = plans[0].plan
    if any(each.alias == TWIN for each in first.invocations):
        console.result("each round runs one case twice: the repeat check (A/A) measures the noise")
    for label in _warm_labels(first, resolved):
        console.result(f"extra run, to separate storage from preparation: {label}")
    told = _gather_lines(plans, resolved, has_order=console.verbose)
    for said, hosts in sorted(told.items(), key=lambda pair: len(pair[1]) < len(plans)):
        console.result(said if len(hosts) == len(plans) else f"{', '.join(hosts)}: {said}")


def _gather_lines(plans: Sequence[ShownPlan], resolved: Resolved, *, has_order: bool) -> dict[str, list[str]]:
    """Return the lines below the table of cases, each with the hosts that it is about."""
    found: dict[str, list[str]] = {}
    for shown in plans:
        for line in _say_host(shown, resolved, has_order=has_order):
            found.setdefault(line, []).append(shown.host)
    return found


def _say_host(shown: ShownPlan, resolved: Resolved, *, has_order: bool) -> Iterable[str]:
    """Yield the lines about a host below the table of cases: data, disks, progress, and the orders of rounds."""
    for name, found in shown.data.items():
        yield f"data set {name}: {_describe(found)}"
    yield from _say_disks(shown)
    yield _say_progress(shown)
    if has_order:
        for number, invocations in _rounds(shown.plan).items():
            order = " ".join(each.case.case_id + _SIGNS.get(each.alias or "", "") for each in invocations)
            yield f"order of round {number} (b: repeat check, w: files in memory): {order}"


def _say_span(cells: Sequence[str]) -> str:
    """Return one cell for several hosts: its text, or the first two texts and how many more there are."""
    different = list(dict.fromkeys(cells))
    more = f" (and {len(different) - 2} more)" if len(different) > 2 else ""
    return f"{', '.join(different[:2])}{more}"


_SIGNS = {TWIN: "b", WARM_RUN: "w"}


def _row(line: _Line) -> list[str]:
    found = line.prediction
    peak = None if found is None else found.peak_memory_bytes
    limit = line.memory_limit
    return [
        line.case_id,
        line.label,
        "no limit" if limit is None else limit if isinstance(limit, str) else format_bytes(limit),
        format_bytes(line.cache_bytes) if line.cache_bytes else "–",
        format_bytes(None if peak is None else peak.expected),
        format_duration(line.seconds),
        line.verdict,
    ]


def _lines(shown: ShownPlan, resolved: Resolved) -> list[_Line]:
    """Return a line for each case: in the order of the first round, then the limit searches."""
    plan, among = shown.plan, resolved.matrix.cases
    by_case: dict[Case, list[Invocation]] = {}
    for each in plan.invocations:
        if each.alias is None:
            by_case.setdefault(each.case, []).append(each)
    left = {each.identity for each in plan.todo}
    lines = [
        _Line(
            number,
            case.case_id,
            case_label(case, among),
            shown.on.limit_of(case),
            is_on_disk(case.cache),
            found[0].predictions,
            shown.times.get(case.case_id),
            found[0].skip,
            sum(each.identity not in left for each in found),
            len(found),
        )
        for number, (case, found) in enumerate(by_case.items(), start=1)
    ]
    for search in plan.searches:
        case, label = search.case, case_label(search.case, among)
        total = search.done + search.left
        on_disk = is_on_disk(case.cache)
        expected = (search.prediction, shown.times.get(case.case_id), search.refused)
        lines.append(_Line(None, case.case_id, label, "search", on_disk, *expected, search.done, total))
    return lines


def _rounds(plan: HostPlan) -> dict[int, list[Invocation]]:
    found: dict[int, list[Invocation]] = {}
    for each in plan.invocations:
        found.setdefault(each.round, []).append(each)
    return found


def _named(invocation: Invocation) -> str:
    return invocation.case.case_id + (f":{invocation.alias}" if invocation.alias else "")


def _warm_labels(plan: HostPlan, resolved: Resolved) -> list[str]:
    warm = list(dict.fromkeys(each.case for each in plan.invocations if each.alias == WARM_RUN))
    return [case_label(case, (*resolved.matrix.cases, *warm)) for case in warm]


def _disk_needs(shown: ShownPlan) -> dict[str, int | None]:
    """Return the bytes that caches need on each disk; None if not known.

    This is the size of the largest cache: each is removed before the next is written.
    """
    wanted = [(each.case, each.predictions) for each in shown.plan.invocations if each.skip is None]
    wanted += [(each.case, each.prediction) for each in shown.plan.searches if each.refused is None]
    needs: dict[str, int | None] = {}
    for case, prediction in wanted:
        if is_on_disk(case.cache):
            size = None if prediction is None else prediction.disk_bytes
            known = needs.get(case.cache_disk, 0)
            needs[case.cache_disk] = None if size is None or known is None else max(known, size)
    return needs


def _say_disks(shown: ShownPlan) -> Iterable[str]:
    for name, need in _disk_needs(shown).items():
        disk = shown.on.disks.get(name)
        room = ""
        if disk is not None and disk.free_bytes is not None:
            allowed = disk_allowance(disk, reserve_of(shown.on.disk_reserve, name))
            room = f", {format_bytes(allowed)} may be used"
        most = "an unknown amount" if need is None else f"at most {format_bytes(need)}"
        yield f"disk {name}: caches need {most} at a time{room}"


def _say_progress(shown: ShownPlan) -> str:
    counts = say_counts(shown.counts)
    count = f"{shown.plan.done} of {shown.plan.planned} runs done{f' ({counts})' if counts else ''}"
    count = f"{shown.place}: {count}" if shown.place else count
    if shown.plan.done >= shown.plan.planned:
        return count
    if not coming_of(shown.plan.todo) and not shown.plan.coming_trials:
        return f"{count}; the others cannot run on this host"
    if shown.seconds is None:
        return f"{count}; the time left is not known"
    guess = "" if shown.plan.done else " (a rough estimate before the first run)"
    return f"{count}; about {format_duration(shown.seconds)} left{guess}"


def say_fit(found: Prediction | None) -> str:
    """Return whether a case fits, in words; for a case on part of a data set, also for the whole, if that differs."""
    if found is None:
        return "not known"
    said = {"fits": "fits", "unknown": "not known"}.get(found.fit, found.reason)
    whole = found.whole_set
    if whole is None or whole.images == found.images or whole.fit == found.fit:
        return said
    return f"{said}; on all {whole.images:,} images: {whole.reason}"


def _describe(state: DataState) -> str:
    if state.problem is not None and not state.is_named:
        return f"{state.problem}; its cases are left out here"
    if state.problem is not None:
        return f"{state.problem}\n  → {state.hint}" if state.hint else state.problem
    if state.images is None:
        return f"size unknown ({state.source}); without it nothing can be predicted"
    count = f"{'at most ' if state.is_bound else ''}{state.images:,} images"
    size = "" if state.bytes is None else f", {format_bytes(state.bytes)}"
    return "".join([f"{count}{size} ({state.source})", *(f"\n  {sentence}" for sentence in state.said)])


def _print_left_out(console: Console, resolved: Resolved) -> None:
    out = [*resolved.matrix.left_out, *resolved.matrix.excluded]
    if out:
        console.result("")
        console.table(["left out", "why"], [[one.description, one.reason] for one in out])

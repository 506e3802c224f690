"""The plan of one host: what is to run there, with limits and predictions, what cannot, and how much is done.

There is one planner. ``run`` gives it a prepared host, ``plan`` one that was looked at or is assumed; what a command
says about counts, limits, refusals and times comes from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.analysis.limit_search import steps_left, trials_of
from harness.analysis.outcomes import count_outcomes
from harness.analysis.predictions import predict
from harness.analysis.signs import Kind
from harness.analysis.stopping import Width, find_open, interval_widths
from harness.analysis.time_left import seconds_left
from harness.analysis.validity import judge_all
from harness.bench.protocol.loader_registry import is_automatic
from harness.experiment import Experiment, baseline_of, round_order
from harness.experiment.experiment import Rounds
from harness.records.reading import newest_records
from harness.session import feasibility
from harness.session.extras import choose_twin, choose_warm
from harness.session.invocations import HostDigests, Invocation, Refusal, coming_of, plan_host, remaining
from harness.session.setup import HostSetup
from harness.values.case import Case
from harness.values.facts import DiskFacts
from harness.values.names import case_label
from harness.values.prediction import Prediction
from harness.values.record import TRIAL, TWIN, Record, SetSize
from harness.values.rehearsal import Rehearsal
from harness.values.work import WorkProof, say_differs, work_key
from harness.workflow.resolve import Resolved

ASSUMED_CPUS = 4
ASSUMED_MEMORY_BYTES = 16 * 2**30
"""What a host that was not asked is taken to have, where a number must be said."""


class PlannedData(NamedTuple):
    """Images, bytes and kind of a data set; None where nobody can know them yet."""

    images: int | None
    bytes: int | None
    kind: str | None = None

    @property
    def size(self) -> SetSize | None:
        """Return its size; None where that is not known."""
        return None if not self.images else SetSize(images=self.images, bytes=self.bytes)


@dataclass(frozen=True)
class PlannedHost:
    """A host as planning sees it: prepared, only looked at, or assumed.

    ``memory_available`` is what ``memory_limit: none`` means there; it, ``cpus`` and ``gpus`` (what jobs may use) are
    None where the host was not asked. ``disks`` are facts by name, ``disk_names`` all that caches may lie on.
    ``missing_data`` and ``missing_weights`` (by ``weights_key``) say why something is not there. ``rehearsals`` are
    known by ``setting_key``, ``proofs`` of same work by ``work_key``.
    """

    name: str
    memory_available: int | None
    cpus: int | None
    gpus: int | None
    data: Mapping[str, PlannedData]
    missing_data: Mapping[str, str] = field(default_factory=dict)
    missing_weights: Mapping[str, str] = field(default_factory=dict)
    disks: Mapping[str, DiskFacts] = field(default_factory=dict)
    disk_names: tuple[str, ...] = ()
    disk_reserve: int | None = None
    can_limit_memory: bool = True
    can_limit_cpus: bool = True
    engine_reasons: tuple[str, ...] = ()
    rehearsals: Mapping[str, Rehearsal] = field(default_factory=dict)
    proofs: Mapping[str, WorkProof] = field(default_factory=dict)

    @classmethod
    def of(cls, setup: HostSetup) -> PlannedHost:
        """Return a prepared host as planning sees it."""
        return cls(
            name=setup.host,
            memory_available=setup.memory_available,
            cpus=len(setup.cpus),
            gpus=len(setup.gpus),
            data={name: PlannedData(found.images, found.bytes, found.kind) for name, found in setup.data.items()},
            missing_data=setup.missing_data,
            missing_weights=setup.missing_weights,
            disks=setup.facts.disks,
            disk_names=tuple(setup.disks),
            disk_reserve=setup.disk_reserve,
            can_limit_memory=setup.engine_facts.can_limit_memory,
            can_limit_cpus=setup.engine_facts.can_limit_cpus,
            engine_reasons=setup.engine_facts.reasons,
            rehearsals=setup.rehearsals,
            proofs=setup.samework,
        )

    def proof_of(self, case: Case) -> WorkProof | None:
        """Return what the proof of same work found of a case's loader; None where that is not known."""
        data = self.data.get(case.data)
        return None if data is None or data.kind is None else self.proofs.get(work_key(case, data.kind))

    def limit_of(self, case: Case) -> int | None:
        """Return the limit to enforce on a case, in bytes; None where it is what a host can give that was not asked."""
        return feasibility.limit_of(case, self.memory_available)


@dataclass(frozen=True)
class Search:
    """One ``memory_limit: search``: the identities of trials that are done, and about how many are still to come.

    ``refused`` is why the case cannot run at all.
    """

    case: Case
    ended: frozenset[str]
    left: int
    prediction: Prediction | None
    refused: str | None

    @property
    def done(self) -> int:
        """How many trials are done."""
        return len(self.ended)


@dataclass(frozen=True)
class HostPlan:
    """All that one host has to do in a session, and what is left of it.

    ``invocations`` are of the rounds, ``todo`` those of them that are left; ``searches`` come after them.
    ``in_session`` counts all that the session has for the host, whatever ``--only`` narrows this plan to.
    """

    invocations: tuple[Invocation, ...]
    todo: tuple[Invocation, ...]
    searches: tuple[Search, ...]
    in_session: int

    @property
    def done_identities(self) -> frozenset[str]:
        """The invocations that are done, by identity."""
        in_rounds = {each.identity for each in self.invocations} - {each.identity for each in self.todo}
        return frozenset(in_rounds).union(*(search.ended for search in self.searches))

    @property
    def done(self) -> int:
        """How many invocations are done."""
        return len(self.done_identities)

    def count_outcomes(self, records: Iterable[Record]) -> dict[Kind, int]:
        """Count the outcomes of the invocations that are done."""
        done = self.done_identities
        return count_outcomes(judge_all(r for r in newest_records(records).values() if r.invocation in done))

    @property
    def planned(self) -> int:
        """How many there are in all, with those of searches as far as they can be told."""
        return len(self.invocations) + sum(search.done + search.left for search in self.searches)

    @property
    def predictions(self) -> dict[str, Prediction | None]:
        """What is expected of each case, by case_id."""
        found = {each.case.case_id: each.predictions for each in self.invocations}
        return {**found, **{each.case.case_id: each.prediction for each in self.searches}}

    def seconds_left(self, records: Sequence[Record]) -> float | None:
        """Return how long what is left takes; None where that cannot be known."""
        return seconds_left([*coming_of(self.todo), *self.coming_trials], records)

    @property
    def coming_trials(self) -> list[tuple[str, Prediction | None]]:
        """Return the trials that are still to come, each as its case without a limit of its own."""
        return [
            (each.case.case_id, each.prediction) for each in self.searches if not each.refused for _ in range(each.left)
        ]


def plan_session(
    resolved: Resolved,
    on: PlannedHost,
    digests: HostDigests,
    records: Sequence[Record],
    *,
    rounds: int | None = None,
    rerun_failed: bool = False,
) -> HostPlan:
    """Plan what a host has to do, and what is left of it. ``records`` are the host's in this session, oldest first."""
    count = rounds_at_start(resolved.experiment, records, on.name) if rounds is None else rounds
    planned = make_plan(resolved, on, digests, count)
    mine = tuple(each for each in planned if resolved.only is None or each.case.case_id in resolved.only)
    todo = remaining(mine, records, rerun_failed=rerun_failed)
    searches = count_searches(resolved.matrix.cases, on, records, frozenset(i.identity for i in planned))
    in_session = len(planned) + sum(search.done + search.left for search in searches)
    return HostPlan(mine, todo, tuple(each for each in searches if each.case in resolved.cases), in_session)


def make_plan(
    resolved: Resolved, on: PlannedHost, digests: HostDigests, rounds: int | None = None
) -> tuple[Invocation, ...]:
    """Plan all invocations of one host's rounds, in order, with limits, predictions and what cannot be."""
    cases = tuple(case for case in resolved.matrix.cases if case.memory_limit != "search")
    experiment = resolved.experiment
    predictions = predict_all(cases, on)
    refused = refusals_of(cases, on, predictions)
    out = frozenset(refusal.case_id for refusal in refused)
    warm = _choose_warm(cases, on, predictions, out) if experiment.stall_rounds else []
    predictions |= predict_all(warm, on)

    def order(given: Sequence[Case], round_number: int) -> Sequence[Case]:
        return round_order(given, seed=experiment.seed, host=on.name, round_number=round_number)

    return plan_host(
        digests,
        cases,
        rounds=experiment.first_rounds if rounds is None else rounds,
        order=order,
        limits={case.case_id: on.limit_of(case) for case in (*cases, *warm)},
        predictions=predictions,
        refusals=refused,
        twin=choose_twin(cases, experiment, refused=out, predictions=predictions),
        extras=warm,
        extra_rounds=experiment.stall_rounds,
    )


def _choose_warm(
    cases: Sequence[Case], on: PlannedHost, predictions: Mapping[str, Prediction], refused: frozenset[str]
) -> list[Case]:
    """Choose what stall rounds add: training cases once more with their files in memory, where those fit there."""
    limits = {case.case_id: limit for case in cases if (limit := on.limit_of(case)) is not None}
    sizes = {case.case_id: size for case in cases if (size := _data_bytes(case, on)) is not None}
    able = [case for case in cases if case.case_id in limits]
    return choose_warm(able, refused=refused, predictions=predictions, data_bytes=sizes, limits=limits)


def count_searches(
    cases: Iterable[Case], on: PlannedHost, records: Sequence[Record], in_rounds: frozenset[str]
) -> tuple[Search, ...]:
    """Count, for each case whose limits are searched, its trials. ``in_rounds`` are identities of the rounds."""
    wanted = [case for case in cases if case.memory_limit == "search"]
    if not wanted:
        return ()
    predictions = predict_all(wanted, on)
    refused = {each.case_id: each.reason for each in refusals_of(wanted, on, predictions)}
    ended = [
        record
        for record in newest_records(records).values()
        if record.alias in (TRIAL, TWIN) and record.invocation not in in_rounds and record.status != "lost"
    ]
    found = []
    for case in wanted:
        own = frozenset(record.invocation for record in ended if _is_trial_of(record, case, on.name))
        reason = refused.get(case.case_id)
        most = ASSUMED_MEMORY_BYTES if on.memory_available is None else on.memory_available
        left = int(not own) if reason else steps_left(trials_of(records, case, on.name), most=most)
        found.append(Search(case, own, left, predictions.get(case.case_id), reason))
    return tuple(found)


def _is_trial_of(record: Record, case: Case, host: str) -> bool:
    return record.host == host and record.case.model_copy(update={"memory_limit": case.memory_limit}) == case


def merge_rounds(asked: int | None, written: Rounds, stored: object) -> Rounds:
    """Return how many rounds a session has: what ``--rounds`` asks for, else the most that it was ever to have.

    ``written`` is the experiment's, ``stored`` what the session's file holds, None for a new session.
    """
    if asked is not None:
        return asked
    if written == "auto" or not isinstance(stored, int) or isinstance(stored, bool):
        return written
    return max(written, stored)


def rounds_at_start(experiment: Experiment, records: Iterable[Record], host: str) -> int:
    """Return how many rounds are planned at first: with ``auto`` what an earlier run came to, and at least three."""
    if experiment.rounds != "auto":
        return experiment.rounds
    begun = max((record.round for record in records if record.host == host), default=0)
    return min(experiment.most_rounds, max(experiment.first_rounds, begun))


def widths_of(resolved: Resolved, records: Iterable[Record], host: str) -> list[Width]:
    """Return how wide the intervals that matter are on a host, widest first: of each case against its baseline."""
    experiment, cases = resolved.experiment, resolved.matrix.cases
    baselines: dict[str, str | None] = {}
    for case in resolved.cases:
        if not is_automatic(case.loader) and case.memory_limit != "search":
            baseline = baseline_of(case, cases, experiment)
            baselines[case.case_id] = baseline.case_id if baseline else None
    return interval_widths([record for record in records if record.host == host], baselines)


def open_interval(widths: Sequence[Width], interval: float, cases: Sequence[Case]) -> str | None:
    """Say which interval is wider than ``rounds: auto`` was told to allow; None where none is."""
    widest = find_open(widths, interval)
    if widest is None:
        return None
    name = next((case_label(case, cases) for case in cases if case.case_id == widest.case_id), widest.case_id)
    if widest.width is None:
        return f"{name} has no interval yet: fewer than two rounds have a result"
    return f"the interval of {name} is {100 * widest.width:.0f} % wide, {100 * interval:.3g} % are allowed"


def predict_all(cases: Iterable[Case], on: PlannedHost) -> dict[str, Prediction]:
    """Predict, by case_id, what cases need on a host; a case whose data is not there has no prediction."""
    found = ((case.case_id, predict_on(case, on)) for case in cases)
    return {case_id: prediction for case_id, prediction in found if prediction is not None}


def predict_on(case: Case, on: PlannedHost) -> Prediction | None:
    """Predict what a case needs on a host; None where its data is not there, or nothing is known of it."""
    data = on.data.get(case.data)
    if data is None:
        return None
    return predict(
        case,
        data.size,
        cpus=ASSUMED_CPUS if on.cpus is None else on.cpus,
        limit=on.limit_of(case),
        has_gpu=bool(on.gpus),
        rehearsals=on.rehearsals,
    )


def _data_bytes(case: Case, on: PlannedHost) -> int | None:
    """Return the bytes of the files that a case reads in an epoch; None where they are not known."""
    data = on.data.get(case.data)
    if data is None or not data.images or data.bytes is None:
        return None
    return round(data.bytes * min(1.0, (case.max_images or data.images) / data.images))


def refusals_of(cases: Sequence[Case], on: PlannedHost, predictions: Mapping[str, Prediction]) -> tuple[Refusal, ...]:
    """Return what cannot run on a host at all, or is not to: loaders that do other work; and why."""
    refuted = {
        case.case_id: Refusal(case.case_id, say_differs(case.loader, proof.problems), is_refuted=True)
        for case in cases
        if (proof := on.proof_of(case)) is not None and proof.fails
    }
    others = feasibility.refusals(
        [case for case in cases if case.case_id not in refuted],
        memory_available=on.memory_available,
        disks=on.disks,
        disk_reserve=on.disk_reserve,
        cache_bytes={case_id: found.disk_bytes for case_id, found in predictions.items()},
        missing_data=on.missing_data,
        missing_weights=on.missing_weights,
        engine_reasons=on.engine_reasons,
        can_limit_memory=on.can_limit_memory,
        can_limit_cpus=on.can_limit_cpus,
        disk_names=on.disk_names,
        cpus=on.cpus,
        gpus=on.gpus,
    )
    return (*refuted.values(), *others)

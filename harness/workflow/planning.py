"""The plan of one host: its runs with limits and predictions, what cannot run, and how much is done.

There is one planner: ``run`` gives it a prepared host, ``plan`` an inspected or assumed one. All counts, limits,
refusals and times that commands print come from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.analysis.gpu_fit import find_obstacle
from harness.analysis.limit_search import steps_left, trials_of
from harness.analysis.outcomes import count_outcomes
from harness.analysis.predictions import predict
from harness.analysis.protection import DiskReserve
from harness.analysis.selection import current_records
from harness.analysis.signs import Kind
from harness.analysis.time_left import seconds_left
from harness.analysis.validity import judge_all
from harness.experiment import baseline_of, round_order
from harness.session import feasibility
from harness.session.extras import choose_twin, choose_warm
from harness.session.invocations import HostDigests, Invocation, Refusal, coming_of, find_repeats, plan_host, remaining
from harness.session.setup import HostSetup
from harness.values.case import Case
from harness.values.facts import DiskFacts
from harness.values.prediction import Prediction
from harness.values.record import TRIAL, TWIN, Record, SetSize
from harness.values.rehearsal import Rehearsal
from harness.values.work import WorkProof, say_differs, work_key
from harness.workflow.resolve import Resolved
from harness.workflow.round_planning import PlannedRounds, count_begun, plan_rounds

ASSUMED_CPUS = 4
ASSUMED_MEMORY_BYTES = 16 * 2**30
"""What a host is assumed to have that was not contacted."""


class PlannedData(NamedTuple):
    """Images, bytes and kind of a data set; None if not known yet. ``is_labelled``: a model can be trained on it."""

    images: int | None
    bytes: int | None
    kind: str | None = None
    is_labelled: bool = True

    @property
    def size(self) -> SetSize | None:
        """The size of the data set; None if not known."""
        return None if not self.images else SetSize(images=self.images, bytes=self.bytes)


@dataclass(frozen=True)
class PlannedHost:
    """A host as the planner sees it: prepared, inspected, or assumed.

    ``memory_available`` is what ``memory_limit: none`` means there, in bytes. It, ``cpus`` and ``gpus`` (for jobs) are
    None if the host was not contacted. ``disks`` are facts by name, ``disk_names`` all disks for caches.
    ``missing_data`` and ``missing_weights`` (by ``weights_key``) are reasons why something is absent. ``gpu_obstacle``
    is why no job can use the GPUs. ``rehearsals`` (results of trial runs) are by ``setting_key``, ``proofs`` (results
    of the same-work check) by ``work_key``.
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
    disk_reserve: DiskReserve = None
    can_limit_memory: bool = True
    can_limit_cpus: bool = True
    engine_reasons: tuple[str, ...] = ()
    gpu_obstacle: str | None = None
    rehearsals: Mapping[str, Rehearsal] = field(default_factory=dict)
    proofs: Mapping[str, WorkProof] = field(default_factory=dict)

    @classmethod
    def of(cls, setup: HostSetup) -> PlannedHost:
        """Return a prepared host as the planner sees it."""
        return cls(
            name=setup.host,
            memory_available=setup.memory_available,
            cpus=len(setup.cpus),
            gpus=len(setup.gpus),
            data={
                name: PlannedData(found.images, found.bytes, found.kind, found.is_labelled)
                for name, found in setup.data.items()
            },
            missing_data=setup.missing_data,
            missing_weights=setup.missing_weights,
            disks=setup.facts.disks,
            disk_names=tuple(setup.disks),
            disk_reserve=setup.disk_reserve,
            can_limit_memory=setup.engine_facts.can_limit_memory,
            can_limit_cpus=setup.engine_facts.can_limit_cpus,
            engine_reasons=setup.engine_facts.reasons,
            gpu_obstacle=find_obstacle(setup.facts, setup.engine_facts, setup.gpus),
            rehearsals=setup.rehearsals,
            proofs=setup.samework,
        )

    def proof_of(self, case: Case) -> WorkProof | None:
        """Return the result of the same-work check of a case's loader; None if not known."""
        data = self.data.get(case.data)
        return None if data is None or data.kind is None else self.proofs.get(work_key(case, data.kind))

    def limit_of(self, case: Case) -> int | None:
        """Return the limit to enforce on a case, in bytes; None if the host was not contacted and the case has none."""
        return feasibility.limit_of(case, self.memory_available)


@dataclass(frozen=True)
class Search:
    """One ``memory_limit: search``: the identities of finished trials, and about how many are left.

    ``refused`` is why the case cannot run at all; None if it can.
    """

    case: Case
    ended: frozenset[str]
    left: int
    prediction: Prediction | None
    refused: str | None

    @property
    def done(self) -> int:
        """The number of finished trials."""
        return len(self.ended)


@dataclass(frozen=True)
class HostPlan:
    """All runs of a session on one host, and what is left of them.

    ``invocations`` are the runs of all rounds, ``todo`` those that are left; ``searches`` come after them. ``repeats``
    are to be run again at the end of the last round that has begun, because they were disturbed, or are compared with
    one that was. ``partners`` maps each run to the one that it is compared with. ``in_session`` counts all runs of the
    session on the host, also those that ``--only`` leaves out; ``in_round`` those of its last round.
    """

    invocations: tuple[Invocation, ...]
    todo: tuple[Invocation, ...]
    searches: tuple[Search, ...]
    repeats: tuple[Invocation, ...]
    rounds: PlannedRounds
    partners: Mapping[str, str]
    in_session: int
    in_round: int

    @property
    def repeat_check(self) -> Case | None:
        """The case that each round runs twice; None if there is none."""
        return next((each.case for each in self.invocations if each.alias == TWIN), None)

    @property
    def in_order(self) -> tuple[Invocation, ...]:
        """The runs that are left, with each round's repeats at its end."""
        return tuple(sorted((*self.todo, *self.repeats), key=lambda each: each.round))

    def repeats_of(self, round_number: int, records: Sequence[Record]) -> tuple[Invocation, ...]:
        """Return the runs of a round that must be repeated according to the records."""
        return find_repeats(self.invocations, records, round_number, self.partners)

    @property
    def done_identities(self) -> frozenset[str]:
        """The identities of the finished runs."""
        in_rounds = {each.identity for each in self.invocations} - {each.identity for each in self.todo}
        return frozenset(in_rounds).union(*(search.ended for search in self.searches))

    @property
    def done(self) -> int:
        """The number of finished runs."""
        return len(self.done_identities)

    def count_outcomes(self, records: Iterable[Record]) -> dict[Kind, int]:
        """Count the outcomes of the finished runs."""
        done = self.done_identities
        return count_outcomes(judge_all(r for r in current_records(records).values() if r.invocation in done))

    @property
    def planned(self) -> int:
        """The number of all runs, including an estimate for limit searches."""
        return len(self.invocations) + sum(search.done + search.left for search in self.searches)

    @property
    def predictions(self) -> dict[str, Prediction | None]:
        """The prediction for each case, by case_id."""
        found = {each.case.case_id: each.predictions for each in self.invocations}
        return {**found, **{each.case.case_id: each.prediction for each in self.searches}}

    def seconds_left(self, records: Sequence[Record]) -> float | None:
        """Return how many seconds are left; None if not known."""
        return seconds_left([*coming_of(self.in_order), *self.coming_trials], records)

    @property
    def coming_trials(self) -> list[tuple[str, Prediction | None]]:
        """The trials of limit searches that are left, as (case_id of the search, prediction)."""
        return [
            (each.case.case_id, each.prediction) for each in self.searches if not each.refused for _ in range(each.left)
        ]


def plan_session(
    resolved: Resolved,
    on: PlannedHost,
    digests: HostDigests,
    records: Sequence[Record],
    *,
    added: frozenset[str] | None = None,
    rerun_failed: bool = False,
) -> HostPlan:
    """Plan all runs of a host. ``records`` are the host's in this session, oldest first.

    ``added`` are the cases of a round that ``rounds: auto`` adds.
    """
    planned, rounds = make_plan(resolved, on, digests, records, added)
    mine = tuple(each for each in planned if resolved.only is None or each.case.case_id in resolved.only)
    todo = remaining(mine, records, rerun_failed=rerun_failed)
    partner = _partners(resolved, planned)
    last = count_begun(records, on.name)
    repeats = () if any(each.round == last for each in todo) else find_repeats(mine, records, last, partner)
    searches = count_searches(resolved.matrix.cases, on, records, frozenset(i.identity for i in planned))
    in_session = len(planned) + sum(search.done + search.left for search in searches)
    own_searches = tuple(search for search in searches if search.case in resolved.cases)
    in_round = sum(each.round == rounds.count for each in planned)
    return HostPlan(mine, todo, own_searches, repeats, rounds, partner, in_session, in_round)


def make_plan(
    resolved: Resolved,
    on: PlannedHost,
    digests: HostDigests,
    records: Sequence[Record],
    added: frozenset[str] | None = None,
) -> tuple[tuple[Invocation, ...], PlannedRounds]:
    """Plan the runs of all rounds on one host, in order, with limits, predictions and refusals."""
    cases = tuple(case for case in resolved.matrix.cases if case.memory_limit != "search")
    experiment = resolved.experiment
    predictions = predict_all(cases, on)
    refused = refusals_of(cases, on, predictions)
    out = frozenset(refusal.case_id for refusal in refused)
    warm = _choose_warm(cases, on, predictions, out) if experiment.stall_rounds else []
    predictions |= predict_all(warm, on)
    twin = choose_twin(cases, experiment, refused=out, predictions=predictions)
    rounds = plan_rounds(experiment, cases, records, on.name, repeat_check=twin, added=added)

    def order(given: Sequence[Case], round_number: int) -> Sequence[Case]:
        return round_order(given, seed=experiment.seed, host=on.name, round_number=round_number)

    planned = plan_host(
        digests,
        cases,
        rounds=rounds.count,
        order=order,
        limits={case.case_id: on.limit_of(case) for case in (*cases, *warm)},
        predictions=predictions,
        refusals=refused,
        twin=twin,
        extras=warm,
        extra_rounds=experiment.stall_rounds,
        takes_part=rounds.takes_part,
    )
    return planned, rounds


def _partners(resolved: Resolved, planned: Sequence[Invocation]) -> dict[str, str]:
    """Return, by identity, the run of the same round with which each run is compared: its baseline or repeat check."""
    cases = resolved.matrix.cases
    plain = {(each.round, each.case.case_id): each.identity for each in planned if each.alias is None}
    baselines = {case.case_id: baseline_of(case, cases, resolved.experiment) for case in cases}
    found = {}
    for each in planned:
        other = each.case if each.alias == TWIN else baselines.get(each.case.case_id) if each.alias is None else None
        identity = None if other is None else plain.get((each.round, other.case_id))
        if identity is not None and identity != each.identity:
            found[each.identity] = identity
    return found


def _choose_warm(
    cases: Sequence[Case], on: PlannedHost, predictions: Mapping[str, Prediction], refused: frozenset[str]
) -> list[Case]:
    """Choose the training cases to run again with their files in memory, if the files fit."""
    limits = {case.case_id: limit for case in cases if (limit := on.limit_of(case)) is not None}
    sizes = {case.case_id: size for case in cases if (size := _data_bytes(case, on)) is not None}
    able = [case for case in cases if case.case_id in limits]
    return choose_warm(able, refused=refused, predictions=predictions, data_bytes=sizes, limits=limits)


def count_searches(
    cases: Iterable[Case], on: PlannedHost, records: Sequence[Record], in_rounds: frozenset[str]
) -> tuple[Search, ...]:
    """Count the trials of each limit search. ``in_rounds`` are the identities of the rounds' runs."""
    wanted = [case for case in cases if case.memory_limit == "search"]
    if not wanted:
        return ()
    predictions = predict_all(wanted, on)
    refused = {each.case_id: each.reason for each in refusals_of(wanted, on, predictions)}
    ended = [
        record
        for record in current_records(records).values()
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


def predict_all(cases: Iterable[Case], on: PlannedHost) -> dict[str, Prediction]:
    """Predict what cases need on a host, by case_id; a case without its data has no prediction."""
    found = ((case.case_id, predict_on(case, on)) for case in cases)
    return {case_id: prediction for case_id, prediction in found if prediction is not None}


def predict_on(case: Case, on: PlannedHost) -> Prediction | None:
    """Predict what a case needs on a host; None if its data set is absent or unknown."""
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
    """Return the bytes of the files that a case reads per epoch; None if not known."""
    data = on.data.get(case.data)
    if data is None or not data.images or data.bytes is None:
        return None
    return round(data.bytes * min(1.0, (case.max_images or data.images) / data.images))


def refusals_of(cases: Sequence[Case], on: PlannedHost, predictions: Mapping[str, Prediction]) -> tuple[Refusal, ...]:
    """Return the cases that cannot run on a host, or whose loader failed the same-work check, with reasons."""
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
        gpu_obstacle=on.gpu_obstacle,
        unlabelled=frozenset(name for name, found in on.data.items() if not found.is_labelled),
    )
    return (*refuted.values(), *others)

"""One planner: what a host has to do, what is done of it, and the same answer whoever asks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from factory import record_of

from harness.analysis.findings import find
from harness.engine.interface import Payload
from harness.engine.jobs import HostData
from harness.experiment import expand, parse_experiment
from harness.experiment.only import select_cases
from harness.hosts.local import LocalConnection
from harness.session.invocations import HostDigests, Invocation
from harness.session.setup import HostSetup
from harness.values.case import Case
from harness.values.engine_names import EngineFacts
from harness.values.facts import DiskFacts, Facts
from harness.values.record import TRIAL, TWIN, WARM_RUN, Epoch, Memory, Record
from harness.values.work import WorkProof, work_key
from harness.workflow.planning import HostPlan, PlannedData, PlannedHost, plan_session
from harness.workflow.resolve import Resolved
from harness.workflow.round_planning import merge_rounds

GB = 10**9
DIGESTS = HostDigests("here", "i" * 64, "p" * 64, {"d": "f" * 64})
HOST = PlannedHost("here", 8 * GB, cpus=8, gpus=0, data={"d": PlannedData(100, 10**7)}, disk_names=("scratch",))
TOO_LARGE = "a limit of 9 GB is more than this host can give: 8 GB are available after the reserve"
NO_CPUSET = "the case asks for 4 CPUs, but jobs cannot be limited to CPUs here"
NO_LIMIT = "no memory limit can be enforced here: no cgroup"
NO_DISK = "the host has no disk named 'nvme' (it has scratch): add it under `disks:`"
TRAINING = "mode: train, image_size: 64, model: {alpha: 0.25}"
XLA = "mode: train, image_size: 64, model: {alpha: 0.25, xla: true}"
OLD_GPU = {"gpus": 1, "gpu_obstacle": "too old: install `gpus: 0`"}


def resolve(parameters: str, rounds: str = "3", more: str = "", only: Sequence[str] = ()) -> Resolved:
    text = f"{{name: e, rounds: {rounds}, {more} parameters: {{data: d, {parameters}}}}}"
    experiment = parse_experiment(text, "e.yaml")
    matrix = expand(experiment)
    cases = tuple(select_cases(matrix.cases, only)) if only else matrix.cases
    return Resolved(None, (), experiment, "", matrix, cases, is_part=bool(only))  # type: ignore[arg-type]


def plan(resolved: Resolved, records: Sequence[Record] = (), on: PlannedHost = HOST, **more: Any) -> HostPlan:
    return plan_session(resolved, on, DIGESTS, records, **more)


@pytest.mark.parametrize(
    ("parameters", "more", "planned"),
    [
        ("loader: [keras-idg, tfdata]", {}, 3 * (2 + 1)),
        ("loader: [keras-idg, tfdata]", {"rounds": "5"}, 5 * (2 + 1)),
        ("loader: [keras-idg, tfdata]", {"rounds": "auto"}, 3 * (2 + 1)),
        # Of a part only its own cases count, and the twin only where it is one of them.
        ("loader: [keras-idg, tfdata]", {"only": ["loader=tfdata"]}, 3),
        ("loader: [keras-idg, tfdata]", {"only": ["loader=keras-idg"]}, 3 * 2),
        # Training: a ceiling in each round, and in the first one a warm run of each case.
        (f"loader: [keras-idg, tfdata], {TRAINING}", {}, 3 * (2 + 1 + 1) + 2),
        (f"loader: [keras-idg, tfdata], {TRAINING}", {"more": "stall_rounds: 2,"}, 3 * (2 + 1 + 1) + 2 * 2),
        (f"loader: [keras-idg, tfdata], {TRAINING}", {"more": "stall_rounds: 0,"}, 3 * (2 + 1 + 1)),
        # A limit that the host cannot give is planned, announced and skipped; it has no twin.
        ("loader: tfdata, memory_limit: [2GB, 9GB]", {}, 3 * (2 + 1)),
        # A search has no rounds: its trials are counted.
        ("loader: tfdata, memory_limit: search", {}, 8),
        ("loader: [keras-idg, tfdata], memory_limit: [search, 2GB]", {}, 3 * (2 + 1) + 2 * 8),
    ],
)
def test_invocations_are_counted(parameters: str, more: dict[str, Any], planned: int) -> None:
    found = plan(resolve(parameters, **more))
    assert (found.done, found.planned) == (0, planned)
    assert len(found.todo) == len(found.invocations)
    assert found.seconds_left([]) == pytest.approx(
        sum(each.predictions.duration_s for each in found.todo if each.predictions and not each.skip)
        + sum(each.left * each.prediction.duration_s for each in found.searches if each.prediction)
    )


@pytest.mark.parametrize(
    ("statuses", "rerun_failed", "done"),
    [
        (["ok"] * 9, False, 9),
        (["ok", "oom", "error", "timeout", "disk_full", "lost"], False, 5),
        (["ok", "oom", "error", "timeout", "disk_full", "lost"], True, 2),
        (["skipped"], False, 0),  # its reason is gone
    ],
)
def test_done_is_what_a_run_would_not_do_again(statuses: list[str], rerun_failed: bool, done: int) -> None:
    resolved = resolve("loader: [keras-idg, tfdata]")
    items = plan(resolved).invocations
    records = [record_of(item, status=status) for item, status in zip(items, statuses, strict=False)]
    found = plan(resolved, records, rerun_failed=rerun_failed)
    assert (found.done, found.planned) == (done, 9)
    assert [item.attempt for item in found.todo].count(2) == len(statuses) - done


def test_records_of_more_rounds_than_are_planned_are_none_of_the_plan() -> None:
    """After `run --rounds 5`, `plan` said "33 of 18 invocations are done"."""
    five = plan(resolve("loader: [keras-idg, tfdata]", rounds="5"))
    records = [record_of(item) for item in five.invocations]
    assert len(records) == 15
    three = plan(resolve("loader: [keras-idg, tfdata]", rounds="3"), records)
    assert (three.done, three.planned, three.todo) == (9, 9, ())
    work = find("work-differs", "it drops the last batch", "mend it")
    bad = [one.model_copy(update={"validity": "invalid", "findings": (work,)}) for one in records[:2]]
    assert three.count_outcomes([*bad, *records[2:]]) == {"ok": 7, "invalid": 2}


AUTO = "loader: [keras-idg, tfdata], cache: [none, memory]"


def measured(resolved: Resolved, rounds: int, rates: Mapping[str, float], **fields: Any) -> list[Record]:
    """Records of whole rounds, at rates by loader and cache; a rate of 0 is a death. They scatter by 1 %."""
    found = []
    for item in plan(replace(resolved, experiment=resolved.experiment.model_copy(update={"rounds": rounds}))).todo:
        rate = rates[f"{item.case.loader} {item.case.cache}"] * (1 + 0.01 * (hash_of(item.identity) - 0.5))
        epochs = tuple(Epoch(index=index, images=1000, seconds=1000 / rate) for index in (1, 2)) if rate else ()
        found.append(record_of(item, status="ok" if rate else "oom", epochs=epochs, **fields))
    return found


def hash_of(text: str) -> float:
    return int(text[:6], 16) / 16**6


def parts_of(found: HostPlan) -> dict[int, set[str]]:
    rounds: dict[int, set[str]] = {}
    for item in found.invocations:
        name = f"{item.case.loader} {item.case.cache}{' b' if item.alias else ''}"
        rounds.setdefault(item.round, set()).add(name)
    return rounds


def test_rounds_that_auto_has_begun_are_planned_with_those_that_took_part() -> None:
    resolved = resolve(AUTO, rounds="auto")
    rates = {"keras-idg none": 40.0, "tfdata none": 100.0, "tfdata memory": 101.0}
    records = measured(resolved, 5, rates)
    fourth = [r for r in records if r.round == 4 and r.case.loader == "keras-idg"]
    some = [r for r in records if r.round < 4] + fourth + [r for r in records if r.round == 5][:1]
    parts = parts_of(plan(resolved, some))
    assert sorted(parts) == [1, 2, 3, 4, 5]
    assert parts[4] == {"keras-idg none", "keras-idg none b"}
    assert {"keras-idg none", "keras-idg none b"} <= parts[5]
    assert plan(resolved, some).todo == tuple(i for i in plan(resolved, some).todo if i.round == 5)


def test_two_equal_deaths_settle_a_case() -> None:
    resolved = resolve(AUTO, rounds="auto")
    records = measured(resolved, 2, {"keras-idg none": 40.0, "tfdata none": 100.0, "tfdata memory": 0.0})
    parts = parts_of(plan(resolved, records))
    assert "tfdata memory" in parts[2] and "tfdata memory" not in parts[3]
    fixed = parts_of(plan(resolve(AUTO, rounds="3"), records))
    assert "tfdata memory" in fixed[3]


def test_what_was_disturbed_is_repeated_once_with_its_baseline_beside_it() -> None:
    resolved = resolve("loader: [keras-idg, tfdata]", rounds="3")
    records = measured(resolved, 1, {"keras-idg none": 40.0, "tfdata none": 100.0})
    bad = [r.model_copy(update={"validity": "degraded"}) if r.case.loader == "tfdata" else r for r in records]
    found = plan(resolved, bad)
    assert [(i.case.loader, i.alias, i.round, i.attempt) for i in found.repeats] in (
        [("keras-idg", None, 1, 2), ("tfdata", None, 1, 2)],
        [("tfdata", None, 1, 2), ("keras-idg", None, 1, 2)],
    )
    assert found.done == 3 and found.in_order[:2] == found.repeats
    again = [record_of(item, status=status) for item, status in zip(found.repeats, ("error", "ok"), strict=True)]
    assert plan(resolved, [*bad, *again]).repeats == ()
    lost = [record_of(item, status="lost") for item in found.repeats]
    assert [item.attempt for item in plan(resolved, [*bad, *lost]).repeats] == [3, 3]
    alone = [r.model_copy(update={"validity": "degraded"}) if r.alias is None else r for r in records]
    assert len(plan(resolved, [r for r in alone if r.case.loader == "keras-idg"]).repeats) == 0  # the round goes on


@pytest.mark.parametrize(
    ("asked", "written", "stored", "rounds"),
    [
        (None, 3, None, 3),  # a new session
        (None, 3, 5, 5),  # `--rounds 5` before: what is left of it is still to do
        (None, 5, 3, 5),  # the file says more by now
        (2, 3, 5, 2),  # what is asked for now holds
        (7, 3, 5, 7),
        (None, "auto", 5, "auto"),
        (None, 3, "auto", 3),
        (4, "auto", "auto", 4),
        (None, 3, "five", 3),  # an edited file
        (None, 3, True, 3),
    ],
)
def test_a_session_keeps_the_rounds_that_it_was_asked_for(
    asked: int | None, written: Any, stored: object, rounds: Any
) -> None:
    assert merge_rounds(asked, written, stored) == rounds


def test_trials_of_a_search_are_counted_as_they_come() -> None:
    resolved = resolve("loader: tfdata, memory_limit: [search, 2GB]")
    (case,) = [case for case in resolved.cases if case.memory_limit == "search"]
    items = plan(resolved).invocations

    def trial(limit: int, number: int, alias: str, status: str = "ok") -> Record:
        tried = case.model_copy(update={"memory_limit": limit})
        item = Invocation(f"trial-{limit}-{number}-{alias}", "here", tried, alias, number, 1)
        epochs = (Epoch(index=1, images=100, seconds=10.0),) if status == "ok" else ()
        return record_of(item, status=status, memory=Memory(limit_asked=limit), epochs=epochs)

    assert (plan(resolved).done, plan(resolved).planned) == (0, 6 + 8)
    records = [record_of(item) for item in items]
    first = plan(resolved, [*records, trial(8 * GB, 1, TRIAL)])
    assert first.done == 6 + 1 and first.planned > first.done
    some = [trial(8 * GB, 1, TRIAL), trial(8 * GB, 1, TWIN), trial(1 * GB, 1, TRIAL, "oom")]
    found = plan(resolved, [*records, *some])
    (search,) = found.searches
    assert (search.done, found.done) == (3, 9)
    assert search.left == 6  # from 1 to 8 GB: halvings down to 5 %
    assert len(found.coming_trials) == 6


@pytest.mark.parametrize(
    ("parameters", "planned"),
    [
        ("loader: [keras-idg, tfdata]", 1 + 3 * 2),  # one record for all rounds; the other one, and its twin
        (f"loader: [keras-idg, tfdata], {TRAINING}", 1 + 3 * (2 + 1) + 1),  # no warm run of it
        ("loader: keras-idg, memory_limit: search", 1),
    ],
)
def test_a_loader_that_does_other_work_is_planned_once(parameters: str, planned: int) -> None:
    case = Case(data="d", loader="keras-idg")
    proofs = {work_key(case, "folder"): WorkProof(is_proven=True, problems=("its pictures are upside down",))}
    on = replace(HOST, data={"d": PlannedData(100, 10**7, "folder")}, proofs=proofs)
    found = plan(resolve(parameters), on=on)
    assert found.planned == planned
    refused = tuple(item for item in found.invocations if item.is_refuted)
    (one,) = refused or found.searches
    reason = "keras-idg does not do the same work as the others: its pictures are upside down"
    assert (one.skip if isinstance(one, Invocation) else one.refused) == reason
    assert all(item.alias is None for item in found.invocations if item.case.loader == "keras-idg")


def test_a_search_that_cannot_run_is_one_skipped_trial() -> None:
    resolved = resolve("loader: tfdata, memory_limit: search")
    on = PlannedHost("here", 8 * GB, 8, 0, data={}, missing_data={"d": "there is no folder /d"})
    found = plan(resolved, on=on)
    (search,) = found.searches
    assert (search.refused, search.left, found.planned, found.coming_trials) == ("there is no folder /d", 1, 1, [])


CURE = r"ask for 8|leave out `cpus`|gpus: (auto|[01])|size` of at least 2|smaller limit|harness check|add it under"
"""A skipped case says what to do."""


@pytest.mark.parametrize(
    ("parameters", "on", "reason"),
    [
        ("loader: tfdata, cpus: 64", {}, "the case asks for 64 CPUs, the host offers 8"),
        ("loader: tfdata, cpus: 8", {}, None),
        ("loader: tfdata, cpus: 64", {"cpus": None}, None),
        ("loader: tfdata, cpus: 4", {"can_limit_cpus": False}, NO_CPUSET),
        (f"loader: tfdata, gpus: 1, {TRAINING}", {}, "the case asks for 1 GPU, the host offers 0"),
        (f"loader: tfdata, gpus: 1, {TRAINING}", {"gpus": 2}, None),
        (f"loader: tfdata, gpus: 1, {TRAINING}", {"gpus": None}, None),
        (f"loader: tfdata, gpus: 2, {TRAINING}", {"gpus": 2}, None),
        (f"loader: tfdata, gpus: 2, {TRAINING}", {"gpus": 1}, "the case asks for 2 GPUs, the host offers 1"),
        (f"loader: tfdata, gpus: 2, batch_size: 1, {TRAINING}", {"gpus": 2}, "a batch of 1 image cannot be shared"),
        (f"loader: tfdata, gpus: 2, {XLA}", {"gpus": 2}, "Keras compiles no training step with XLA for 2 GPUs"),
        (f"loader: tfdata, {XLA}", {"gpus": 2}, None),
        (f"loader: tfdata, {TRAINING}", OLD_GPU, "no job can use the host's GPUs: too old: install `gpus: 0`"),
        (f"loader: tfdata, gpus: 0, {TRAINING}", OLD_GPU, None),
        ("loader: tfdata", OLD_GPU, None),
        ("loader: tfdata, memory_limit: 9GB", {}, TOO_LARGE),
        ("loader: tfdata, memory_limit: 9GB", {"memory_available": None}, None),
        ("loader: tfdata", {"can_limit_memory": False, "engine_reasons": ("no cgroup",)}, NO_LIMIT),
        ("loader: tfdata, cache: file, cache_disk: nvme", {}, NO_DISK),
        ("loader: tfdata", {"missing_data": {"d": "there is no folder /d"}}, "there is no folder /d"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_skipped_with_the_numbers(parameters: str, on: dict[str, Any], reason: str | None) -> None:
    fields = {**{key: getattr(HOST, key) for key in HOST.__dataclass_fields__}, **on}
    found = plan(resolve(parameters), on=PlannedHost(**fields))
    said = {each.skip for each in found.invocations}
    assert said == {reason} or {str(each).startswith(f"{reason}") for each in said} == {reason is not None}
    assert reason in (None, "there is no folder /d") or all(re.search(CURE, str(each)) for each in said)
    assert found.seconds_left([]) == 0 if reason else found.seconds_left([]) != 0


def test_images_without_labels_are_loaded_and_not_trained_with() -> None:
    on = replace(HOST, data={"d": PlannedData(100, 10**7, is_labelled=False)})
    (reason,) = {each.skip for each in plan(resolve(f"loader: tfdata, {TRAINING}"), on=on).invocations}
    assert reason == (
        "the images of data set 'd' have no labels, so that nothing can be trained with them: measure loading "
        "(`mode: load`), or give one folder per class or a list of paths and labels"
    )
    assert {each.skip for each in plan(resolve("loader: tfdata"), on=on).invocations} == {None}


def test_a_host_that_is_prepared_has_the_plan_of_one_that_was_only_looked_at(tmp_path: Path) -> None:
    disk = DiskFacts(path=str(tmp_path), free_bytes=10**11, total_bytes=10**12)
    facts = Facts(logical_cpus=4, disks={"scratch": disk})
    engine: Any = SimpleNamespace(name="process")
    setup = HostSetup(
        host="here", connection=LocalConnection("here"), engine=engine,
        engine_facts=EngineFacts("process", "1", can_limit_memory=True, can_limit_cpus=True), facts=facts, image="",
        image_digest="i" * 64,
        payload=Payload("p" * 64, b""), data={"d": HostData("d", "folder", "f" * 64, 100, 2, 10**7, ())},
        missing_data={}, disks={"scratch": str(tmp_path)}, memory_available=8 * GB, cpus=(0, 1, 2, 3),
    )  # fmt: skip
    looked = PlannedHost(
        "here",
        8 * GB,
        4,
        0,
        data={"d": PlannedData(100, 10**7)},
        disks={"scratch": disk},
        disk_names=("scratch",),
    )
    resolved = resolve(f"loader: [keras-idg, tfdata], cache: [none, memory, file], cpus: [auto, 64], {TRAINING}")
    prepared = plan(resolved, on=PlannedHost.of(setup))
    assert prepared == plan(resolved, on=looked)
    assert {each.alias for each in prepared.invocations} == {None, TWIN, WARM_RUN}

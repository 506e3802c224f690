"""Before the first measurement on a host: check that all loaders do the same work, and try their settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.analysis.findings import find
from harness.analysis.gpu_fit import usable_gpus
from harness.analysis.rehearsals import batches_to_rehearse, images_to_rehearse, representative, setting_key
from harness.bench.protocol.loader_registry import LOADERS
from harness.session.feasibility import gpus_of
from harness.session.setup import HostSetup
from harness.ship.kept_settings import Setting
from harness.ship.rehearsing import rehearse
from harness.ship.same_work_proof import prove_work
from harness.values.case import Case
from harness.values.event import Emit, SessionFinding, progress_of
from harness.values.names import case_label
from harness.values.record import SetSize
from harness.values.work import WorkProof, hint_differs, say_differs, work_key
from harness.workflow.planning import PlannedHost, predict_all, refusals_of


def prove(setup: HostSetup, cases: Sequence[Case], emit: Emit, keep_log: Callable[[str, str], str]) -> HostSetup:
    """Check that loaders do the same work, unless this host has the result, and return the setup with the results.

    ``keep_log`` stores a text under a name and returns its path.
    """
    variants = {
        work_key(case, data.kind): (case, data.kind)
        for case in cases
        if (data := setup.data.get(case.data)) is not None and not LOADERS[case.loader].is_automatic
    }
    if not variants:
        return setup
    found = prove_work(setup, variants, progress_of(setup.host, emit, "same-work check"))
    kept: dict[str, WorkProof] = {}
    for key, proof in found.items():
        log = keep_log(f"samework-{key}", proof.trace) if proof.trace else None
        kept[key] = proof.model_copy(update={"log": log})
        _tell(setup.host, variants[key][0], kept[key], emit)
    return replace(setup, samework=kept)


def _tell(host: str, case: Case, proof: WorkProof, emit: Emit) -> None:
    name = f"{case.loader}, cache {case.cache}, {case.interpolation}"
    if proof.fails:
        finding = find("work-differs", say_differs(name, proof.problems), hint_differs(proof))
        emit(SessionFinding.of(finding, host))
    elif not proof.is_proven:
        words = f"{name}: the same-work check gave no result: {proof.reason}"
        emit(SessionFinding.of(find("work-unproven", words, "check the host and run again"), host))


def rehearse_settings(setup: HostSetup, cases: Sequence[Case], emit: Emit) -> HostSetup:
    """Try each loader setting of a host's cases on a few images of its data, and report which failed, and why."""
    memory_bytes = setup.memory_available if setup.engine_facts.can_limit_memory else None
    alike: dict[str, list[Case]] = {}
    for case in cases_that_run(setup, cases):
        alike.setdefault(setting_key(case), []).append(case)
    names = {key: case_label(representative(found[0]), among=cases) for key, found in alike.items()}
    settings = {key: _make_setting(setup, found, memory_bytes) for key, found in alike.items()}
    if not settings:
        return setup
    rehearsed = rehearse(
        setup,
        settings,
        progress_of(setup.host, emit, "trial runs"),
        memory_bytes=memory_bytes,
        gpus=usable_gpus(setup.facts, setup.engine_facts, setup.gpus),
    )
    for key, reason in rehearsed.reasons.items():
        message = f"{names[key]}: the trial run failed: {reason}"
        hint = "its memory is predicted by formula, within about 30 %: near its limit it may or may not fit"
        emit(SessionFinding.of(find("not-rehearsed", message, hint), setup.host))
    return replace(setup, rehearsals=rehearsed.found)


def cases_that_run(setup: HostSetup, cases: Sequence[Case]) -> list[Case]:
    """Return the cases that can run on a host and whose loaders passed the same-work check."""
    on = PlannedHost.of(setup)
    refused = {refusal.case_id for refusal in refusals_of(cases, on, predict_all(cases, on))}
    able = [case for case in cases if case.data in setup.data and case.case_id not in refused]
    return [case for case in able if not setup.is_refuted(case)]


def _make_setting(setup: HostSetup, alike: Sequence[Case], memory_bytes: int | None) -> Setting:
    """Return the trial run for cases of one loader setting."""
    case, cpus = alike[0], len(setup.cpus)
    data = setup.data[case.data]
    size = SetSize(images=data.images, bytes=data.bytes)
    return Setting(
        case=representative(case).model_copy(update={"gpus": gpus_of(case, len(setup.gpus))}),
        images=images_to_rehearse(case, size, cpus=cpus, has_gpu=bool(setup.gpus), memory_bytes=memory_bytes),
        batches=batches_to_rehearse(alike, size, cpus=cpus),
        kind=data.kind,
        fingerprint=data.fingerprint,
        mounts=setup.mounts_of(case),
        disk=setup.disks.get(case.cache_disk, setup.scratch),
    )

"""Before the first measurement on a host: measure the CPU time per image of each stage of the loaders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.analysis.findings import find
from harness.analysis.stage_settings import images_to_cost, stage_case, stage_key
from harness.bench.protocol.loader_registry import is_automatic
from harness.session.setup import HostSetup
from harness.ship.kept_settings import Setting
from harness.ship.stage_costing import cost_stages
from harness.values.case import Case
from harness.values.event import Emit, SessionFinding, progress_of
from harness.values.names import case_label
from harness.values.record import SetSize
from harness.workflow.run.proving import cases_that_run


def find_stage_costs(setup: HostSetup, cases: Sequence[Case], emit: Emit) -> HostSetup:
    """Measure the stages of the cases' loaders, report failures, and return the setup with the results.

    This is an extra run before the rounds. Each loader setting is run once, for loading and training together.
    """
    memory_bytes = setup.memory_available if setup.engine_facts.can_limit_memory else None
    alike = {stage_key(case): case for case in cases_that_run(setup, cases) if not is_automatic(case.loader)}
    if not alike:
        return setup
    settings = {key: _make_setting(setup, stage_case(case), memory_bytes) for key, case in alike.items()}
    costs = cost_stages(setup, settings, progress_of(setup.host, emit, "stage timings"), memory_bytes=memory_bytes)
    for key, reason in costs.reasons.items():
        name = case_label(settings[key].case, among=[setting.case for setting in settings.values()])
        message = f"{name}: its stages could not be timed: {reason}"
        emit(SessionFinding.of(find("stages-unknown", message, "`--no-stages` skips this"), setup.host))
    return replace(setup, stage_costs=costs.found)


def _make_setting(setup: HostSetup, case: Case, memory_bytes: int | None) -> Setting:
    data = setup.data[case.data]
    return Setting(
        case=case,
        images=images_to_cost(case, SetSize(images=data.images, bytes=data.bytes), memory_bytes),
        batches=0,
        kind=data.kind,
        fingerprint=data.fingerprint,
        mounts=data.mounts,
        disk=setup.disks.get(case.cache_disk, setup.scratch),
    )

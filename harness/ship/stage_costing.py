"""Measure the cost of the stages of a session's loaders on a host, and keep the results in the host's scratch."""

from __future__ import annotations

from collections.abc import Mapping

from harness.engine.jobs import JobHost
from harness.ship.datasource import OnProgress
from harness.ship.kept_settings import Found, Setting, Task
from harness.values.stages import StageCosts

STAGE_COSTS = Task("stages", "stage-costs", StageCosts, holds_cpus=True)


def cost_stages(
    on: JobHost, settings: Mapping[str, Setting], on_progress: OnProgress, *, memory_bytes: int | None
) -> Found[StageCosts]:
    """Measure the stage costs of settings without an earlier result. Raises HostUnreachable."""
    return STAGE_COSTS.find(on, settings, on_progress, memory_bytes=memory_bytes)

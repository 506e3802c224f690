"""What a Docker Engine's ``inspect`` of a container means: a pure function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.engine.container import LABEL_MEMORY, LABEL_WARNINGS, read_list_label
from harness.engine.interface import JobPhase, JobState

_PHASES: dict[str, JobPhase] = {
    "created": "created",
    "running": "running",
    "paused": "running",
    "restarting": "running",
    "removing": "gone",
    "exited": "exited",
    "dead": "exited",
}
_NEVER = "0001-01-01T00:00:00Z"


def job_state(inspected: Mapping[str, Any]) -> JobState:
    """Phase, exit code and evidence out of ``GET /containers/ID/json``.

    ``OOMKilled`` says that something in the container was killed, not that the
    job failed of it: it can be true with exit code 0. What is being removed by
    force shows this state as soon as it is killed: somebody took it, it did not end.
    """
    state = inspected.get("State") or {}
    phase = _PHASES.get(str(state.get("Status")), "exited")
    is_over = phase == "exited"
    return JobState(
        phase=phase,
        exit_code=state.get("ExitCode") if is_over else None,
        oom_killed=state.get("OOMKilled"),
        error=state.get("Error") or None,
        started_at=_time(state.get("StartedAt")),
        finished_at=_time(state.get("FinishedAt")) if is_over else None,
        warnings=_warnings(inspected),
    )


def _time(text: str | None) -> str | None:
    return None if not text or text == _NEVER else text


def _warnings(inspected: Mapping[str, Any]) -> tuple[str, ...]:
    """What the daemon said when the container was created, and a limit that is not what was asked."""
    labels = (inspected.get("Config") or {}).get("Labels") or {}
    warnings = read_list_label(labels, LABEL_WARNINGS)
    asked = labels.get(LABEL_MEMORY)
    has = (inspected.get("HostConfig") or {}).get("Memory")
    if asked is not None and has is not None and str(has) != asked:
        warnings += (f"The memory limit of the container is {has} instead of {asked} bytes. Limitation discarded.",)
    return warnings

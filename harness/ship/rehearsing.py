"""Make trial runs of a session's loader settings on a host, and keep the results in the host's scratch."""

from __future__ import annotations

from collections.abc import Mapping

from harness.engine.jobs import JobHost
from harness.ship.datasource import OnProgress
from harness.ship.kept_settings import Found, Setting, Task
from harness.values.rehearsal import Rehearsal

REHEARSAL = Task("rehearse", "rehearsals", Rehearsal)


def rehearse(
    on: JobHost,
    settings: Mapping[str, Setting],
    on_progress: OnProgress,
    *,
    memory_bytes: int | None,
    gpus: tuple[str, ...] = (),
) -> Found[Rehearsal]:
    """Make trial runs of settings without an earlier result of at least as many batches. Raises HostUnreachable."""
    return REHEARSAL.find(
        on,
        settings,
        on_progress,
        memory_bytes=memory_bytes,
        gpus=gpus,
        is_enough=lambda known, setting: known.batches_wanted >= setting.batches,
    )

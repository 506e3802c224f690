"""Run a short job that tests a property of a host, and remove it with its results."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from harness.bench.protocol import protocol
from harness.engine.interface import Engine, JobRequest
from harness.hosts.temporary import temporary_folder

_DEADLINE_S = 60.0
_POLL_S = 0.2


def probe_name() -> str:
    """Return a unique name for such a job."""
    return f"harness-probe-{os.getpid()}-{time.time_ns():x}"


def run_probe(engine: Engine, request: JobRequest, files: Sequence[str]) -> list[dict[str, object] | None]:
    """Run a job of some seconds and return the JSON objects in its result ``files``, None for a missing file.

    Raises HarnessError, Unreadable. Nothing is left on the host.
    """
    handle = engine.submit(request)
    try:
        deadline = time.monotonic() + _DEADLINE_S
        while (phase := engine.poll([handle])[0].phase) in ("queued", "running") and time.monotonic() < deadline:
            if phase == "queued":
                deadline = time.monotonic() + _DEADLINE_S
            time.sleep(_POLL_S)
        with temporary_folder() as results:
            engine.fetch(handle, results)
            return [protocol.as_object(protocol.read_json(results / name)) or None for name in files]
    finally:
        engine.cancel([handle])

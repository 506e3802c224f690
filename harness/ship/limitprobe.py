"""Runs something tiny on a host that must be killed at its memory limit: the proof that a limit holds there."""

from __future__ import annotations

import os
import time

from harness.analysis.host_check import LimitProbe, limit_probe_of
from harness.bench.protocol import protocol
from harness.bench.protocol.bounded_json import Unreadable
from harness.engine.interface import Engine, JobRequest
from harness.engine.jobs import JobHost, build_job
from harness.hosts.temporary import temporary_folder
from harness.values.errors import HarnessError

PROBE_LIMIT_BYTES = 64 * 2**20
_DEADLINE_S = 60.0
_POLL_S = 0.2


def probe_limit(on: JobHost) -> LimitProbe:
    """Run the probe and say what became of it; leaves nothing on the host. Never raises a HarnessError."""
    try:
        outcome, failure = _run(on.engine, _request(on))
    except HarnessError as error:
        outcome, failure = None, {"message": error.message}
    except Unreadable as error:
        outcome, failure = None, {"message": f"what the probe left cannot be read: {error}"}
    return limit_probe_of(PROBE_LIMIT_BYTES, outcome, failure)


def _request(on: JobHost) -> JobRequest:
    name = f"harness-probe-{os.getpid()}-{time.time_ns():x}"
    return build_job(on, "probe", name, {}, session="check", timeout_s=30.0, memory_bytes=PROBE_LIMIT_BYTES, cpus=())


def _run(engine: Engine, request: JobRequest) -> tuple[dict[str, object] | None, dict[str, object] | None]:
    handle = engine.submit(request)
    try:
        deadline = time.monotonic() + _DEADLINE_S
        while engine.poll([handle])[0].phase == "running" and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        with temporary_folder() as results:
            engine.fetch(handle, results)
            outcome, failure = (protocol.read_json(results / name) for name in (protocol.OUTCOME, protocol.FAILURE))
            return protocol.as_object(outcome) or None, protocol.as_object(failure) or None
    finally:
        engine.cancel([handle])

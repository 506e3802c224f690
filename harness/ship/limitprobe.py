"""Runs something tiny on a host that must be killed at its memory limit: the proof that a limit holds there."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.analysis.check import LimitProbe, limit_probe_of
from harness.bench import protocol
from harness.engine.interface import LABEL_PREFIX, Engine, JobRequest, Payload
from harness.values.errors import HarnessError

PROBE_LIMIT_BYTES = 64 * 2**20
_DEADLINE_S = 60.0
_POLL_S = 0.2


def probe_limit(engine: Engine, *, host: str, payload: Payload, image: str) -> LimitProbe:
    """Run the probe and say what became of it; leaves nothing on the host. Never raises a HarnessError."""
    try:
        outcome, failure = _run(engine, _request(host, payload, image))
    except HarnessError as error:
        outcome, failure = None, {"message": error.message}
    return limit_probe_of(PROBE_LIMIT_BYTES, outcome, failure)


def _request(host: str, payload: Payload, image: str) -> JobRequest:
    labels = {f"{LABEL_PREFIX}task": "probe", f"{LABEL_PREFIX}session": "check", f"{LABEL_PREFIX}host": host}
    limits = {"memory_bytes": PROBE_LIMIT_BYTES, "cpus": [], "gpus": [], "oom_score_adj": 1000}
    request = {"format": protocol.FORMAT, "task": "probe", "limits": limits, "timeout_s": 30.0, "seed": 0}
    name = f"harness-probe-{os.getpid()}-{time.time_ns():x}"
    return JobRequest(name, labels, payload, request, image, memory_bytes=PROBE_LIMIT_BYTES)


def _run(engine: Engine, request: JobRequest) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    handle = engine.submit(request)
    try:
        deadline = time.monotonic() + _DEADLINE_S
        while engine.poll([handle])[0].phase == "running" and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        with tempfile.TemporaryDirectory(prefix="harness-probe-") as folder:
            engine.fetch(handle, Path(folder))
            results = Path(folder)
            return protocol.read_json(results / protocol.OUTCOME), protocol.read_json(results / protocol.FAILURE)
    finally:
        engine.cancel([handle])

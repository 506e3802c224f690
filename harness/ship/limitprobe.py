"""Run a small job that must be killed at its memory limit, as a proof that limits are enforced on a host."""

from __future__ import annotations

from harness.analysis.host_check import LimitProbe, limit_probe_of
from harness.bench.protocol import protocol
from harness.bench.protocol.bounded_json import Unreadable
from harness.engine.interface import JobRequest
from harness.engine.jobs import JobHost, build_job
from harness.ship.probing import probe_name, run_probe
from harness.values.errors import HarnessError

PROBE_LIMIT_BYTES = 64 * 2**20


def probe_limit(on: JobHost) -> LimitProbe:
    """Run the probe and return its outcome, errors included; leaves nothing behind. Raises no HarnessError."""
    outcome: dict[str, object] | None
    failure: dict[str, object] | None
    try:
        outcome, failure = run_probe(on.engine, _request(on), (protocol.OUTCOME, protocol.FAILURE))
    except HarnessError as error:
        outcome, failure = None, {"message": error.message}
    except Unreadable as error:
        outcome, failure = None, {"message": f"the probe's result cannot be read: {error}"}
    return limit_probe_of(PROBE_LIMIT_BYTES, outcome, failure)


def _request(on: JobHost) -> JobRequest:
    limit = PROBE_LIMIT_BYTES
    return build_job(on, "probe", probe_name(), {}, session="check", timeout_s=30.0, memory_bytes=limit, cpus=())

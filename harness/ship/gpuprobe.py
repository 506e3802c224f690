"""Run a small job that asks for GPUs on a host, as a proof that jobs get them."""

from __future__ import annotations

from harness.analysis.host_check import GpuProbe
from harness.bench.protocol import protocol
from harness.bench.protocol.bounded_json import Unreadable
from harness.engine.jobs import JobHost, build_job
from harness.ship.probing import probe_name, run_probe
from harness.values.errors import HarnessError
from harness.values.text import clean_text


def probe_gpus(on: JobHost) -> GpuProbe:
    """Ask for the GPUs that jobs may use and return what the job got; leaves nothing behind. Raises no HarnessError."""
    asked = len(on.gpus)
    request = build_job(on, "gpus", probe_name(), {}, session="check", timeout_s=30.0, cpus=(), gpus=on.gpus)
    try:
        left, failure = run_probe(on.engine, request, (protocol.GPU, protocol.FAILURE))
    except HarnessError as error:
        return GpuProbe(asked, None, clean_text(error.message))
    except Unreadable as error:
        return GpuProbe(asked, None, f"the job's result cannot be read: {error}")
    if left is None:
        said = clean_text(failure["message"]) if failure and failure.get("message") else "the job left no result"
        return GpuProbe(asked, None, said)
    problem = left.get("problem")
    return GpuProbe(asked, protocol.as_count(left.get("found")), None if problem is None else clean_text(problem))

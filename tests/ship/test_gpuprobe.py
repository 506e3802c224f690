"""The job that asks for a host's GPUs: what it is, what came of it, and that nothing is left of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.host_check import GpuProbe
from harness.bench.supervisor.supervisor import MODULES
from harness.engine.interface import JobHandle, JobRequest, JobState, Payload
from harness.engine.jobs import JobHost
from harness.hosts.local import LocalConnection
from harness.ship.gpuprobe import probe_gpus
from harness.values.errors import HarnessError, JobRefused


class Engine:
    """Runs nothing: a job leaves what the test says, or is refused."""

    name = host = "here"

    def __init__(self, left: dict[str, Any], refusal: HarnessError | None = None) -> None:
        self._left, self._refusal = left, refusal
        self.asked: list[JobRequest] = []
        self.removed: list[str] = []

    def submit(self, request: JobRequest) -> JobHandle:
        self.asked.append(request)
        if self._refusal is not None:
            raise self._refusal
        return JobHandle("here", request.name, request.name)

    def poll(self, handles: list[JobHandle]) -> list[JobState]:
        return [JobState("exited", exit_code=0) for _ in handles]

    def fetch(self, _handle: JobHandle, destination: Path) -> None:
        for name, value in self._left.items():
            (destination / name).write_text(value if isinstance(value, str) else json.dumps(value))

    def cancel(self, handles: list[JobHandle]) -> None:
        self.removed += [handle.name for handle in handles]


def probe(engine: Engine) -> GpuProbe:
    on = JobHost(
        host="here", connection=LocalConnection("here"), engine=engine,  # type: ignore[arg-type]
        image="i", image_digest="d" * 64, payload=Payload("p" * 64, b""), disks={"scratch": "/s"},
        cpus=(0,), gpus=("GPU-a", "GPU-b"),
    )  # fmt: skip
    return probe_gpus(on)


@pytest.mark.parametrize(
    ("left", "found"),
    [
        ({"gpu.json": {"found": 2, "problem": None}}, GpuProbe(2, 2)),
        ({"gpu.json": {"found": 0, "problem": "no library"}}, GpuProbe(2, 0, "no library")),
        ({"gpu.json": {"found": "two"}}, GpuProbe(2, None)),
        ({"failure.json": {"message": "the job failed"}}, GpuProbe(2, None, "the job failed")),
        ({}, GpuProbe(2, None, "it left no answer")),
    ],
)
def test_what_the_job_left_is_what_came(left: dict[str, Any], found: GpuProbe) -> None:
    engine = Engine(left)
    assert probe(engine) == found
    (request,) = engine.asked
    assert request.gpus == ("GPU-a", "GPU-b") and request.request["task"] in MODULES and not request.mounts
    assert engine.removed == [request.name]


def test_what_cannot_be_read_or_does_not_start_is_a_problem() -> None:
    assert "cannot be read" in str(probe(Engine({"gpu.json": '{"found": NaN}'})).problem)
    refused = JobRefused("nvidia-container-cli: initialization error", where="here", hint="x")
    assert probe(Engine({}, refused)) == GpuProbe(2, None, "nvidia-container-cli: initialization error")

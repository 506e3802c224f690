"""The job that asks for a host's GPUs: what it is, what came of it, and that nothing is left of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.analysis.host_check import GpuProbe
from harness.bench.supervisor.supervisor import MODULES
from harness.engine.interface import JobHandle, JobRequest, JobState, Payload
from harness.engine.jobs import CUDA_FOLDER, JobHost, cuda_cache
from harness.engine.reached import Reached
from harness.hosts.local import LocalConnection
from harness.ship.gpuprobe import probe_gpus
from harness.ship.transfers import wanted_image
from harness.values.errors import HarnessError, JobRefused
from harness.values.facts import Facts, GpuFacts


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
        ({}, GpuProbe(2, None, "the job left no result")),
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


@pytest.mark.parametrize(
    ("wanted", "gpus"),
    [("auto", ("GPU-a", "1")), (1, ("GPU-a",)), (0, ()), ((1, 0), ("1", "GPU-a")), (("GPU-x", 7), ("GPU-x", "7"))],
)
def test_a_number_in_the_inventory_is_the_gpu_of_that_id(wanted: Any, gpus: tuple[str, ...]) -> None:
    assert reached(wanted).gpus == gpus


def reached(wanted: Any, architecture: str = "x86_64") -> Reached:
    facts = Facts(gpus=(GpuFacts(name="a", uuid="GPU-a"), GpuFacts(name="b")), architecture=architecture)
    host: Any = SimpleNamespace(variables=SimpleNamespace(gpus=wanted, image=None, registry=None))
    return Reached(host, LocalConnection("here"), facts, "/s", {}, 10**9)


def test_a_host_whose_gpus_no_package_can_use_gets_the_cpu_image() -> None:
    assert [wanted_image(reached("auto", kind)).kind for kind in ("x86_64", "aarch64")] == ["gpu", "cpu"]
    assert wanted_image(reached(0)).kind == "cpu"


def test_jobs_with_gpus_keep_what_is_compiled_for_them_in_scratch() -> None:
    on: Any = SimpleNamespace(scratch="/s")
    (mount,) = cuda_cache(on, ("GPU-a",))
    assert (mount.name, mount.source, mount.read_only, mount.ephemeral) == ("cuda", f"/s/{CUDA_FOLDER}", False, False)
    assert cuda_cache(on, ()) == ()

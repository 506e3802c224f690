"""Building the job that an engine starts for an invocation. Pure."""

from __future__ import annotations

from harness.bench.protocol.loader_registry import is_on_disk
from harness.engine.interface import CACHE_PREFIX, LABEL_PREFIX, JobRequest, Mount
from harness.engine.jobs import build_job, cuda_cache
from harness.session.feasibility import gpus_of
from harness.session.invocations import Invocation
from harness.session.setup import HostSetup
from harness.values.digest import digest_of

PAYLOAD_LABEL = f"{LABEL_PREFIX}payload"


def job_prefix(session: str) -> str:
    """Return the prefix of the names of a session's jobs; no other session has it."""
    return f"harness-{digest_of(session)[:8]}-"


def job_name(session: str, invocation: Invocation) -> str:
    """Return a job name that is unique per session, identity and attempt, and short enough for every engine."""
    return f"{job_prefix(session)}{invocation.identity}-{invocation.attempt}"


def payload_label(setup: HostSetup) -> str:
    """Return the label value for the code that a job runs, including a user's own loaders."""
    return setup.payload.key[:16]


def build_measurement(
    session: str, seed: int, timeout_s: float, setup: HostSetup, invocation: Invocation
) -> JobRequest:
    """Build the job that measures one invocation, with the labels by which it is found again."""
    case, name = invocation.case, job_name(session, invocation)
    data = setup.data[case.data]
    mounts = setup.mounts_of(case)
    if is_on_disk(case.cache):
        disk = setup.disks[case.cache_disk]
        mounts = (*mounts, Mount("cache", f"{disk}/{CACHE_PREFIX}{name}", read_only=False, ephemeral=True))
    gpus = setup.gpus[: gpus_of(case, len(setup.gpus))]
    return build_job(
        setup,
        "measure",
        name,
        {"case": case.model_dump(mode="json"), "data": {"kind": data.kind, "name": data.name}},
        session=session,
        labels={
            "invocation": invocation.identity,
            "attempt": str(invocation.attempt),
            "case": case.case_id,
            "round": str(invocation.round),
            "payload": payload_label(setup),
        },
        timeout_s=timeout_s,
        seed=seed * 1000 + invocation.round,
        mounts=(*mounts, *cuda_cache(setup, gpus)),
        memory_bytes=invocation.memory_bytes,
        cpus=setup.cpus if case.cpus is None else setup.cpus[: case.cpus],
        gpus=gpus,
    )

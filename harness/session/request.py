"""From an invocation to the job that an engine starts (pure)."""

from __future__ import annotations

from harness.bench.registry import is_on_disk
from harness.engine.interface import CACHE_PREFIX, LABEL_PREFIX, JobRequest, Mount
from harness.session.feasibility import MOST_GPUS
from harness.session.plan import Invocation
from harness.session.setup import HostSetup
from harness.values.case import digest_of

PAYLOAD_LABEL = f"{LABEL_PREFIX}payload"
_FORMAT = 1
_BENCHMARK_OOM_SCORE = 1000


def job_name(session: str, invocation: Invocation) -> str:
    """Unique per session, identity and attempt, and short enough for every engine."""
    return f"harness-{digest_of(session)[:8]}-{invocation.identity}-{invocation.attempt}"


def payload_label(setup: HostSetup) -> str:
    """What a job's label says of the code that it runs: a user's own loaders are part of it."""
    return setup.payload.key[:16]


def job_labels(session: str, setup: HostSetup, invocation: Invocation) -> dict[str, str]:
    """The labels by which a job is found again."""
    return {
        f"{LABEL_PREFIX}session": session,
        f"{LABEL_PREFIX}invocation": invocation.identity,
        f"{LABEL_PREFIX}attempt": str(invocation.attempt),
        f"{LABEL_PREFIX}case": invocation.case.case_id,
        f"{LABEL_PREFIX}round": str(invocation.round),
        f"{LABEL_PREFIX}host": invocation.host,
        f"{LABEL_PREFIX}task": "measure",
        PAYLOAD_LABEL: payload_label(setup),
    }


def build_job(session: str, seed: int, timeout_s: float, setup: HostSetup, invocation: Invocation) -> JobRequest:
    """The whole request: what the payload reads, and what the engine enforces."""
    case, name = invocation.case, job_name(session, invocation)
    cpus = setup.cpus if case.cpus is None else setup.cpus[: case.cpus]
    gpus = setup.gpus[: MOST_GPUS if case.gpus == "auto" else case.gpus]
    data = setup.data[case.data]
    mounts = list(data.mounts)
    if is_on_disk(case.cache):
        disk = setup.disks[case.cache_disk]
        mounts.append(Mount("cache", f"{disk}/{CACHE_PREFIX}{name}", read_only=False, ephemeral=True))
    if (weights := setup.weights_of(case)) is not None:
        mounts.append(Mount("weights", weights.path))
    request: dict[str, object] = {
        "format": _FORMAT,
        "task": "measure",
        "case": case.model_dump(mode="json"),
        "data": {"kind": data.kind, "name": data.name},
        "limits": {
            "memory_bytes": invocation.memory_bytes,
            "cpus": list(cpus),
            "gpus": list(gpus),
            "oom_score_adj": _BENCHMARK_OOM_SCORE,
        },
        "timeout_s": timeout_s,
        "seed": seed * 1000 + invocation.round,
    }
    return JobRequest(
        name=name,
        labels=job_labels(session, setup, invocation),
        payload=setup.payload,
        request=request,
        image=setup.image,
        mounts=tuple(mounts),
        memory_bytes=invocation.memory_bytes,
        cpus=cpus,
        gpus=gpus,
    )

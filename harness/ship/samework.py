"""Prove on a host that every loader of a session does the same work; what is proven is kept in the host's scratch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.engine.interface import LABEL_PREFIX, Engine, JobRequest, Payload
from harness.hosts.connection import Connection
from harness.hosts.folders import make_folder
from harness.ship.preparation import run_preparation
from harness.values.case import Case, canonical_json, digest_of
from harness.values.errors import DataError, JobRefused
from harness.values.work import WorkProof, read_proof, unproven

_TIMEOUT_S = 900.0
_FORMAT = 1


def prove_work(
    engine: Engine,
    *,
    host: str,
    connection: Connection,
    scratch: str,
    payload: Payload,
    image: str,
    image_digest: str,
    cpus: Sequence[int],
    variants: Mapping[str, tuple[Case, str]],
    on_progress: Callable[[str, float | None], None],
) -> dict[str, WorkProof]:
    """Return what was found for each variant, by its key; ``variants`` are a case and the kind of its data.

    One job serves all that this image and payload have not been proven with on this host. Only what is proven is kept:
    a loader that fails is tried again by the next session. Where the job fails, its variants are unproven, with the
    reason. Raises HostUnreachable.
    """
    path = f"{scratch}/samework/{digest_of([_FORMAT, image_digest, payload.key])[:16]}.json"
    kept = {key: read_proof(value) for key, value in _read(connection, path).items()}
    known = {key: proof for key, proof in kept.items() if proof.is_proven and not proof.fails}
    missing = {key: found for key, found in variants.items() if key not in known}
    if missing:
        try:
            found = _try(engine, host, payload, image, cpus, missing, on_progress)
        except (DataError, JobRefused) as error:
            found = {}
            lacking = unproven(error.message)
        else:
            lacking = unproven("the proof says nothing of it")
        fresh = {key: read_proof(found[key]) if key in found else lacking for key in missing}
        sound = {key: proof for key, proof in fresh.items() if proof.is_proven and not proof.fails}
        if sound:
            make_folder(connection, f"{scratch}/samework")
            all_sound = {key: proof.as_fields() for key, proof in {**known, **sound}.items()}
            connection.put(canonical_json(all_sound).encode(), path)
        known.update(fresh)
    return {key: known[key] for key in variants}


def _try(
    engine: Engine,
    host: str,
    payload: Payload,
    image: str,
    cpus: Sequence[int],
    variants: Mapping[str, tuple[Case, str]],
    on_progress: Callable[[str, float | None], None],
) -> dict[str, object]:
    """Run the job that tries the variants; what it left of each, by key, as it is."""
    listed = [
        {"key": key, "kind": kind, "case": case.model_dump(mode="json")} for key, (case, kind) in variants.items()
    ]
    request: dict[str, Any] = {
        "format": 1,
        "task": "samework",
        "variants": listed,
        "limits": {"memory_bytes": None, "cpus": list(cpus), "gpus": [], "oom_score_adj": 1000},
        "timeout_s": _TIMEOUT_S,
        "seed": 3,
    }
    name = f"harness-samework-{digest_of([payload.key, image, listed])[:12]}"
    labels = {f"{LABEL_PREFIX}session": "data", f"{LABEL_PREFIX}task": "samework", f"{LABEL_PREFIX}host": host}
    job = JobRequest(name, labels, payload, request, image, cpus=tuple(cpus))
    found = run_preparation(engine, job, host=host, timeout_s=_TIMEOUT_S, on_progress=on_progress)
    results = found.get("variants")
    return results if isinstance(results, dict) else {}


def _read(connection: Connection, path: str) -> dict[str, object]:
    done = connection.run(["cat", "--", path])
    try:
        value = json.loads(done.text) if done.returncode == 0 else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}

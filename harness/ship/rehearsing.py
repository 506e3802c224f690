"""Rehearse a session's settings on a host with some hundred images; what was found is kept in the host's scratch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.engine.interface import CACHE_PREFIX, LABEL_PREFIX, Engine, JobRequest, Mount, Payload
from harness.hosts.connection import Connection
from harness.hosts.folders import make_folder
from harness.ship.preparation import run_preparation
from harness.values.case import Case, canonical_json, digest_of
from harness.values.errors import DataError, JobRefused

_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Rehearsal:
    """One setting to rehearse: the case that stands for it, its data and how a job gets at it; ``disk`` is for the
    cache file."""

    case: Case
    kind: str
    fingerprint: str
    mounts: tuple[Mount, ...]
    disk: str


def rehearse(
    engine: Engine,
    *,
    host: str,
    connection: Connection,
    scratch: str,
    payload: Payload,
    image: str,
    image_digest: str,
    cpus: Sequence[int],
    gpus: Sequence[str],
    memory_bytes: int | None,
    settings: Mapping[str, Rehearsal],
    on_progress: Callable[[str, float | None], None],
) -> tuple[dict[str, dict[str, Any]], str | None]:
    """What was found for each setting, by its key; and why some are missing, or None. Raises HostUnreachable."""
    found: dict[str, dict[str, Any]] = {}
    reason = None
    paths = {key: _kept_at(scratch, image_digest, payload.key, each.fingerprint, key) for key, each in settings.items()}
    make_folder(connection, f"{scratch}/rehearsals")
    for key, each in settings.items():
        known = _read(connection, paths[key])
        if known is not None:
            found[key] = known
            continue
        job = _request(host, payload, image, cpus, gpus, memory_bytes, key, each)
        try:
            answer = run_preparation(engine, job, host=host, timeout_s=_TIMEOUT_S, on_progress=on_progress)
        except (DataError, JobRefused) as error:
            reason = error.message
            continue
        result = (answer.get("settings") or {}).get(key) or {}
        if "reason" in result:
            reason = str(result["reason"])
        elif result:
            found[key] = result
            connection.put(canonical_json(result).encode(), paths[key])
    return found, reason


def read_rehearsals(
    connection: Connection, scratch: str, image_digest: str, payload_key: str, settings: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Return what earlier sessions rehearsed here, by setting. ``settings`` are fingerprints of data by setting."""
    found = {}
    for key, fingerprint in settings.items():
        known = _read(connection, _kept_at(scratch, image_digest, payload_key, fingerprint, key))
        if known is not None:
            found[key] = known
    return found


def _kept_at(scratch: str, image_digest: str, payload_key: str, fingerprint: str, key: str) -> str:
    return f"{scratch}/rehearsals/{digest_of([image_digest, payload_key, fingerprint, key])[:16]}.json"


def _request(
    host: str,
    payload: Payload,
    image: str,
    cpus: Sequence[int],
    gpus: Sequence[str],
    memory_bytes: int | None,
    key: str,
    each: Rehearsal,
) -> JobRequest:
    setting = {
        "key": key,
        "case": each.case.model_dump(mode="json"),
        "data": {"kind": each.kind, "name": each.case.data},
        "paths": {mount.name: mount.name for mount in (*each.mounts, Mount("cache", ""))},
    }
    request: dict[str, Any] = {
        "format": 1,
        "task": "rehearse",
        "settings": [setting],
        "limits": {"memory_bytes": memory_bytes, "cpus": list(cpus), "gpus": list(gpus), "oom_score_adj": 1000},
        "timeout_s": _TIMEOUT_S,
        "seed": 5,
    }
    name = f"harness-rehearse-{digest_of([payload.key, image, each.fingerprint, key])[:12]}"
    labels = {f"{LABEL_PREFIX}session": "data", f"{LABEL_PREFIX}task": "rehearse", f"{LABEL_PREFIX}host": host}
    cache = Mount("cache", f"{each.disk}/{CACHE_PREFIX}{name}", read_only=False, ephemeral=True)
    mounts = (*each.mounts, cache)
    return JobRequest(name, labels, payload, request, image, mounts, memory_bytes, tuple(cpus), tuple(gpus))


def _read(connection: Connection, path: str) -> dict[str, Any] | None:
    done = connection.run(["cat", "--", path])
    try:
        value = json.loads(done.text) if done.returncode == 0 else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None

"""Rehearse a session's settings on a host; what was found is kept in the host's scratch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from harness.engine.interface import CACHE_PREFIX, LABEL_PREFIX, Engine, JobRequest, Mount, Payload
from harness.hosts.connection import Connection
from harness.hosts.folders import make_folder
from harness.ship.preparation import run_preparation
from harness.values.case import Case, digest_of
from harness.values.errors import DataError, JobRefused
from harness.values.rehearsal import Rehearsal

_START_S, _SETTING_S = 120.0, 300.0
"""What a job may take before its first setting, and for each."""


@dataclass(frozen=True)
class Setting:
    """A loader setting to rehearse: the case that stands for it, on how many images, and how a job gets at its data.

    ``batches`` is how many its cases deliver at the most; ``disk`` is the folder in which its cache file may lie.
    """

    case: Case
    images: int
    batches: int
    kind: str
    fingerprint: str
    mounts: tuple[Mount, ...]
    disk: str


@dataclass(frozen=True)
class Rehearsed:
    """What was found, and why the rest was not, both by the key of the setting."""

    found: Mapping[str, Rehearsal]
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class Machine:
    """What a rehearsal depends on beside its setting and its data; ``cpus`` and ``gpus`` are how many it may use."""

    image_digest: str
    payload_key: str
    cpus: int
    gpus: int

    def path(self, scratch: str, fingerprint: str, key: str) -> str:
        """Return where the rehearsal of a setting is kept."""
        kept = [self.image_digest, self.payload_key, self.cpus, self.gpus, fingerprint, key]
        return f"{scratch}/rehearsals/{digest_of(kept)[:16]}.json"


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
    settings: Mapping[str, Setting],
    on_progress: Callable[[str, float | None], None],
) -> Rehearsed:
    """Rehearse what is not known from before, in one job for all settings of the same data. Raises HostUnreachable."""
    machine = Machine(image_digest, payload.key, len(cpus), len(gpus))
    paths = {key: machine.path(scratch, each.fingerprint, key) for key, each in settings.items()}
    found: dict[str, Rehearsal] = {}
    reasons: dict[str, str] = {}
    jobs: dict[tuple[tuple[Mount, ...], str], dict[str, Setting]] = {}
    for key, each in settings.items():
        known = _read(connection, paths[key])
        if known is None or known.batches_wanted < each.batches:
            jobs.setdefault((each.mounts, each.disk), {})[key] = each
        else:
            found[key] = known
    for together in jobs.values():
        timeout_s = _START_S + _SETTING_S * len(together)
        job = _request(host, payload, image, cpus, gpus, memory_bytes, together, timeout_s)
        try:
            answer = run_preparation(engine, job, host=host, timeout_s=timeout_s, on_progress=on_progress)
        except (DataError, JobRefused) as error:
            reasons.update(dict.fromkeys(together, error.message))
            continue
        for key in together:
            result = _parse(answer, key)
            if isinstance(result, str):
                reasons[key] = result
                continue
            found[key] = result
            make_folder(connection, f"{scratch}/rehearsals")
            connection.put(result.model_dump_json().encode(), paths[key])
    return Rehearsed(found, reasons)


def read_rehearsals(
    connection: Connection, scratch: str, machine: Machine, settings: Mapping[str, str]
) -> dict[str, Rehearsal]:
    """Return what earlier sessions rehearsed here, by setting. ``settings`` are fingerprints of data by setting."""
    found = {key: _read(connection, machine.path(scratch, fingerprint, key)) for key, fingerprint in settings.items()}
    return {key: known for key, known in found.items() if known is not None}


def _request(
    host: str,
    payload: Payload,
    image: str,
    cpus: Sequence[int],
    gpus: Sequence[str],
    memory_bytes: int | None,
    settings: Mapping[str, Setting],
    timeout_s: float,
) -> JobRequest:
    listed = [
        {
            "key": key,
            "case": each.case.model_dump(mode="json"),
            "images": each.images,
            "batches": each.batches,
            "data": {"kind": each.kind, "name": each.case.data},
        }
        for key, each in settings.items()
    ]
    request: dict[str, Any] = {
        "format": 1,
        "task": "rehearse",
        "settings": listed,
        "limits": {"memory_bytes": memory_bytes, "cpus": list(cpus), "gpus": list(gpus), "oom_score_adj": 1000},
        "timeout_s": timeout_s,
        "seed": 5,
    }
    first = next(iter(settings.values()))
    name = f"harness-rehearse-{digest_of([payload.key, image, first.fingerprint, listed])[:12]}"
    labels = {f"{LABEL_PREFIX}session": "data", f"{LABEL_PREFIX}task": "rehearse", f"{LABEL_PREFIX}host": host}
    cache = Mount("cache", f"{first.disk}/{CACHE_PREFIX}{name}", read_only=False, ephemeral=True)
    mounts = (*first.mounts, cache)
    return JobRequest(name, labels, payload, request, image, mounts, memory_bytes, tuple(cpus), tuple(gpus))


def _parse(answer: Mapping[str, Any], key: str) -> Rehearsal | str:
    """Return what a job found for a setting, or why it found nothing."""
    settings = answer.get("settings")
    result = settings.get(key) if isinstance(settings, Mapping) else None
    if isinstance(result, Mapping) and "reason" in result:
        return str(result["reason"])[:300]
    try:
        return Rehearsal.model_validate(result)
    except ValidationError as error:
        return f"what it left makes no sense: {error.errors()[0]['msg']}"


def _read(connection: Connection, path: str) -> Rehearsal | None:
    done = connection.run(["cat", "--", path])
    try:
        return Rehearsal.model_validate_json(done.text) if done.returncode == 0 else None
    except ValidationError:
        return None

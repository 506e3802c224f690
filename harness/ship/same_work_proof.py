"""Check on a host that all loaders of a session do the same work, and keep the results in the host's scratch."""

from __future__ import annotations

from collections.abc import Mapping

from harness.bench.protocol.bounded_json import parse_object
from harness.bench.protocol.loader_registry import is_own
from harness.engine.jobs import JobHost
from harness.hosts.connection import Connection
from harness.hosts.own_folders import make_own_folder
from harness.ship.datasource import OnProgress
from harness.ship.preparation_job import run_preparation
from harness.values.case import Case
from harness.values.digest import canonical_json, digest_of
from harness.values.errors import DataError, JobRefused
from harness.values.work import WorkProof, read_proof, unproven

PROOFS_FOLDER = "samework"
"""Folder in scratch for the results."""

_TIMEOUT_S = 900.0
_START_S, _VARIANT_S = 300.0, 30.0
"""Time limits of one job in seconds: for TensorFlow's start on a slow disk, and for each loader's few epochs."""
_FORMAT = 1

Variants = Mapping[str, tuple[Case, str]]
"""Loaders to check by key: a case and the kind of its data."""


def prove_work(on: JobHost, variants: Variants, on_progress: OnProgress) -> dict[str, WorkProof]:
    """Return the result of the same-work check for each variant, by its key.

    One job checks all variants that have not passed on this host with this image and payload. Only passed checks are
    kept, so that a loader that fails is checked again by the next session. Raises HostUnreachable.
    """
    folder = f"{on.scratch}/{PROOFS_FOLDER}"
    path = f"{folder}/{digest_of([_FORMAT, on.image_digest, on.payload.archive_digest])[:16]}.json"
    kept = {key: read_proof(value) for key, value in _read(on.connection, path).items()}
    known = {key: proof for key, proof in kept.items() if proof.is_proven and not proof.fails}
    missing = {key: found for key, found in variants.items() if key not in known}
    if missing:
        fresh = _prove(on, missing, on_progress)
        sound = {key: proof for key, proof in fresh.items() if proof.is_proven and not proof.fails}
        if sound:
            make_own_folder(on.connection, on.scratch, folder)
            all_sound = {key: proof.as_fields() for key, proof in {**known, **sound}.items()}
            on.connection.put(canonical_json(all_sound).encode(), path)
        known.update(fresh)
    return {key: known[key] for key in variants}


def _prove(on: JobHost, variants: Variants, on_progress: OnProgress) -> dict[str, WorkProof]:
    """Check variants in one job. If the job fails, check each user's own loader in a separate job.

    A variant whose job fails is unproven, with the reason.
    """
    try:
        found = _try(on, variants, on_progress)
    except (DataError, JobRefused) as error:
        groups: dict[str, dict[str, tuple[Case, str]]] = {}
        for key, variant in variants.items():
            groups.setdefault(variant[0].loader if is_own(variant[0].loader) else "", {})[key] = variant
        if len(groups) == 1:
            return dict.fromkeys(variants, unproven(error.message))
        return {key: proof for group in groups.values() for key, proof in _prove(on, group, on_progress).items()}
    lacking = unproven("the same-work check has no result for it")
    return {key: read_proof(found[key]) if key in found else lacking for key in variants}


def _try(on: JobHost, variants: Variants, on_progress: OnProgress) -> dict[str, object]:
    """Run the job that checks the variants, and return its unparsed results by key."""
    listed = [
        {"key": key, "kind": kind, "case": case.model_dump(mode="json")} for key, (case, kind) in variants.items()
    ]
    timeout_s = min(_TIMEOUT_S, _START_S + _VARIANT_S * len(variants))
    found = run_preparation(on, "samework", {"variants": listed}, on_progress, timeout_s=timeout_s, seed=3)
    results = found.get("variants")
    return results if isinstance(results, dict) else {}


def _read(connection: Connection, path: str) -> dict[str, object]:
    done = connection.run(["cat", "--", path])
    try:
        return parse_object(done.text) if done.returncode == 0 else {}
    except ValueError:
        return {}

"""Rehearse a session's settings on a host; what was found is kept in the host's scratch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from harness.engine.interface import Mount
from harness.engine.jobs import JobHost
from harness.hosts.connection import Connection
from harness.hosts.own_folders import make_own_folder
from harness.ship.datasource import OnProgress
from harness.ship.preparation_job import run_preparation
from harness.values.case import Case
from harness.values.digest import digest_of
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

    def as_fields(self, key: str) -> dict[str, object]:
        """Return what a job reads of it."""
        data = {"kind": self.kind, "name": self.case.data}
        case = self.case.model_dump(mode="json")
        return {"key": key, "case": case, "images": self.images, "batches": self.batches, "data": data}


@dataclass(frozen=True)
class Rehearsed:
    """What was found, and why the rest was not, both by the key of the setting."""

    found: Mapping[str, Rehearsal]
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class Machine:
    """What a rehearsal depends on beside its setting and its data; ``cpus`` and ``gpus`` are how many it may use."""

    image_digest: str
    archive_digest: str
    cpus: int
    gpus: int

    def path(self, scratch: str, fingerprint: str, key: str) -> str:
        """Return where the rehearsal of a setting is kept."""
        kept = [self.image_digest, self.archive_digest, self.cpus, self.gpus, fingerprint, key]
        return f"{scratch}/rehearsals/{digest_of(kept)[:16]}.json"


def rehearse(
    on: JobHost,
    settings: Mapping[str, Setting],
    on_progress: OnProgress,
    *,
    memory_bytes: int | None,
    gpus: tuple[str, ...] = (),
) -> Rehearsed:
    """Rehearse what is not known from before, in one job for all settings of the same data. Raises HostUnreachable."""
    machine = Machine(on.image_digest, on.payload.archive_digest, len(on.cpus), len(gpus))
    paths = {key: machine.path(on.scratch, each.fingerprint, key) for key, each in settings.items()}
    found: dict[str, Rehearsal] = {}
    reasons: dict[str, str] = {}
    jobs: dict[tuple[tuple[Mount, ...], str, str], dict[str, Setting]] = {}
    for key, each in settings.items():
        known = _read(on.connection, paths[key])
        if known is None or known.batches_wanted < each.batches:
            jobs.setdefault((each.mounts, each.disk, each.fingerprint), {})[key] = each
        else:
            found[key] = known
    for (mounts, disk, fingerprint), together in jobs.items():
        try:
            answer = run_preparation(
                on,
                "rehearse",
                {"settings": [each.as_fields(key) for key, each in together.items()], "fingerprint": fingerprint},
                on_progress,
                timeout_s=_START_S + _SETTING_S * len(together),
                seed=5,
                mounts=mounts,
                memory_bytes=memory_bytes,
                gpus=gpus,
                cache_disk=disk,
            )
        except (DataError, JobRefused) as error:
            reasons.update(dict.fromkeys(together, error.message))
            continue
        for key in together:
            result = _parse(answer, key)
            if isinstance(result, str):
                reasons[key] = result
                continue
            found[key] = result
            make_own_folder(on.connection, on.scratch, f"{on.scratch}/rehearsals")
            on.connection.put(result.model_dump_json().encode(), paths[key])
    return Rehearsed(found, reasons)


def read_rehearsals(
    connection: Connection, scratch: str, machine: Machine, settings: Mapping[str, str]
) -> dict[str, Rehearsal]:
    """Return what earlier sessions rehearsed here, by setting. ``settings`` are fingerprints of data by setting."""
    found = {key: _read(connection, machine.path(scratch, fingerprint, key)) for key, fingerprint in settings.items()}
    return {key: known for key, known in found.items() if known is not None}


def _parse(answer: Mapping[str, object], key: str) -> Rehearsal | str:
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

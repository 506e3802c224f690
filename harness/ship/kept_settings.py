"""Run preparation jobs for loader settings, and keep the result for each setting in the host's scratch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from harness.engine.interface import Mount
from harness.engine.jobs import JobHost
from harness.hosts.connection import Connection
from harness.hosts.own_folders import make_own_folder
from harness.ship.datasource import OnProgress
from harness.ship.preparation_job import run_preparation
from harness.values.case import Case
from harness.values.digest import digest_of
from harness.values.errors import DataError, JobRefused

Value = TypeVar("Value", bound=BaseModel)

_START_S, _SETTING_S = 120.0, 300.0
"""Time limits in seconds: before the first setting of a job, and for each setting."""


@dataclass(frozen=True)
class Setting:
    """A loader setting: a representative case, the number of images, and the mounts of its data.

    ``batches`` is the most batches that a trial run delivers. ``disk`` is the folder for its cache file.
    """

    case: Case
    images: int
    batches: int
    kind: str
    fingerprint: str
    mounts: tuple[Mount, ...]
    disk: str

    def as_fields(self, key: str) -> dict[str, object]:
        """Return the fields for the job's request."""
        data = {"kind": self.kind, "name": self.case.data}
        case = self.case.model_dump(mode="json")
        return {"key": key, "case": case, "images": self.images, "batches": self.batches, "data": data}


@dataclass(frozen=True)
class Machine:
    """The properties of a host on which results depend; ``cpus`` and ``gpus`` are the numbers that jobs may use."""

    image_digest: str
    archive_digest: str
    cpus: int
    gpus: int

    @classmethod
    def of(cls, on: JobHost, gpus: tuple[str, ...] = ()) -> Machine:
        """Return the properties of a host with its engine and payload."""
        return cls(on.image_digest, on.payload.archive_digest, len(on.cpus), len(gpus))


@dataclass(frozen=True)
class Found(Generic[Value]):
    """The results of settings, and the reasons of settings without a result, both by the key of the setting."""

    found: Mapping[str, Value]
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class Task(Generic[Value]):
    """A task of the payload on settings: its name, the folder in scratch for its results, and their model.

    ``holds_cpus``: a job is limited to the number of CPUs that its cases ask for.
    """

    name: str
    folder: str
    model: type[Value]
    holds_cpus: bool = False

    def path(self, scratch: str, machine: Machine, fingerprint: str, key: str) -> str:
        """Return the path of the result for a setting."""
        kept = [machine.image_digest, machine.archive_digest, machine.cpus, machine.gpus, fingerprint, key]
        return f"{scratch}/{self.folder}/{digest_of(kept)[:16]}.json"

    def read(
        self, connection: Connection, scratch: str, machine: Machine, settings: Mapping[str, str]
    ) -> dict[str, Value]:
        """Return the results of earlier sessions by setting; ``settings`` are fingerprints of data by setting."""
        known = {
            key: self._read(connection, self.path(scratch, machine, fingerprint, key))
            for key, fingerprint in settings.items()
        }
        return {key: value for key, value in known.items() if value is not None}

    def find(
        self,
        on: JobHost,
        settings: Mapping[str, Setting],
        on_progress: OnProgress,
        *,
        memory_bytes: int | None,
        gpus: tuple[str, ...] = (),
        is_enough: Callable[[Value, Setting], bool] = lambda _value, _setting: True,
    ) -> Found[Value]:
        """Return results for settings, from earlier sessions or from new jobs, one for all settings of the same data.

        ``is_enough(value, setting)`` returns whether an earlier result can be used. Raises HostUnreachable.
        """
        machine = Machine.of(on, gpus)
        known = self.read(on.connection, on.scratch, machine, {key: one.fingerprint for key, one in settings.items()})
        found = {key: value for key, value in known.items() if is_enough(value, settings[key])}
        reasons: dict[str, str] = {}
        jobs: dict[tuple[tuple[Mount, ...], str, str, int | None], dict[str, Setting]] = {}
        for key, each in settings.items():
            if key not in found:
                cpus = each.case.cpus if self.holds_cpus else None
                jobs.setdefault((each.mounts, each.disk, each.fingerprint, cpus), {})[key] = each
        for (*_, cpus), together in jobs.items():
            held = on if cpus is None else replace(on, cpus=on.cpus[:cpus])
            answers = self._run(held, together, on_progress, memory_bytes, gpus)
            for key, each in together.items():
                answer = answers if isinstance(answers, str) else self._parse(answers, key)
                if isinstance(answer, str):
                    reasons[key] = answer
                    continue
                found[key] = answer
                make_own_folder(on.connection, on.scratch, f"{on.scratch}/{self.folder}")
                path = self.path(on.scratch, machine, each.fingerprint, key)
                on.connection.put(answer.model_dump_json().encode(), path)
        return Found(found, reasons)

    def _run(
        self,
        on: JobHost,
        together: Mapping[str, Setting],
        on_progress: OnProgress,
        memory_bytes: int | None,
        gpus: tuple[str, ...],
    ) -> Mapping[str, object] | str:
        """Run one job for settings of the same data; return its answer, or a text why there is none."""
        first = next(iter(together.values()))
        settings = [each.as_fields(key) for key, each in together.items()]
        try:
            return run_preparation(
                on,
                self.name,
                {"settings": settings, "fingerprint": first.fingerprint},
                on_progress,
                timeout_s=_START_S + _SETTING_S * len(together),
                seed=5,
                mounts=first.mounts,
                memory_bytes=memory_bytes,
                gpus=gpus,
                cache_disk=first.disk,
            )
        except (DataError, JobRefused) as error:
            return error.message

    def _parse(self, answer: Mapping[str, object], key: str) -> Value | str:
        """Return a job's result for a setting, or the reason why there is none."""
        settings = answer.get("settings")
        result = settings.get(key) if isinstance(settings, Mapping) else None
        if isinstance(result, Mapping) and "reason" in result:
            return str(result["reason"])[:300]
        try:
            return self.model.model_validate(result)
        except ValidationError as error:
            return f"the job's result is not valid: {error.errors()[0]['msg']}"

    def _read(self, connection: Connection, path: str) -> Value | None:
        done = connection.run(["cat", "--", path])
        try:
            return self.model.model_validate_json(done.text) if done.returncode == 0 else None
        except ValidationError:
            return None

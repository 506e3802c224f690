"""The content of ``session.json``: what a session began with, and what its hosts were prepared with.

Unknown fields of other versions are kept. Absent fields have defaults, so that older sessions can be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictInt

from harness.values.data import Coding, DataPlace

SESSION_FORMAT = 1


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    def plain(self) -> dict[str, JsonValue]:
        """Return the fields that were set, as JSON values."""
        found: dict[str, JsonValue] = self.model_dump(mode="json", exclude_unset=True)
        return found


class SessionExperiment(_Kept):
    """The fields of the resolved experiment (``harness.experiment``) that a reader needs."""

    name: str = ""
    description: str = ""
    notes: tuple[str, ...] = ()
    rounds: StrictInt | Literal["auto"] | None = None
    baseline: JsonValue = None


class SessionInventory(_Kept):
    """The inventory with which the session began, and its hosts."""

    name: str = ""
    path: str = ""
    hosts: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = Field({}, description="Names of hosts by group.")


class SessionDataSet(_Kept):
    """A data set as its check found it. ``fingerprint`` is over its files; ``bytes`` is the size of its images.

    ``skipped`` images were left out because not every loader can read them; ``coding`` describes the others.
    """

    fingerprint: str | None = None
    kind: str | None = None
    images: StrictInt | None = None
    classes: StrictInt | None = None
    bytes: StrictInt | None = None
    skipped: StrictInt | None = None
    coding: Coding | None = None


class SessionHost(_Kept):
    """What a host was prepared with. ``data`` is where each data set lies, ``sets`` what its check found.

    ``memory_available`` is what ``memory_limit: none`` means there, in bytes, fixed when it was first prepared.
    """

    hardware: str = ""
    engine: str = ""
    engine_version: str = ""
    image: str = Field("", description="The reference of the image; empty for an engine without images.")
    image_digest: str = ""
    payload_digest: str = ""
    memory_available: StrictInt | None = None
    data: Mapping[str, DataPlace] = {}
    sets: Mapping[str, SessionDataSet] = {}


class SessionRules(_Kept):
    """The rules of verdicts and rounds, fixed before the session begins (docs/methodology.md).

    ``evidence`` (with ``prior_variance``) rules out a ratio; on hosts with more noise than ``quiet_noise`` it is
    multiplied by the number of comparisons. Differences within ``threshold`` do not matter. With ``rounds: auto`` there
    are ``least_rounds`` to ``most_rounds``. ``equal_deaths`` equal failures settle a case. Disturbed runs are repeated
    ``repeats_of_disturbed`` times, and count if there are fewer than ``least_undisturbed`` undisturbed pairs.
    """

    evidence: float | None = None
    prior_variance: float | None = None
    quiet_noise: float | None = None
    threshold: float | None = None
    least_rounds: StrictInt | None = None
    most_rounds: StrictInt | None = None
    equal_deaths: StrictInt | None = None
    repeats_of_disturbed: StrictInt | None = None
    least_undisturbed: StrictInt | None = None


class SessionContent(_Kept):
    """All of ``session.json``. ``name`` and ``session`` are both the folder's name; ``id`` is unique."""

    format: Literal[1] = 1
    name: str = ""
    session: str = ""
    id: str = ""
    created_at: str = ""
    experiment_name: str = ""
    experiment_digest: str = ""
    experiment: SessionExperiment = SessionExperiment()
    seed: StrictInt | None = None
    rules: SessionRules = Field(SessionRules(), description="Empty in sessions that began before rules were stored.")
    inventory: SessionInventory = SessionInventory()
    versions: Mapping[str, str] = Field({}, description="Versions of the programs that began the session.")
    payload_digest: str = ""
    own_loaders: Mapping[str, str] = Field({}, description="SHA-256 of each of the user's own loaders.")
    image_digests: Mapping[str, str] = Field({}, description="By host.")
    data: Mapping[str, SessionDataSet] = Field({}, description="As on the host that was prepared last.")
    own_data: bool = Field(default=False, description="Each host is measured on its own files (`--own-data`).")
    hosts: Mapping[str, SessionHost] = {}
    machines: Mapping[str, str] = Field(
        {}, description="Further names of machines, with the name under which each is measured."
    )

    def set_of(self, host: str, name: str) -> SessionDataSet | None:
        """Return a data set as on this host; for a host that was never prepared, as on the session's other hosts."""
        known = self.hosts.get(host)
        if known is not None and name in known.sets:
            return known.sets[name]
        return None if self.own_data else self.data.get(name)

    def with_host(self, name: str, host: SessionHost, data: Mapping[str, SessionDataSet]) -> Self:
        """Return a copy with the entry of a host that was just prepared, and its data sets."""
        return self.model_copy(
            update={
                "image_digests": {**self.image_digests, name: host.image_digest},
                "hosts": {**self.hosts, name: host},
                "data": {**self.data, **data},
            }
        )


def session_schema() -> dict[str, JsonValue]:
    """Return the JSON Schema of ``session.json``."""
    schema = SessionContent.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}

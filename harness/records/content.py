"""What ``session.json`` holds: what a session was begun with, and what its hosts were found to have.

Fields of other versions are kept as they are. A field that is not there has its default, so that a session that does
not say something is still read.
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
        """Return what was given as JSON holds it, and nothing else."""
        found: dict[str, JsonValue] = self.model_dump(mode="json", exclude_unset=True)
        return found


class SessionExperiment(_Kept):
    """The resolved experiment (``harness.experiment``), of which a reader needs these alone."""

    name: str = ""
    description: str = ""
    notes: tuple[str, ...] = ()
    rounds: StrictInt | Literal["auto"] | None = None
    baseline: JsonValue = None


class SessionInventory(_Kept):
    """Which inventory the session was begun with, and the hosts in it."""

    name: str = ""
    path: str = ""
    hosts: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = Field({}, description="Names of hosts by group.")


class SessionDataSet(_Kept):
    """A data set as its check found it; ``fingerprint`` is over its files, ``bytes`` of its images.

    ``skipped`` images were left out, because not every loader reads them; ``coding`` is how the others are coded.
    """

    fingerprint: str | None = None
    kind: str | None = None
    images: StrictInt | None = None
    classes: StrictInt | None = None
    bytes: StrictInt | None = None
    skipped: StrictInt | None = None
    coding: Coding | None = None


class SessionHost(_Kept):
    """What a host was prepared with; ``data`` is where each data set lies there, ``sets`` what its check found.

    ``memory_available`` is what ``memory_limit: none`` means on it, fixed when it was first prepared.
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
    """The rules by which a session ends and its figures count, fixed before it (docs/methodology.md).

    A ratio is ruled out by so much ``evidence`` (with a prior of this variance), on hosts with more than
    ``quiet_noise`` by as many times that as there are comparisons. What is within ``threshold`` makes no difference.
    With ``rounds: auto`` there are from ``least_rounds`` to ``most_rounds``. So many ``equal_deaths`` settle a case.
    What was disturbed is repeated so many times, and counts with fewer than ``least_undisturbed`` others.
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
    """All of ``session.json``. ``name`` and ``session`` are both the folder's name, ``id`` is nobody else's."""

    format: Literal[1] = 1
    name: str = ""
    session: str = ""
    id: str = ""
    created_at: str = ""
    experiment_name: str = ""
    experiment_digest: str = ""
    experiment: SessionExperiment = SessionExperiment()
    seed: StrictInt | None = None
    rules: SessionRules = Field(SessionRules(), description="Empty where a session was begun before they were written.")
    inventory: SessionInventory = SessionInventory()
    versions: Mapping[str, str] = Field({}, description="Of the programs that began the session.")
    payload_digest: str = ""
    own_loaders: Mapping[str, str] = Field({}, description="SHA-256 of each loader of the user's own.")
    image_digests: Mapping[str, str] = Field({}, description="By host.")
    data: Mapping[str, SessionDataSet] = Field({}, description="As the host that was last prepared has them.")
    own_data: bool = Field(default=False, description="Each host is measured on its own files (`--own-data`).")
    hosts: Mapping[str, SessionHost] = {}
    machines: Mapping[str, str] = Field({}, description="Names of a machine that is measured under another name.")

    def set_of(self, host: str, name: str) -> SessionDataSet | None:
        """Return a data set as a host has it; of one that was never prepared, as the session's other hosts have it."""
        known = self.hosts.get(host)
        if known is not None and name in known.sets:
            return known.sets[name]
        return None if self.own_data else self.data.get(name)

    def with_host(self, name: str, host: SessionHost, data: Mapping[str, SessionDataSet]) -> Self:
        """Return the same with what a host was prepared with just now, and with the data sets that it has."""
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

"""One session as a report sees it, wherever it was read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from harness.values.data import DataPlace
from harness.values.facts import Facts
from harness.values.record import Record


@dataclass(frozen=True)
class SessionData:
    """One session as a report sees it.

    ``records`` holds the newest attempt of each invocation in the order of the file,
    ``superseded`` the older ones; ``notes`` what could not be read. ``origin`` names the
    folder or page without its path.
    """

    origin: str
    description: Mapping[str, Any]
    facts: Mapping[str, Facts]
    records: tuple[Record, ...]
    superseded: tuple[Record, ...]
    events: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The session's name."""
        return str(self.description.get("session") or self.description.get("name") or self.origin)

    @property
    def experiment(self) -> Mapping[str, Any]:
        """The resolved experiment."""
        found = self.description.get("experiment")
        return found if isinstance(found, Mapping) else {}

    @property
    def experiment_name(self) -> str:
        """What the experiment calls itself."""
        return str(self.description.get("experiment_name") or self.experiment.get("name") or "unnamed")

    def place_of(self, host: str, data: str) -> DataPlace | None:
        """Where a data set lies on a host and what its files are; None where the session does not say."""
        found: Any = self.description.get("hosts")
        for key in (host, "data", data):
            found = found.get(key) if isinstance(found, Mapping) else None
        try:
            return None if found is None else DataPlace.model_validate(found)
        except ValidationError:
            return None

    def events_of(self, kind: str) -> list[Mapping[str, Any]]:
        """Events of one kind, oldest first."""
        return [event for event in self.events if event.get("event") == kind]

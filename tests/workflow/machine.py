"""This machine as the hosts of an inventory, for commands that ask hosts and measure nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness.hosts.connection import Connection
from harness.hosts.facts import facts_script
from harness.hosts.facts.fact import Fact, Section
from harness.hosts.facts.kinds import memory, system
from harness.hosts.local import LocalConnection
from harness.hosts.lock import Lock, acquire, make_owner

HERE = LocalConnection("here")
_CHANGES = {fact.name for fact in (system.CLOCK, system.LOAD, memory.MEMINFO, memory.CGROUP_ROOM)}
_KEPT: dict[str, Section] = {}
_read_sections = facts_script.read_sections


def keep_facts(patch: pytest.MonkeyPatch) -> None:
    """Let commands read once, for all tests, what this machine is."""
    patch.setattr(facts_script, "read_sections", _read_kept_sections)


def _read_kept_sections(connection: Connection, facts: tuple[Fact[object], ...]) -> dict[str, Section]:
    """Read those facts afresh that change: the commands of all take half a second of CPU time."""
    if not _KEPT:
        lasting = tuple(fact for fact in facts_script.find_facts() if fact.name not in _CHANGES)
        _KEPT.update(_read_sections(connection, lasting))
    fresh = _read_sections(connection, tuple(fact for fact in facts if fact.name not in _KEPT))
    return {fact.name: found for fact in facts if (found := _KEPT.get(fact.name) or fresh.get(fact.name)) is not None}


@dataclass(frozen=True)
class Machine:
    """A folder with an inventory in it, and a scratch folder."""

    folder: Path

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"

    def inventory(self, *names: str, **variables: Any) -> Path:
        """Write an inventory in which all ``names`` are this machine."""
        setting = {"engine": "process", "allow_busy": True, "scratch": str(self.scratch), **variables}
        hosts = {name: {"ansible_connection": "local", "harness": setting} for name in names}
        file = self.folder / "lab.yaml"
        file.write_text(json.dumps({"all": {"hosts": hosts}}))
        return file

    def hold(self, session: str = "other-session", *, is_dead: bool = False) -> Lock:
        """Take the machine's lock for a session whose controller lives, or for one that was killed."""
        owner = make_owner(session)
        owner = replace(owner, pid_start="1") if is_dead else owner  # its number is that of another process by now
        return acquire(HERE, owner, is_alive=lambda _session: True)

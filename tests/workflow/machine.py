"""This machine as the hosts of an inventory, for commands that ask hosts and measure nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.hosts.local import LocalConnection
from harness.hosts.lock import Lock, acquire, make_owner

HERE = LocalConnection("here")


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

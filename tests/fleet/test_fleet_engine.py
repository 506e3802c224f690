"""The engine of the simulated fleet keeps the contract of all engines: what is seen with it holds for real ones."""

from __future__ import annotations

import time
from typing import Any

import pytest
from contract import EngineContract
from fleet_engine import HANGS, Entry, FleetEngine, Jobs, Performance, json_entry

from harness.engine.interface import JobRequest
from harness.hosts.connection import Connection
from harness.hosts.local import LocalConnection

LOG = Entry("log.txt", b"the actor is on\n")


def act(request: JobRequest, connection: Connection) -> Performance:
    """What the contract's actor does, told."""
    mounts = {mount.name: mount for mount in request.mounts}
    connection.run(["sh", "-c", 'echo started >> "$1/starts"', "sh", mounts["counter"].source])

    def write(name: str) -> bool:
        mount = mounts[name]
        return not mount.read_only and connection.run(["touch", f"{mount.source}/mine"]).returncode == 0

    match request.request["case"]["do"]:  # type: ignore[index]
        case "end":
            listed = connection.run(["ls", mounts["data"].source]).text.split()
            said = {"cpus": list(request.cpus), "adj": "1000", "data": listed, "home": "/tmp/home"}
            return Performance(0.05, (LOG,), (json_entry("said.json", said),))
        case "wait":
            return Performance(HANGS, (LOG, json_entry("said.json", {"pid": 4321})))
        case "grow":
            return Performance(0.05, (LOG,), is_oom=True)
        case "kill":
            return Performance(0.05, (LOG,), signal=9)
        case "write":
            written = write("data")
            write("cache")
            return Performance(0.05, (LOG,), (json_entry("said.json", {"written": written}),))
        case "hostile":
            links = (Entry("link.json", "/etc/passwd"), Entry("folder", "/etc"), Entry("../outside.json", b"{}"))
            return Performance(0.05, (LOG,), (*links, json_entry("said.json", {"done": True})))
        case "huge":
            return Performance(0.05, (LOG,), (Entry("huge.json", 1200 * 2**20),))
    return Performance(0.05, (LOG,), (json_entry("said.json", {"done": True}),))


class TestFleet(EngineContract):
    @pytest.fixture
    def engine(self) -> Any:
        return FleetEngine(LocalConnection("here"), Jobs(), time, act, lambda: None)

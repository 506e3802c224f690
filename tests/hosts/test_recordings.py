"""What a recording keeps of an answer that its parser cannot read."""

from __future__ import annotations

from typing import Any

from harness.hosts.facts.fact import Section
from harness.hosts.facts.kinds.disks import disk_fact
from harness.hosts.facts.recording import build_recording

GOOD = "path /scratch\ndf /dev/sda1 ext4 1000 100 900 10% /scratch\n"


def record(output: str) -> dict[str, Any]:
    fact: Any = disk_fact("scratch", "/scratch")
    section = Section(fact.name, ("sh",), 0, output)
    facts: Any = build_recording({fact.name: section}, [fact], (), source="test")["facts"]
    return dict(facts["disk:scratch"])


def test_an_answer_that_cannot_be_read_is_recorded_without_a_fact() -> None:
    assert record(GOOD)["fact"]["path"] == "/scratch"
    garbage = "path " + "/a" * 2500
    assert record(garbage) == {"command": ["sh"], "returncode": 0, "output": [garbage], "fact": None}

"""Reaching a host: how often a busy one is looked at before it is called busy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import HERE, Machine

from harness.analysis.protection import busy_reason
from harness.console import Console
from harness.hosts.facts import read_facts
from harness.inventory.inventory_file import load_inventory
from harness.workflow import reaching
from harness.workflow.host_links import Links


@pytest.mark.parametrize(
    ("in_use", "is_busy", "looks"),
    [([0.5], False, 1), ([9.0, 9.0, 0.5], False, 3), ([9.0, 9.0, 9.0, 0.5], True, 3), ([None], True, 1)],
)
def test_a_host_is_busy_only_if_it_is_so_at_every_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_use: list[float | None], is_busy: bool, looks: int
) -> None:
    facts = read_facts(HERE, scratch=str(tmp_path)).model_copy(update={"load_1m": 5.0, "usable_cpus": (0, 1)})
    answers: Iterator[float | None] = iter(in_use)
    monkeypatch.setattr(reaching, "read_facts", lambda *_arguments, **_named: facts)
    monkeypatch.setattr(reaching, "read_busy_cpus", lambda _connection: next(answers))
    (host,) = load_inventory(Machine(tmp_path).inventory("here")).hosts
    found = reaching.reach(host, Links(Console()), for_measuring=True).facts
    assert (busy_reason(found) is not None) is is_busy
    assert len(in_use) - len(list(answers)) == looks

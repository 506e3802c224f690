"""What Ansible itself answered on the same files (recorded; the source is named in the data) is what we answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.inventory import load_inventory, select_hosts
from harness.inventory.ranges import expand_host_pattern

_ANSWERS = json.loads((Path(__file__).parent / "ansible_answers.json").read_text())


@pytest.mark.parametrize("case", _ANSWERS["inventories"], ids=range(len(_ANSWERS["inventories"])))
def test_variables_groups_and_patterns(case: dict[str, Any], tmp_path: Path) -> None:
    for name, text in case["files"].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    inventory = load_inventory(tmp_path / "hosts.yaml")
    mine = {host.name: {k: v for k, v in host.foreign.items() if k.startswith("x_")} for host in inventory.hosts}
    assert mine == case["hosts"]
    assert {name: list(hosts) for name, hosts in inventory.groups.items()} == case["groups"]
    for pattern, hosts in case["patterns"].items():
        assert [host.name for host in select_hosts(inventory, pattern)] == hosts, pattern


def test_patterns_are_among_the_answers() -> None:
    assert sum(len(case["patterns"]) for case in _ANSWERS["inventories"]) > 30


def test_ranges() -> None:
    assert len(_ANSWERS["ranges"]) > 20
    for pattern, names in _ANSWERS["ranges"].items():
        assert expand_host_pattern(pattern) == names

"""Inventories and what stands beside them, damaged."""

from __future__ import annotations

from typing import Any

from fuzzing import damaged_values, dump_json, fuzzed, one_case, refusal_of
from hypothesis import given

from harness.inventory import load_inventory, select_hosts

GOOD: dict[str, Any] = {
    "all": {
        "vars": {
            "ansible_user": "bench",
            "site": "east",
            "harness": {"engine": "auto", "data": {"coco": {"images": "/a", "annotations": "/b"}}, "cpus": 4},
        },
        "children": {
            "gpu": {
                "hosts": {"ws[01:03].lab:2222": {"ansible_host": "{{ inventory_hostname }}.example"}, "ws09": None},
                "vars": {
                    "ansible_ssh_common_args": "-o ProxyJump=gate -o ServerAliveInterval=5",
                    "ansible_group_priority": 3,
                    "harness": {"disks": {"nvme": "/nvme"}, "gpus": [0, 1], "memory_reserve": "4GiB"},
                },
                "children": {"small": {"hosts": {"ws07": {"harness": {"allow_busy": True, "host_key": None}}}}},
            },
            "local": {"hosts": {"localhost": {"ansible_connection": "local"}}},
        },
    }
}


@fuzzed
@given(damaged_values(GOOD))
def test_inventory(value: Any) -> None:
    with one_case() as folder:
        (folder / "hosts.yaml").write_bytes(dump_json(value))
        refusal_of(lambda: select_hosts(load_inventory(folder / "hosts.yaml"), None))

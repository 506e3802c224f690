"""Inventories: read hosts and their variables from Ansible's YAML format, each value with its file and line."""

from __future__ import annotations

from importlib.resources import files

from harness.inventory.explaining import Explained, explain_host, write_value
from harness.inventory.host import Host, Inventory, Origin, read_parts
from harness.inventory.inventory_file import load_inventory
from harness.inventory.patterns import select_hosts
from harness.inventory.schema import inventory_schema
from harness.inventory.variables import DataSet, Generate, HostVariables

__all__ = [
    "DataSet",
    "Explained",
    "Generate",
    "Host",
    "HostVariables",
    "Inventory",
    "Origin",
    "explain_host",
    "init_inventory_text",
    "inventory_schema",
    "load_inventory",
    "read_parts",
    "select_hosts",
    "write_value",
]


def init_inventory_text() -> str:
    """Return the commented inventory that ``harness init`` writes; it is valid without changes."""
    return (files(__name__) / "starter.yaml").read_text(encoding="utf-8")

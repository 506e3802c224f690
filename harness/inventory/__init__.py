"""Inventories: the machines, in Ansible's YAML shape, each value with the file and line that it came from."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from harness.inventory.explaining import Explained, explain_host
from harness.inventory.host import Host, Inventory, Origin
from harness.inventory.loading import load_inventory
from harness.inventory.patterns import select_hosts
from harness.inventory.schema import inventory_schema
from harness.inventory.variables import DataSet, Generate, HostVariables
from harness.values.errors import ConfigurationError

__all__ = [
    "DataSet",
    "Explained",
    "Generate",
    "Host",
    "HostVariables",
    "Inventory",
    "Origin",
    "experiment_of",
    "explain_host",
    "init_inventory_text",
    "inventory_schema",
    "load_inventory",
    "select_hosts",
]


def init_inventory_text() -> str:
    """The commented inventory that ``harness init`` writes; it loads as it is."""
    return (files(__name__) / "starter.yaml").read_text(encoding="utf-8")


def experiment_of(hosts: Iterable[Host]) -> str | None:
    """The experiment that these hosts name, if any does. Raises ConfigurationError where they name different ones."""
    named = {host.variables.experiment: host for host in hosts if host.variables.experiment}
    if len(named) > 1:
        said = "; ".join(f"{text} ({host.name}, {host.origins['harness.experiment']})" for text, host in named.items())
        hint = "choose with --experiment, or take hosts of one with --limit"
        raise ConfigurationError(f"the hosts name different experiments: {said}", hint=hint)
    return next(iter(named), None)

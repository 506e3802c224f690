"""From a host of the inventory to a host that answered: its connection, its folders, and what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.analysis.protection import available_limit, busy_reason
from harness.engine.reached import Reached
from harness.hosts.connection import Connection
from harness.hosts.facts import read_facts
from harness.hosts.facts.facts_script import read_busy_cpus
from harness.hosts.folders import data_folders, resolve_path, resolve_sources, resolve_word
from harness.hosts.slurm.connection import on_machine
from harness.values.facts import Facts

if TYPE_CHECKING:
    from harness.inventory import Host
    from harness.workflow.host_links import Links


_BUSY_LOOKS = 3
"""Looks of two seconds each before a host is called busy: a short burst is none."""


def reach(host: Host, links: Links, *, for_measuring: bool = False, for_tidying: bool = False) -> Reached:
    """Connect, resolve folders and read facts; ``for_measuring``: a busy host is looked at again.

    ``for_tidying``: facts that need a job are left out, for their node may be taken by the jobs that are to go.
    """
    connection = links.open(host)
    try:
        return _look(host, connection, for_measuring=for_measuring, for_tidying=for_tidying)
    except BaseException:
        connection.close()
        raise


def look_once_more(reached: Reached) -> Facts:
    """Read once more what a host is by now. Raises HostError."""
    return _look(reached.host, reached.connection, for_measuring=True).facts


def _look(host: Host, connection: Connection, *, for_measuring: bool, for_tidying: bool = False) -> Reached:
    variables = host.variables
    scratch = find_scratch(host, connection)
    disks = {name: resolve_path(connection, folder) for name, folder in variables.disks.items()}
    data = resolve_sources(connection, variables.data)
    python = tuple(resolve_word(connection, word) for word in variables.python_words)
    if for_tidying and variables.slurm is not None:
        return Reached(host, connection, Facts(), scratch, {**disks, "scratch": scratch}, 0, data, python)
    machine = on_machine(connection, scratch)
    facts = read_facts(machine, scratch=scratch, disks=disks, data_folders=data_folders(data))
    if variables.slurm is not None and variables.slurm.exclusive:
        facts = facts.model_copy(update={"load_1m": None})  # of the job before: Slurm gives the node to us alone
    elif for_measuring:
        facts = _look_again(connection, facts)
    available = available_limit(facts, variables.memory_reserve)
    return Reached(host, connection, facts, scratch, {**disks, "scratch": scratch}, available, data, python)


def find_scratch(host: Host, connection: Connection) -> str:
    """Return a host's scratch folder; nodes of one cluster have one each below that which they share."""
    scratch, slurm = resolve_path(connection, host.variables.scratch), host.variables.slurm
    return scratch if slurm is None else f"{scratch}/{slurm.place}"


def _look_again(connection: Connection, facts: Facts) -> Facts:
    """Return the facts with the CPUs in use now where the load average is high: it remembers what has ended.

    A host counts as busy only if it is so each time it is looked at.
    """
    load_1m = facts.load_1m
    for _ in range(_BUSY_LOOKS):
        if busy_reason(facts) is None or load_1m is None:
            break
        in_use = read_busy_cpus(connection)
        if in_use is None:
            break
        facts = facts.model_copy(update={"load_1m": min(load_1m, round(in_use, 2))})
    return facts

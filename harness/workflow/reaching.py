"""Connecting to a host of the inventory: its connection, its folders and its facts."""

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
"""Looks of two seconds each before a host counts as busy: a short burst does not."""


def reach(host: Host, links: Links, *, for_measuring: bool = False, for_tidying: bool = False) -> Reached:
    """Connect to a host, resolve its folders and read its facts. Raises HostError.

    ``for_measuring`` looks again at a host that seems busy. ``for_tidying`` leaves out facts that need a Slurm job,
    because the node may be taken by the jobs that are to be removed.
    """
    connection = links.open(host)
    try:
        return _look(host, connection, for_measuring=for_measuring, for_tidying=for_tidying)
    except BaseException:
        connection.close()
        raise


def look_once_more(reached: Reached) -> Facts:
    """Read the facts of a host again. Raises HostError."""
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
        facts = facts.model_copy(update={"load_1m": None})  # of the job before: Slurm reserves the node for us
    elif for_measuring:
        facts = _look_again(connection, facts)
    available = available_limit(facts, variables.memory_reserve)
    return Reached(host, connection, facts, scratch, {**disks, "scratch": scratch}, available, data, python)


def find_scratch(host: Host, connection: Connection) -> str:
    """Return a host's scratch folder; each node of a cluster has its own below the shared one."""
    scratch, slurm = resolve_path(connection, host.variables.scratch), host.variables.slurm
    return scratch if slurm is None else f"{scratch}/{slurm.place}"


def _look_again(connection: Connection, facts: Facts) -> Facts:
    """Return the facts with a high load average replaced by the CPUs in use now: it still contains work that has ended.

    A host counts as busy only if it is busy at each of several looks.
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

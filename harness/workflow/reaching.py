"""From a host of the inventory to a host that answered: its connection, its folders, and what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.analysis.protection import available_limit, busy_reason
from harness.engine.reached import Reached
from harness.hosts.connection import Connection
from harness.hosts.facts import read_facts
from harness.hosts.facts.facts_script import read_busy_cpus
from harness.hosts.folders import data_folders, resolve_path, resolve_sources, resolve_word
from harness.values.facts import Facts

if TYPE_CHECKING:
    from harness.inventory import Host
    from harness.workflow.host_links import Links


def reach(host: Host, links: Links, *, for_measuring: bool = False) -> Reached:
    """Connect, resolve folders and read facts; ``for_measuring``: whoever is busy is looked at for two seconds more."""
    connection = links.open(host)
    try:
        return _look(host, connection, for_measuring=for_measuring)
    except BaseException:
        connection.close()
        raise


def look_once_more(reached: Reached) -> Facts:
    """Read once more what a host is by now. Raises HostError."""
    return _look(reached.host, reached.connection, for_measuring=True).facts


def _look(host: Host, connection: Connection, *, for_measuring: bool) -> Reached:
    variables = host.variables
    scratch = resolve_path(connection, variables.scratch)
    disks = {name: resolve_path(connection, folder) for name, folder in variables.disks.items()}
    data = resolve_sources(connection, variables.data)
    python = tuple(resolve_word(connection, word) for word in variables.python_words)
    facts = read_facts(connection, scratch=scratch, disks=disks, data_folders=data_folders(data))
    if for_measuring:
        facts = _look_again(connection, facts)
    available = available_limit(facts, variables.memory_reserve)
    return Reached(host, connection, facts, scratch, {**disks, "scratch": scratch}, available, data, python)


def _look_again(connection: Connection, facts: Facts) -> Facts:
    """A load average remembers what has ended, as an installation: where it is high, what is in use now counts."""
    if busy_reason(facts) is None or facts.load_1m is None:
        return facts
    in_use = read_busy_cpus(connection)
    return facts if in_use is None else facts.model_copy(update={"load_1m": min(facts.load_1m, round(in_use, 2))})

"""Facts about a host: read anew for each command in one round trip, each by a command line and a pure parser."""

from harness.hosts.facts.fact import Fact, Section
from harness.hosts.facts.facts_script import (
    build_facts,
    find_facts,
    list_facts,
    read_available_bytes,
    read_facts,
    read_sections,
)

__all__ = [
    "Fact",
    "Section",
    "build_facts",
    "find_facts",
    "list_facts",
    "read_available_bytes",
    "read_facts",
    "read_sections",
]

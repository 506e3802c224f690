"""The fact about a host's Python interpreters under their usual names, for jobs of the engine ``process``."""

from __future__ import annotations

import re

from harness.hosts.facts.fact import Fact
from harness.hosts.pythons import NAMES

_LINE = re.compile(r"(python[0-9.]{1,6}) Python ([0-9]{1,3}\.[0-9]{1,3}\.[0-9a-z+]{1,12})")


def parse_pythons(text: str) -> str | None:
    """Parse lines such as ``python3 Python 3.11.2``; each version is listed once, with the first name that has it."""
    found: dict[str, str] = {}
    for line in text.splitlines()[:20]:
        if (match := _LINE.fullmatch(line.strip())) is not None:
            found.setdefault(match[2], match[1])
    return ", ".join(f"{version} ({name})" for version, name in found.items()) or None


_SCRIPT = f"""for name in {" ".join(NAMES)}; do
  command -v "$name" >/dev/null && echo "$name $("$name" -V 2>&1)"
done"""

PYTHONS = Fact("pythons", ("sh", "-c", _SCRIPT), parse_pythons, label="Python")

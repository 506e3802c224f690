"""Find the Python interpreters of a host by their usual names, with their versions and whether they have TensorFlow."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.hosts.connection import Connection

NAMES = ("python3", "python3.13", "python3.12", "python3.11", "python3.10")
"""Names in the order in which they are tried, in the PATH of the connection and in the usual folders."""

_MOST = 4 * len(NAMES)
_TIMEOUT_S = 120.0
_SAY = (
    "import sys, importlib.util as u; "
    "print('%d.%d.%d' % sys.version_info[:3], int(u.find_spec('tensorflow') is not None), sys.argv[1], sep='\\t')"
)
_LOOK = f"""
PATH=$PATH:/usr/local/bin:/usr/bin:/bin
for name in {" ".join(NAMES)}; do
  path=$(command -v "$name") && "$path" -c "$1" "$path" 2>/dev/null </dev/null
done
exit 0
"""
_LINE = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\t([01])\t(/[^\t]{1,4000})")


@dataclass(frozen=True)
class FoundPython:
    """A working Python interpreter: its path, its version, and whether TensorFlow is installed."""

    path: str
    version: tuple[int, int, int]
    has_tensorflow: bool


def find_pythons(connection: Connection) -> list[FoundPython]:
    """Return the Python interpreters of a host in the order of ``NAMES``; invalid lines are ignored."""
    done = connection.run(["sh", "-c", _LOOK, "sh", _SAY], timeout_s=_TIMEOUT_S)
    return parse_pythons(done.text)


def parse_pythons(text: str) -> list[FoundPython]:
    """Parse the script's lines: version, 1 with TensorFlow or 0 without, and path."""
    found = []
    for line in text.splitlines()[:_MOST]:
        match = _LINE.fullmatch(line)
        if match is not None and match[5].isprintable():
            version = (int(match[1]), int(match[2]), int(match[3]))
            found.append(FoundPython(match[5], version, match[4] == "1"))
    return found

"""Find names of hosts that lead to the same machine: a file that is written through one name is seen through the other.

Machine ids are cloned with disks, and containers share the boot id of their machine. A file with a new nonce beside
the machine's lock exists on one machine only: where two names show it, they share the lock.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterable, Mapping

from harness.hosts.connection import Connection, last_line
from harness.hosts.lock import LOCK_PATH
from harness.values.errors import HostNotReady

_MOST_SEEN = 10_000
_NONCE = re.compile(r"[0-9a-f]{32}")

MARK_SCRIPT = r"""
umask 022
set -C
{ : > "$1.$2"; } || exit 74
for file in "$1".*; do echo "${file##*.}"; done | head -n MOST
""".replace("MOST", str(_MOST_SEEN))


class NameMarks:
    """The nonces of one command, one for each name. Thread-safe."""

    def __init__(self, path: str = LOCK_PATH) -> None:
        self._prefix = f"{path}.{secrets.token_hex(16)}"
        self._mutex = threading.Lock()
        self._nonces: dict[str, str] = {}
        self._seen: dict[str, frozenset[str]] = {}

    def leave(self, name: str, connection: Connection) -> None:
        """Write the nonce of a name on its machine, and read all nonces there. Raises HostNotReady, HostUnreachable."""
        nonce = secrets.token_hex(16)
        with self._mutex:
            self._nonces[name] = nonce
        done = connection.run(["sh", "-c", MARK_SCRIPT, "sh", self._prefix, nonce])
        if done.returncode != 0:
            message = f"{self._prefix}.{nonce} cannot be written: {last_line(done.stderr)}"
            raise HostNotReady(message, where=name, hint="check that /tmp is writable and not full")
        seen = frozenset(line for line in done.text.splitlines() if _NONCE.fullmatch(line))
        with self._mutex:
            self._seen[name] = seen

    def remove(self, name: str, connection: Connection) -> None:
        """Remove the nonce of a name from its machine. Raises HostUnreachable."""
        if name in self._nonces:
            connection.run(["rm", "-f", "--", f"{self._prefix}.{self._nonces[name]}"])

    def find_copies(self, order: Iterable[str]) -> Mapping[str, str]:
        """Return the names that lead to the machine of an earlier name in ``order``, each with the first such name.

        Of two names of one machine the one that wrote later saw the other's nonce, so each name reads only once.
        """
        firsts: list[str] = []
        copies: dict[str, str] = {}
        for name in order:
            same = next((first for first in firsts if self._are_same(first, name)), None)
            if same is None:
                firsts.append(name)
            else:
                copies[name] = same
        return copies

    def _are_same(self, one: str, other: str) -> bool:
        nothing: frozenset[str] = frozenset()
        return self._nonces.get(other) in self._seen.get(one, nothing) or self._nonces.get(one) in self._seen.get(
            other, nothing
        )

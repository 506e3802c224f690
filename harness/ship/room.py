"""Check the free space on a host's disk before files are sent."""

from __future__ import annotations

from harness.hosts.connection import Connection
from harness.hosts.folders import read_free_bytes
from harness.values.errors import HostNotReady
from harness.values.units import format_bytes


def refuse_full(connection: Connection, folder: str, needed: int, *, what: str, hint: str, needs: str = "") -> None:
    """Raise HostNotReady where a folder of a host has fewer than ``needed`` free bytes for ``what``.

    ``needs`` is the text about the needed space (default: the number of bytes). Nothing is raised where the free space
    is unknown.
    """
    free = read_free_bytes(connection, folder)
    if free is None or free >= needed:
        return
    message = f"no space for {what}: {needs or f'{format_bytes(needed)} are needed'}, {format_bytes(free)} are free at "
    raise HostNotReady(message + folder, where=connection.host, hint=hint)

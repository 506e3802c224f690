"""Room on a host's disk for what is sent: asked before the first byte."""

from __future__ import annotations

from harness.hosts.connection import Connection
from harness.hosts.folders import read_free_bytes
from harness.values.errors import HostNotReady
from harness.values.units import format_bytes


def refuse_full(connection: Connection, folder: str, needed: int, *, what: str, hint: str, needs: str = "") -> None:
    """Raise HostNotReady where fewer than ``needed`` bytes are free for ``what`` in a folder of a host.

    ``needs`` says in words what is needed, by default these bytes. A host that does not tell what is free is not
    refused.
    """
    free = read_free_bytes(connection, folder)
    if free is None or free >= needed:
        return
    message = f"no room for {what}: {needs or f'{format_bytes(needed)} are needed'}, {format_bytes(free)} are free at "
    raise HostNotReady(message + folder, where=connection.host, hint=hint)

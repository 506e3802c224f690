"""Whether an image has room on a host: asked before a byte is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.hosts.connection import Connection
from harness.hosts.folders import read_free_bytes
from harness.values.errors import HostNotReady
from harness.values.units import format_bytes

if TYPE_CHECKING:
    from docker.api.client import APIClient

_TIMES = 2
"""A load first keeps the whole tar and then unpacks it."""
_MARGIN_BYTES = 64 * 2**20
_CONTAINERD_FOLDER = "/var/lib/containerd"


def refuse_full(client: APIClient, connection: Connection | None, host: str, size: int) -> None:
    """Raise HostNotReady where ``size`` bytes of layers have no room; nothing where that cannot be told."""
    if connection is None or not size:
        return
    folders = image_folders(client.info())
    for folder in folders:
        free = read_free_bytes(connection, folder)
        needed = _TIMES * size + _MARGIN_BYTES
        if free is not None and free < needed:
            hint = "make room on the host (docker image prune), or give Docker another data-root"
            message = (
                f"no room for the image: {format_bytes(size)} are to come, a load needs about twice that for a moment, "
                f"and {format_bytes(free)} are free at {folder}"
            )
            raise HostNotReady(message, where=host, hint=hint)


def image_folders(info: dict[str, Any]) -> list[str]:
    """Where an engine keeps images: its root, and containerd's where that is the store."""
    root = str(info.get("DockerRootDir") or "")
    folders = [root] if root.startswith("/") else []
    status = " ".join(str(word) for pair in info.get("DriverStatus") or () for word in pair)
    if "containerd.snapshotter" in status and root == "/var/lib/docker":
        folders.append(_CONTAINERD_FOLDER)
    return folders

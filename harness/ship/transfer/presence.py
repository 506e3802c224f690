"""Find the images and layers that a host has, which need not be sent, and check the space for another image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.engine import daemon
from harness.engine.dockerinfo import (
    EngineInfo,
    Image,
    image_digest,
    inspect_image,
    list_image_ids,
    read_info,
    seek_image,
)
from harness.hosts.connection import Connection
from harness.ship.room import refuse_full
from harness.ship.transfer.image_archive import familiar_name
from harness.values.units import format_bytes

if TYPE_CHECKING:
    from docker.api.client import APIClient

_TIMES = 2
"""A load needs twice the size, because the engine first stores the whole tar and then unpacks it."""
_MARGIN_BYTES = 64 * 2**20
_CONTAINERD_FOLDER = "/var/lib/containerd"


@dataclass(frozen=True)
class HostImage:
    """An image on a host; ``id`` has a meaning only for that host's engine."""

    id: str
    identity: str
    diff_ids: tuple[str, ...]
    references: tuple[str, ...]
    size: int = 0


@dataclass(frozen=True)
class HostImages:
    """All images of a host, including those without a name."""

    images: tuple[HostImage, ...]

    def find(self, identity: str) -> HostImage | None:
        """Return an image by its identity, whatever its name; None where there is none."""
        return next((image for image in self.images if image.identity == identity), None)

    def named(self, reference: str) -> HostImage | None:
        """Return the image with a name; None where there is none."""
        return next((image for image in self.images if reference in image.references), None)

    def shared_layers(self, diff_ids: Sequence[str]) -> int:
        """Return how many of these layers, counted from the lowest, the host has as a chain."""
        known = {chain for image in self.images for chain in chain_ids(image.diff_ids)}
        return sum(chain in known for chain in chain_ids(diff_ids))

    def nearest(self, diff_ids: Sequence[str]) -> HostImage | None:
        """Return the image that shares most of these layers; None where no image shares any."""
        wanted = set(chain_ids(diff_ids))
        scored = [(len(wanted & set(chain_ids(image.diff_ids))), image) for image in self.images]
        best = max(scored, key=lambda one: one[0], default=None)
        return best[1] if best is not None and best[0] else None


def read_images(client: APIClient) -> HostImages:
    """Return all images of an engine. Raises Unreadable, and what the client raises."""
    from docker.errors import APIError

    found: list[HostImage] = []
    for identifier in list_image_ids(client):
        try:
            inspected = inspect_image(client, identifier)
        except APIError as error:
            if daemon.status_of(error) is None:
                raise
            continue  # it was removed in the meantime, or is broken and cannot be used
        names = tuple(_names_of(client, inspected))
        found.append(HostImage(identifier, image_digest(inspected), inspected.root.layers, names, inspected.size))
    return HostImages(tuple(found))


def _names_of(client: APIClient, image: Image) -> Iterator[str]:
    """Yield the names of an image, with and without the registry prefix that Podman adds to all names."""
    for name in image.repo_tags:
        if name != "<none>:<none>":
            yield name
            short = familiar_name(name).removeprefix("localhost/")
            if short != name and (found := seek_image(client, short)) is not None and found.id == image.id:
                yield short


def chain_ids(diff_ids: Iterable[str]) -> tuple[str, ...]:
    """Return the chain id of each layer with all layers below it (OCI image specification, "Layer ChainID")."""
    chains: list[str] = []
    for diff_id in diff_ids:
        if not chains:
            chains.append(diff_id)
        else:
            joined = f"{chains[-1]} {diff_id}".encode()
            chains.append("sha256:" + hashlib.sha256(joined).hexdigest())
    return tuple(chains)


def refuse_full_store(client: APIClient, connection: Connection | None, size: int, hint: str) -> None:
    """Raise HostNotReady where the host has no space for ``size`` bytes of layers; do nothing where that is unknown."""
    if connection is None or not size:
        return
    needs = f"{format_bytes(size)} will be sent, loading needs about twice that temporarily"
    for folder in image_folders(read_info(client)):
        refuse_full(connection, folder, _TIMES * size + _MARGIN_BYTES, what="the image", hint=hint, needs=needs)


def image_folders(info: EngineInfo) -> list[str]:
    """Return the folders in which an engine keeps images: its root, and containerd's folder where that is the store."""
    root = info.docker_root_dir
    folders = [root] if root.startswith("/") else []
    status = " ".join(word for pair in info.driver_status for word in pair)
    if "containerd.snapshotter" in status and root == "/var/lib/docker":
        folders.append(_CONTAINERD_FOLDER)
    return folders

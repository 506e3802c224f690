"""What images a host has: by identity, and by the chains of layers that need not be sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.engine import daemon
from harness.engine.identity import image_digest

if TYPE_CHECKING:
    from docker.api.client import APIClient


@dataclass(frozen=True)
class HostImage:
    """An image as its host tells of it; ``id`` means something to that engine alone."""

    id: str
    identity: str
    diff_ids: tuple[str, ...]
    references: tuple[str, ...]
    size: int = 0


@dataclass(frozen=True)
class HostImages:
    """All images of a host, those without a name among them."""

    images: tuple[HostImage, ...]

    def find(self, identity: str) -> HostImage | None:
        """An image of that identity, under whatever name."""
        return next((image for image in self.images if image.identity == identity), None)

    def named(self, reference: str) -> HostImage | None:
        """The image that a name stands for."""
        return next((image for image in self.images if reference in image.references), None)

    def shared_layers(self, diff_ids: Sequence[str]) -> int:
        """How many of these layers, from the lowest on, are there as a chain."""
        known = {chain for image in self.images for chain in chain_ids(image.diff_ids)}
        return sum(chain in known for chain in chain_ids(diff_ids))

    def nearest(self, diff_ids: Sequence[str]) -> HostImage | None:
        """The image that shares most of these layers; None where none shares any."""
        wanted = set(chain_ids(diff_ids))
        scored = [(len(wanted & set(chain_ids(image.diff_ids))), image) for image in self.images]
        best = max(scored, key=lambda one: one[0], default=None)
        return best[1] if best is not None and best[0] else None


def read_images(client: APIClient) -> HostImages:
    """Ask an engine for all its images. Raises what the client raises."""
    from docker.errors import APIError

    found: list[HostImage] = []
    for identifier in dict.fromkeys(str(one["Id"]) for one in client.images(all=True)):
        try:
            inspected: dict[str, Any] = client.inspect_image(identifier)  # type: ignore[no-untyped-call]
        except APIError as error:
            if daemon.status_of(error) is None:
                raise
            continue  # it went away in between, or is broken: then it is of no use to anybody
        layers = tuple((inspected.get("RootFS") or {}).get("Layers") or ())
        names = tuple(name for name in inspected.get("RepoTags") or () if name != "<none>:<none>")
        found.append(HostImage(identifier, image_digest(inspected), layers, names, int(inspected.get("Size") or 0)))
    return HostImages(tuple(found))


def chain_ids(diff_ids: Iterable[str]) -> tuple[str, ...]:
    """The chain of each layer with all below it (OCI image specification, "Layer ChainID")."""
    chains: list[str] = []
    for diff_id in diff_ids:
        if not chains:
            chains.append(diff_id)
        else:
            joined = f"{chains[-1]} {diff_id}".encode()
            chains.append("sha256:" + hashlib.sha256(joined).hexdigest())
    return tuple(chains)

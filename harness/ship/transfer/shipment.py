"""The model of an image in the controller's cache, as a list of layers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from harness.engine.dockerinfo import Image, image_digest

SLICE_BYTES = 256 * 1024
"""The size of slices that are sent; the transport would copy the rest of a larger piece for each packet."""


@dataclass(frozen=True)
class Blob:
    """A file of the cache, named by the SHA-256 of its content (hex)."""

    digest: str
    size: int
    path: Path


@dataclass(frozen=True)
class CachedImage:
    """An image on the controller's disk with unpacked layers.

    ``layers`` are in the image's order, each named by its diff id. ``references`` are the names of the image at its
    source. ``config`` is the image's configuration as the original JSON text.
    """

    identity: str
    config: bytes
    config_digest: str
    layers: tuple[Blob, ...]
    references: tuple[str, ...] = ()

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """Return the diff id ``sha256:…`` of each layer."""
        return tuple(f"sha256:{layer.digest}" for layer in self.layers)

    @property
    def bytes(self) -> int:
        """Return the size of all layers, each counted once."""
        return sum({layer.digest: layer.size for layer in self.layers}.values())

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels of the image."""
        return dict((json.loads(self.config).get("config") or {}).get("Labels") or {})


def identity_of_config(config: bytes) -> str:
    """Return the identity of an image from its configuration, equal to that from an engine's ``inspect``."""
    said = json.loads(config)
    return image_digest(
        Image.model_validate(
            {
                "Config": said.get("config"),
                "RootFS": {"Layers": (said.get("rootfs") or {}).get("diff_ids")},
                "Architecture": said.get("architecture") or "",
            }
        )
    )

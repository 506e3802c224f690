"""What is shipped: an image on this machine's disk, as its layers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from harness.engine.dockerinfo import Image, image_digest

SLICE_BYTES = 256 * 1024
"""No more than this is handed on at once: a larger piece is sliced again for each packet on its way."""


@dataclass(frozen=True)
class Blob:
    """A file of the cache, named by the SHA-256 of what it holds (hex)."""

    digest: str
    size: int
    path: Path


@dataclass(frozen=True)
class CachedImage:
    """An image on the controller's disk, its layers unpacked.

    ``layers`` in the image's order, each named by its diff id; ``references`` are the names that it had where it
    came from. ``config`` is the image's configuration as JSON, byte for byte.
    """

    identity: str
    config: bytes
    config_digest: str
    layers: tuple[Blob, ...]
    references: tuple[str, ...] = ()

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """``sha256:…`` for each layer."""
        return tuple(f"sha256:{layer.digest}" for layer in self.layers)

    @property
    def bytes(self) -> int:
        """All layers, each counted once."""
        return sum({layer.digest: layer.size for layer in self.layers}.values())

    @property
    def labels(self) -> dict[str, str]:
        """The labels that the image was built with."""
        return dict((json.loads(self.config).get("config") or {}).get("Labels") or {})


def identity_of_config(config: bytes) -> str:
    """The image identity out of an image's configuration: the same as out of an engine's ``inspect``."""
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

"""What is shipped, and what it cost."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from harness.engine.dockerinfo import image_digest

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


@dataclass(frozen=True)
class Ledger:
    """What one ship took. ``method``: present, thin, full or pulled.

    ``bytes_needed`` are of the layers that the host lacked, ``bytes_saved`` of those that it had;
    ``bytes_sent`` counts every byte that went out, attempts that failed among them (None where a registry sent
    them). ``seconds`` are of sending, loading and proving, without waiting for a turn; ``notes`` say what went wrong
    on the way.
    """

    host: str
    reference: str
    identity: str
    method: str
    bytes_needed: int = 0
    bytes_sent: int | None = 0
    bytes_saved: int = 0
    seconds: float = 0.0
    attempts: int = 0
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def mb_per_s(self) -> float | None:
        """10⁶ bytes sent a second; None where nothing was sent."""
        if not self.bytes_sent or self.seconds <= 0:
            return None
        return self.bytes_sent / 1e6 / self.seconds


def identity_of_config(config: bytes) -> str:
    """The image identity out of an image's configuration: the same as out of an engine's ``inspect``."""
    said = json.loads(config)
    return image_digest(
        {
            "Config": said.get("config"),
            "RootFS": {"Layers": (said.get("rootfs") or {}).get("diff_ids")},
            "Architecture": said.get("architecture") or "",
        }
    )

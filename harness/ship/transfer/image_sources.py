"""Where an image that is to be shipped comes from: this machine's engine, its cache, or a file carried by hand."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.engine.daemon import ClientFactory
from harness.ship.base import explaining
from harness.ship.datasource import OnProgress
from harness.ship.slots import waiting_for
from harness.ship.transfer.cache import ImageCache
from harness.ship.transfer.image_stream import CorruptBlob
from harness.ship.transfer.shipment import CachedImage
from harness.values.errors import ImageUnavailable
from harness.values.units import format_bytes

_TELL_EVERY_S = 0.5
_FILL_TIMEOUT_S = 900.0


class Source(Protocol):
    """An image that the controller can send. ``identity`` costs nothing; ``open`` fills the cache where it must."""

    @property
    def identity(self) -> str: ...

    def open(self, on_progress: OnProgress) -> CachedImage: ...

    def refill(self, corrupt: CorruptBlob, on_progress: OnProgress) -> CachedImage: ...


@dataclass
class EngineSource:
    """An image of this machine's engine; ``fill_seconds`` is what saving it took, None where it was in the cache."""

    connect: ClientFactory
    reference: str
    identity: str
    cache: ImageCache = field(default_factory=ImageCache)
    fill_seconds: float | None = None
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def open(self, on_progress: OnProgress) -> CachedImage:
        """The image in the cache. Raises ImageUnavailable, HostUnreachable."""
        with waiting_for(self._mutex, lambda: on_progress(f"waiting for {self.reference}", None)):
            kept = self.cache.find(self.identity)
            if kept is not None:
                return kept
            begun = time.monotonic()
            with explaining(f"save {self.reference}"):
                client = self.connect(_FILL_TIMEOUT_S)
            try:
                told = _Teller(f"unpacking {self.reference} into the cache", on_progress)
                image = self.cache.fill_from_engine(client, self.reference, told.add)
            finally:
                client.close()
            self.fill_seconds = time.monotonic() - begun
            if image.identity != self.identity:
                message = f"{self.reference} was built anew meanwhile"
                raise ImageUnavailable(message, hint="run the same command again")
            return image

    def refill(self, corrupt: CorruptBlob, on_progress: OnProgress) -> CachedImage:
        """The same after a layer turned out to be damaged."""
        self.cache.drop(corrupt.blob)
        return self.open(on_progress)


@dataclass
class CacheSource:
    """An image that is in the cache, from a file carried by hand or from an engine that is gone now."""

    image: CachedImage
    cache: ImageCache
    file: Path | None = None
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    @property
    def identity(self) -> str:
        """The image's identity."""
        return self.image.identity

    def open(self, on_progress: OnProgress) -> CachedImage:
        """The image."""
        return self.image

    def refill(self, corrupt: CorruptBlob, on_progress: OnProgress) -> CachedImage:
        """Read the file again. Raises ImageUnavailable where there is none."""
        with self._mutex:
            kept = self.cache.find(self.identity)
            if kept is not None and all(layer.digest != corrupt.blob.digest for layer in kept.layers):
                return kept
            self.cache.drop(corrupt.blob)
            if self.file is None:
                hint = "carry the image here again: harness ship INVENTORY --image FILE"
                raise ImageUnavailable(f"{corrupt}, and there is no Docker Engine to save it from", hint=hint)
            return import_file(self.file, self.cache, on_progress)


def import_file(file: Path, cache: ImageCache, on_progress: OnProgress) -> CachedImage:
    """Unpack an image file into the cache. Raises ImageUnavailable."""
    size = file.stat().st_size if file.is_file() else None
    return cache.fill_from_file(file, _Teller(f"unpacking {file.name}", on_progress, size).add)


class _Teller:
    """Says now and then how many bytes have come."""

    def __init__(self, words: str, on_progress: OnProgress, total: int | None = None) -> None:
        self._words, self._tell, self._total = words, on_progress, total
        self._count, self._last = 0, 0.0

    def add(self, count: int) -> None:
        self._count += count
        if time.monotonic() - self._last > _TELL_EVERY_S:
            self._last = time.monotonic()
            share = min(1.0, self._count / self._total) if self._total else None
            self._tell(f"{self._words}: {format_bytes(self._count)}", share)

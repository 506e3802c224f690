"""Which image a host is to have, and where it comes from: this machine's engine, its cache, or a file."""

from __future__ import annotations

import os
import posixpath
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness.engine.daemon import ClientFactory
from harness.engine.registry import open_own_client
from harness.ship.base import explaining, look_for
from harness.ship.datasource import OnProgress
from harness.ship.definition import image_definition, image_definitions, image_reference
from harness.ship.image import LABEL_DEFINITION, ImageResult, ensure_image, find_image
from harness.ship.slots import waiting_for
from harness.ship.transfer.cache import ImageCache
from harness.ship.transfer.image_stream import CorruptBlob
from harness.ship.transfer.shipment import CachedImage
from harness.values.errors import EngineUnavailable, HostError, ImageUnavailable
from harness.values.event import ImageCached
from harness.values.units import format_bytes

if TYPE_CHECKING:
    from docker.api.client import APIClient

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


@dataclass(frozen=True)
class WantedImage:
    """The image that a host is to have: ``named`` in its inventory, else ours of a kind. A registry is asked first."""

    kind: str
    named: str | None = None
    registry: str | None = None

    @property
    def reference(self) -> str:
        """Its name on the host. Raises ImageUnavailable where the installation is damaged."""
        return self.named or image_reference(image_definition(self.kind))


@dataclass(frozen=True)
class Order:
    """What is to be on the host, and where it may come from.

    ``reference`` is its name there. ``source`` None: the controller has it not, and ``why_none`` says why; then
    what the host has by that name is taken. ``registry`` is asked before the source; what it has must be the
    source's image, or where there is none be built of ``definition``.
    """

    reference: str
    source: Source | None
    registry: str | None = None
    definition: str | None = None
    why_none: str | None = None


class ImageSources:
    """The images that this machine can send, each built or found once for all hosts.

    ``file``: an image that was carried by hand, already in the cache; it takes the place of all others.
    """

    def __init__(
        self,
        *,
        base_image: str | None = None,
        file: CachedImage | None = None,
        path: Path | None = None,
        cache: ImageCache | None = None,
    ) -> None:
        self.cache = cache or ImageCache()
        self._base_image = base_image
        self._carried = None if file is None else CacheSource(file, self.cache, path)
        self._found: dict[tuple[str, bool], tuple[Source | None, str | None]] = {}
        self._mutex = threading.Lock()
        self._told: set[str] = set()

    def order(self, wanted: WantedImage, say: OnProgress, *, may_build: bool) -> Order:
        """Return what a host is to have, and where it may come from. Raises ImageUnavailable, HostUnreachable."""
        if self._carried is not None:
            return Order(carried_name(self._carried.image), self._carried)
        reference = tagged(wanted.reference)
        with waiting_for(self._mutex, lambda: say(f"waiting for the image {reference}", None)):
            key = (reference, may_build and wanted.named is None)
            if key not in self._found:
                self._found[key] = self._look(reference, wanted.kind if key[1] else None, say)
            source, why = self._found[key]
        digest = None if wanted.named else image_definition(wanted.kind).digest
        return Order(reference, source, wanted.registry, digest, why)

    def _look(self, reference: str, build: str | None, say: OnProgress) -> tuple[Source | None, str | None]:
        """The image on this machine's engine, built where ``build`` names a kind; else in the cache; else why not."""
        why, identity = "and this machine's Docker Engine has it not either", None
        try:
            client = open_own_client()
        except EngineUnavailable as error:
            why = f"and this machine has no Docker Engine to build it with ({error.message})"
        else:
            with closing(client):
                identity = find_image(client, reference) if build is None else self._build(client, build, say).digest
        if identity is not None:
            return EngineSource(open_own_client, reference, identity, self.cache), None
        kept = self.cache.find_reference(reference)
        return (None, why) if kept is None else (CacheSource(kept, self.cache), None)

    def build(self, kind: str, client: APIClient, say: OnProgress) -> ImageResult:
        """Build the image of this machine's own host, by one of its threads at a time. Raises ImageUnavailable."""
        with waiting_for(self._mutex, lambda: say("waiting for the image", None)):
            return self._build(client, kind, say)

    def _build(self, client: APIClient, kind: str, say: OnProgress) -> ImageResult:
        is_root = os.geteuid() == 0
        return ensure_image(
            client, kind, base_image=self._base_image, is_root=is_root, on_progress=lambda text: say(text, None)
        )

    def size_of(self, reference: str) -> int | None:
        """Return the bytes of an image of this machine, in its cache or on its engine; None where it has none."""
        reference = tagged(reference)
        kept = self._carried.image if self._carried is not None else self.cache.find_reference(reference)
        if kept is not None:
            return kept.bytes
        with suppress(HostError), closing(open_own_client()) as client:
            found = look_for(client, reference)
            return None if found is None else found.size or None
        return None

    def filled_by(self, source: Source | None) -> ImageCached | None:
        """Return what filling the cache from a source took, once; None where it was told, or the image was there."""
        if not isinstance(source, EngineSource) or source.fill_seconds is None:
            return None
        with self._mutex:
            if source.reference in self._told:
                return None
            self._told.add(source.reference)
        kept = self.cache.find(source.identity)
        size = 0 if kept is None else kept.bytes
        return ImageCached(source.reference, source.identity, size, source.fill_seconds)


def is_ours(image: CachedImage) -> bool:
    """Whether an image was built of one of our definitions as they are now."""
    return image.labels.get(LABEL_DEFINITION) in {one.digest for one in image_definitions().values()}


def carried_name(image: CachedImage) -> str:
    """Return the name of an image that came as a file: ours where it was built of our definition, else the file's."""
    for definition in image_definitions().values():
        if image.labels.get(LABEL_DEFINITION) == definition.digest:
            return image_reference(definition)
    return tagged(image.references[0]) if image.references else f"harness-image:{image.identity[:12]}"


def tagged(reference: str) -> str:
    """Return ``name`` as ``name:latest``."""
    return reference if ":" in posixpath.basename(reference) or "@" in reference else f"{reference}:latest"


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

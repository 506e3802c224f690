"""Choose the image for a host, and its source: this machine's engine, its cache, or a file."""

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
from harness.engine.daemon_words import words_of
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
    """An image that the controller can send. ``identity`` is known at once; ``open`` adds the image to the cache."""

    @property
    def identity(self) -> str: ...

    def open(self, on_progress: OnProgress) -> CachedImage: ...

    def refill(self, corrupt: CorruptBlob, on_progress: OnProgress) -> CachedImage: ...


@dataclass
class EngineSource:
    """An image of this machine's engine; ``fill_seconds`` is the time of saving it, None where it was in the cache."""

    connect: ClientFactory
    reference: str
    identity: str
    cache: ImageCache = field(default_factory=ImageCache)
    fill_seconds: float | None = None
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def open(self, on_progress: OnProgress) -> CachedImage:
        """Return the image in the cache, saved from the engine if missing. Raises ImageUnavailable, HostUnreachable."""
        with waiting_for(self._mutex, lambda: on_progress(f"waiting for {self.reference}", None)):
            kept = self.cache.find(self.identity)
            if kept is not None:
                return kept
            begun = time.monotonic()
            with explaining(None, f"save {self.reference}"):
                client = self.connect(_FILL_TIMEOUT_S)
            try:
                told = _Teller(f"unpacking {self.reference} into the cache", on_progress)
                image = self.cache.fill_from_engine(client, self.reference, told.add)
            finally:
                client.close()
            self.fill_seconds = time.monotonic() - begun
            if image.identity != self.identity:
                message = f"the image {self.reference} was rebuilt in the meantime"
                raise ImageUnavailable(message, hint="run the same command again")
            return image

    def refill(self, corrupt: CorruptBlob, on_progress: OnProgress) -> CachedImage:
        """Return the image after replacing a damaged layer in the cache. Raises ImageUnavailable, HostUnreachable."""
        self.cache.drop(corrupt.blob)
        return self.open(on_progress)


@dataclass
class CacheSource:
    """An image in the cache, from a file, or from an engine that is not available any more."""

    image: CachedImage
    cache: ImageCache
    file: Path | None = None
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    @property
    def identity(self) -> str:
        """Return the image's identity."""
        return self.image.identity

    def open(self, on_progress: OnProgress) -> CachedImage:
        """Return the image."""
        return self.image

    def refill(self, corrupt: CorruptBlob, on_progress: OnProgress) -> CachedImage:
        """Return the image after reading its file again. Raises ImageUnavailable where there is no file."""
        with self._mutex:
            kept = self.cache.find(self.identity)
            if kept is not None and all(layer.digest != corrupt.blob.digest for layer in kept.layers):
                return kept
            self.cache.drop(corrupt.blob)
            if self.file is None:
                hint = "import the image again: harness ship INVENTORY --image FILE"
                raise ImageUnavailable(f"{corrupt}, and there is no engine to save it from", hint=hint)
            return import_file(self.file, self.cache, on_progress)


def import_file(file: Path, cache: ImageCache, on_progress: OnProgress) -> CachedImage:
    """Unpack an image file into the cache. Raises ImageUnavailable."""
    size = file.stat().st_size if file.is_file() else None
    return cache.fill_from_file(file, _Teller(f"unpacking {file.name}", on_progress, size).add)


@dataclass(frozen=True)
class WantedImage:
    """The image for a host: ``named`` in the inventory, else ours of a kind; a ``registry`` is tried first."""

    kind: str
    named: str | None = None
    registry: str | None = None

    @property
    def reference(self) -> str:
        """Return the image's name on the host. Raises ImageUnavailable where the installation is damaged."""
        return self.named or image_reference(image_definition(self.kind))


@dataclass(frozen=True)
class Order:
    """An image for a host, and its possible sources.

    ``reference`` is its name on the host. ``source`` is None where the controller does not have the image, for the
    reason ``why_none``; the host's own image of that name is then used. ``registry`` is tried before the source; its
    image must be the same as the source's, or without a source be built from ``definition``.
    """

    reference: str
    source: Source | None
    registry: str | None = None
    definition: str | None = None
    why_none: str | None = None


class ImageSources:
    """The images that this machine can send, each built or found once for all hosts.

    ``file`` is an image from a file, already in the cache, which is used instead of all others.
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
        """Return the image for a host with its possible sources. Raises ImageUnavailable, HostUnreachable."""
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
        """Return the source of an image (engine, built where ``build`` is a kind, or cache), or why there is none."""
        identity: str | None = None
        try:
            client = open_own_client()
        except EngineUnavailable as error:
            why = f"and this machine has no engine to build it with ({error.message})"
        else:
            why = f"and this machine's {words_of(client).title} does not have it, either"
            with closing(client):
                identity = find_image(client, reference) if build is None else self._build(client, build, say).digest
        if identity is not None:
            return EngineSource(open_own_client, reference, identity, self.cache), None
        kept = self.cache.find_reference(reference)
        return (None, why) if kept is None else (CacheSource(kept, self.cache), None)

    def build(self, kind: str, client: APIClient, say: OnProgress) -> ImageResult:
        """Build an image for this machine as a host, one at a time. Raises ImageUnavailable."""
        with waiting_for(self._mutex, lambda: say("waiting for the image", None)):
            return self._build(client, kind, say)

    def _build(self, client: APIClient, kind: str, say: OnProgress) -> ImageResult:
        is_root = os.geteuid() == 0
        return ensure_image(
            client, kind, base_image=self._base_image, is_root=is_root, on_progress=lambda text: say(text, None)
        )

    def size_of(self, reference: str) -> int | None:
        """Return the bytes of an image in this machine's cache or on its engine; None where there is none."""
        reference = tagged(reference)
        kept = self._carried.image if self._carried is not None else self.cache.find_reference(reference)
        if kept is not None:
            return kept.bytes
        with suppress(HostError), closing(open_own_client()) as client:
            found = look_for(client, reference)
            return None if found is None else found.size or None
        return None

    def filled_by(self, source: Source | None) -> ImageCached | None:
        """Return the event of adding a source's image to the cache, once; None if reported or already in the cache."""
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
    """Return whether an image was built from one of our current definitions."""
    return image.labels.get(LABEL_DEFINITION) in {one.digest for one in image_definitions().values()}


def carried_name(image: CachedImage) -> str:
    """Return the name for an image from a file: ours if it was built from our definition, else the file's."""
    for definition in image_definitions().values():
        if image.labels.get(LABEL_DEFINITION) == definition.digest:
            return image_reference(definition)
    return tagged(image.references[0]) if image.references else f"harness-image:{image.identity[:12]}"


def tagged(reference: str) -> str:
    """Return a name with a tag, ``name:latest`` for ``name``."""
    return reference if ":" in posixpath.basename(reference) or "@" in reference else f"{reference}:latest"


class _Teller:
    """A counter of bytes that reports its progress at most twice a second."""

    def __init__(self, words: str, on_progress: OnProgress, total: int | None = None) -> None:
        self._words, self._tell, self._total = words, on_progress, total
        self._count, self._last = 0, 0.0

    def add(self, count: int) -> None:
        self._count += count
        if time.monotonic() - self._last > _TELL_EVERY_S:
            self._last = time.monotonic()
            share = min(1.0, self._count / self._total) if self._total else None
            self._tell(f"{self._words}: {format_bytes(self._count)}", share)

"""What ``run`` and ``ship`` may send to hosts: images and data sets of this machine, and turns to send them."""

from __future__ import annotations

import os
import posixpath
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.bench.loaders.tfrecords import split_pattern
from harness.engine.daemon import connect_local, open_client
from harness.engine.interface import ImageEngine
from harness.ship.datasource import OnProgress, SourceSets
from harness.ship.datatransfer import DataShip
from harness.ship.definition import image_definition, image_definitions, image_reference
from harness.ship.image import LABEL_DEFINITION, ImageResult, ensure_image, find_image
from harness.ship.slots import TransferSlots, waiting_for
from harness.ship.transfer.cache import ImageCache
from harness.ship.transfer.image_sources import CacheSource, EngineSource, Source
from harness.ship.transfer.shipment import CachedImage
from harness.ship.transfer.shipping import ImageShip, Order
from harness.values.errors import EngineUnavailable, ImageUnavailable
from harness.values.event import ImageCached, ImageShipped, progress_of
from harness.workflow.reaching import Emit, Reached

if TYPE_CHECKING:
    from docker.api.client import APIClient

    from harness.inventory import Host


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

    def order(self, reached: Reached, emit: Emit, *, may_build: bool) -> Order:
        """Return what this host is to have, and where it may come from. Raises ImageUnavailable, HostUnreachable."""
        variables = reached.host.variables
        if self._carried is not None:
            return Order(carried_name(self._carried.image), self._carried)
        kind = image_kind(reached)
        definition = image_definition(kind)
        reference = tagged(variables.image or image_reference(definition))
        say = progress_of(reached.name, emit)
        with waiting_for(self._mutex, lambda: say(f"waiting for the image {reference}", None)):
            key = (reference, may_build and variables.image is None)
            if key not in self._found:
                self._found[key] = self._look(reference, kind if key[1] else None, say)
            source, why = self._found[key]
        wanted = None if variables.image else definition.digest
        return Order(reference, source, variables.registry, wanted, why)

    def _look(self, reference: str, build: str | None, say: OnProgress) -> tuple[Source | None, str | None]:
        """The image on this machine's engine, built where ``build`` names a kind; else in the cache; else why not."""
        try:
            client = open_client("this machine")
        except EngineUnavailable as error:
            kept = self.cache.find_reference(reference)
            if kept is not None:
                return CacheSource(kept, self.cache), None
            return None, f"and this machine has no Docker Engine to build it with ({error.message})"
        try:
            identity = find_image(client, reference) if build is None else self._build(client, build, say).digest
        finally:
            client.close()
        if identity is not None:
            return EngineSource(connect_local, reference, identity, self.cache), None
        kept = self.cache.find_reference(reference)
        if kept is not None:
            return CacheSource(kept, self.cache), None
        return None, "and this machine's Docker Engine has it not either"

    def build(self, reached: Reached, client: APIClient, emit: Emit) -> ImageResult:
        """Build the image of this machine's own host, by one of its threads at a time. Raises ImageUnavailable."""
        say = progress_of(reached.name, emit)
        with waiting_for(self._mutex, lambda: say("waiting for the image", None)):
            return self._build(client, image_kind(reached), say)

    def _build(self, client: APIClient, kind: str, say: OnProgress) -> ImageResult:
        is_root = os.geteuid() == 0
        return ensure_image(
            client, kind, base_image=self._base_image, is_root=is_root, on_progress=lambda text: say(text, None)
        )

    def tell_filled(self, source: Source | None, emit: Emit) -> None:
        """Say once what filling the cache took."""
        if not isinstance(source, EngineSource) or source.fill_seconds is None:
            return
        with self._mutex:
            if source.reference in self._told:
                return
            self._told.add(source.reference)
        kept = self.cache.find(source.identity)
        size = 0 if kept is None else kept.bytes
        emit(ImageCached(source.reference, source.identity, size, source.fill_seconds))


@dataclass
class Transfers:
    """All that is shared by the hosts of one command. ``ship_data``: data sets may travel."""

    images: ImageSources
    sets: SourceSets
    slots: TransferSlots = field(default_factory=TransferSlots)
    ship_data: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def sendable(self) -> frozenset[str]:
        """The data sets that are sent where a host has them not, by name."""
        return frozenset(self.sets if self.ship_data else ())


def bring_image(reached: Reached, engine: ImageEngine, transfers: Transfers, emit: Emit) -> tuple[str, str]:
    """See that a host's engine has its image: built on this machine, sent to another; its name, and how it came.

    What the inventory names is taken as it is where it cannot be sent. Raises ImageUnavailable and other HostErrors.
    """
    named = reached.host.variables.image
    if reached.host.connection != "local" and "@" not in (named or ""):
        shipped = _ship_image(reached, engine, transfers, emit)
        return shipped.image, shipped.method
    if named:
        return named, "present"
    made = transfers.images.build(reached, engine.client, emit)
    return made.reference, made.method


def _ship_image(reached: Reached, engine: ImageEngine, transfers: Transfers, emit: Emit) -> ImageShipped:
    """Bring a host the image that it is to have. Raises ImageUnavailable and other HostErrors; then nothing is left."""

    def ship(order: Order) -> ImageShipped:
        show = progress_of(reached.name, emit)
        return ImageShip(engine, order, reached.connection, transfers.slots, show, transfers.stop).run()

    order = transfers.images.order(reached, emit, may_build=reached.host.variables.registry is None)
    try:
        shipped = ship(order)
    except ImageUnavailable:
        if order.source is not None or order.registry is None:
            raise
        # The registry has it not and nobody has built it yet: then it is built here.
        order = transfers.images.order(reached, emit, may_build=True)
        if order.source is None:
            raise
        shipped = ship(order)
    emit(shipped)
    transfers.images.tell_filled(order.source, emit)
    return shipped


def ship_data(reached: Reached, name: str, transfers: Transfers, emit: Emit) -> None:
    """Bring a host a data set of this machine. Raises DataError, HostError; what arrived stays for the next time."""
    say = progress_of(reached.name, emit, f"data set {name}")
    source = transfers.sets.read(name, say)
    emit(DataShip(reached.connection, reached.scratch, source, transfers.slots, say, transfers.stop).run())


def local_places(hosts: Sequence[Host]) -> Mapping[str, tuple[Path, Path | None]]:
    """Find data sets of an inventory on this machine: of its local hosts first, else at the path of any host."""
    found: dict[str, tuple[Path, Path | None]] = {}
    for host in sorted(hosts, key=lambda one: one.connection != "local"):
        for name, spec in host.variables.data.items():
            images = spec.folder or spec.images or spec.tfrecord
            if name in found or images is None:
                continue
            place = Path(images).expanduser()
            annotations = None if spec.annotations is None else Path(spec.annotations).expanduser()
            if Path(split_pattern(str(place))[0]).is_dir() and (annotations is None or annotations.is_file()):
                found[name] = (place, annotations)
    return found


def local_features(hosts: Sequence[Host]) -> Mapping[str, tuple[str | None, str | None]]:
    """Return the features of TFRecord sets that an inventory names: image and label."""
    return {
        name: (spec.image_feature, spec.label_feature)
        for host in hosts
        for name, spec in host.variables.data.items()
        if spec.tfrecord is not None
    }


def image_kind(reached: Reached) -> str:
    """Return ``gpu`` where the host has GPUs that may be used, else ``cpu``."""
    return "gpu" if reached.gpus else "cpu"


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

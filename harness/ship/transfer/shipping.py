"""Send one image to one host: nothing if the host has it, else only the missing layers."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from harness.engine import daemon
from harness.engine.daemon_words import DaemonWords
from harness.hosts.connection import Connection
from harness.ship.datasource import OnProgress
from harness.ship.slots import TransferSlots, refuse_stopped
from harness.ship.transfer.image_loading import (
    LoadRefused,
    PullRefused,
    holding,
    load_parts,
    prove_image,
    pull_image,
    remove_held,
    remove_image,
)
from harness.ship.transfer.image_sources import Order
from harness.ship.transfer.image_stream import CorruptBlob, Part, archive_bytes, build_parts
from harness.ship.transfer.presence import HostImage, HostImages, read_images, refuse_full_store
from harness.ship.transfer.shipment import CachedImage
from harness.values.errors import HostNotReady, HostUnreachable, ImageUnavailable
from harness.values.event import ImageShipped, speed_of
from harness.values.units import format_bytes

if TYPE_CHECKING:
    from docker.api.client import APIClient

_ATTEMPTS = 4
_PAUSES_S = (1.0, 3.0, 9.0)
_TELL_EVERY_S = 0.5
_CARRY = (
    "pull or build it on this machine's engine, or import it from a file (docker save NAME:TAG -o FILE): "
    "harness ship INVENTORY --image FILE"
)


class Target(Protocol):
    """The engine of a host; ``client`` connects if necessary, ``close`` discards a dead client."""

    host: str
    spoken: DaemonWords

    @property
    def client(self) -> APIClient: ...

    def close(self) -> None: ...


@dataclass
class ImageShip:
    """The transfer of one image to one host. ``connection`` is for checking the free space; ``stop`` ends it."""

    target: Target
    order: Order
    connection: Connection | None = None
    slots: TransferSlots = field(default_factory=TransferSlots)
    on_progress: OnProgress = lambda text, share: None
    stop: threading.Event = field(default_factory=threading.Event)
    _sent: int = 0
    _told: float = 0.0
    _notes: list[str] = field(default_factory=list)

    def run(self) -> ImageShipped:
        """Send the image, retrying after a lost connection. Raises ImageUnavailable, HostNotReady, HostUnreachable."""
        lost: HostUnreachable | None = None
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                shipped, sent = self._try(), self._sent
                speed = speed_of(sent, shipped.seconds)
                return replace(shipped, bytes_sent=sent, mb_per_s=speed, attempts=attempt, notes=tuple(self._notes))
            except HostUnreachable as error:
                lost = error
                self._notes.append(f"the connection was lost: {error.message}")
            except CorruptBlob as error:
                self._notes.append(f"{error}; it is fetched again")
                lost = HostUnreachable(str(error), where=self.target.host)
                if self.order.source is not None:
                    self.order.source.refill(error, self.on_progress)
            self.target.close()
            if attempt == _ATTEMPTS or self.stop.wait(_PAUSES_S[attempt - 1]):
                break
        assert lost is not None
        raise lost

    def _try(self) -> ImageShipped:
        source = self.order.source
        with self._talking("list its images"):
            remove_held(self.target.client)
            there = read_images(self.target.client)
        found = there.named(self.order.reference) if source is None else there.find(source.identity)
        if found is not None:
            if source is None:
                self._notes.append(not_compared(self.order.reference, found.identity))
            if self.order.reference not in found.references:
                self._name(found)
            return self._describe(found.identity, "present", bytes_saved=found.size)
        if self.order.registry is not None and (pulled := self._pull(self.order.registry)) is not None:
            return pulled
        if source is None:
            message = f"the image {self.order.reference} is not on the host"
            why = self.order.why_none or "and the controller does not have it, either"
            raise ImageUnavailable(f"{message}, {why}", where=self.target.host, hint=_CARRY)
        return self._send(source.open(self.on_progress), there)

    def _send(self, image: CachedImage, there: HostImages) -> ImageShipped:
        """Send the missing layers; where the engine refuses that, send all layers once."""
        shared = there.shared_layers(image.diff_ids)
        missing = image.diff_ids[shared:]
        needed = bytes_of(image, missing)
        with self.slots.take(needed, self._wait):
            begun = time.monotonic()
            method = "thin" if shared else "full"
            refused = self._load(image, missing, there.nearest(image.diff_ids), there)
            if refused is not None and shared:
                self._notes.append(f"the engine refused the missing layers alone ({refused.reason}): all are sent")
                method = "full"
                refused = self._load(image, image.diff_ids, None, there)
            if refused is not None:
                hint = f"on the host: {self.target.spoken.log}"
                message = f"the engine refused the image {self.order.reference}: {refused.reason}"
                raise ImageUnavailable(message, where=self.target.host, hint=hint)
            seconds = time.monotonic() - begun
        return self._describe(image.identity, method, bytes_needed=needed, bytes_saved=image.bytes - needed, s=seconds)

    def _load(
        self, image: CachedImage, diff_ids: tuple[str, ...], anchor: HostImage | None, there: HostImages
    ) -> LoadRefused | None:
        """Load and verify the image; where the engine refuses it, restore the previous state and return the refusal."""
        parts = build_parts(image, self.order.reference, diff_ids)
        size = bytes_of(image, diff_ids)
        with self._talking("load an image"):
            refuse_full_store(self.target.client, self.connection, size, self.target.spoken.room)
            try:
                self._load_held(parts, anchor)
                prove_image(self.target.client, self.order.reference, image)
            except LoadRefused as refused:
                self._undo(there)
                if refused.is_disk_full:
                    raise disk_full(self.target, size, refused.reason) from refused
                return refused
            except (CorruptBlob, HostNotReady):
                self.target.close()
                self._undo(there)
                raise
        return None

    def _load_held(self, parts: list[Part], anchor: HostImage | None) -> None:
        """Load the image; meanwhile protect the image with its other layers from being pruned. Raises LoadRefused."""
        from docker.errors import APIError

        client, total = self.target.client, archive_bytes(parts)
        before = self._sent
        if anchor is None:
            return load_parts(client, parts, lambda count: self._count(count, before, total))
        try:
            with holding(client, anchor.id, "anchor"):
                return load_parts(client, parts, lambda count: self._count(count, before, total))
        except APIError as error:
            raise LoadRefused(f"the image with its other layers was removed: {daemon.explain(error)}") from error

    def _undo(self, there: HostImages) -> None:
        """Restore the image's name to its previous state, so that it does not refer to a broken image."""
        before = there.named(self.order.reference)
        client = self.target.client
        now = read_images(client).named(self.order.reference)
        if now is not None and (before is None or now.id != before.id):
            remove_image(client, self.order.reference)
        if before is not None:
            self._name(before)

    def _pull(self, registry: str) -> ImageShipped | None:
        identity = None if self.order.source is None else self.order.source.identity
        with self.slots.take(0, self._wait), self._talking("pull an image"):
            begun = time.monotonic()
            self.on_progress(f"pulling {self.order.reference} from {registry}", None)
            try:
                found = pull_image(
                    self.target.client,
                    registry,
                    self.order.reference,
                    identity=identity,
                    definition=self.order.definition,
                )
            except PullRefused as error:
                self._notes.append(str(error))
                if self.order.source is None:
                    raise ImageUnavailable(str(error), where=self.target.host, hint=_CARRY) from error
                return None
            if identity is None:
                self._notes.append(not_compared(self.order.reference, found))
            return self._describe(found, "pulled", s=time.monotonic() - begun)

    def _name(self, image: HostImage) -> None:
        repository, _, tag = self.order.reference.rpartition(":")
        with self._talking("name an image"):
            self.target.client.tag(image.id, repository, tag, force=True)

    def _describe(
        self, identity: str, method: str, *, bytes_needed: int = 0, bytes_saved: int = 0, s: float = 0.0
    ) -> ImageShipped:
        host, image = self.target.host, self.order.reference
        return ImageShipped(host, method, bytes_needed, 0, s, bytes_saved, image=image, image_digest=identity)

    def _count(self, count: int, before: int, total: int) -> None:
        self._sent += count
        self._refuse_stopped()
        if time.monotonic() - self._told > _TELL_EVERY_S:
            self._told = time.monotonic()
            done = self._sent - before
            words = f"sending {self.order.reference}: {format_bytes(done)} of {format_bytes(total)}"
            self.on_progress(words, done / total)

    def _wait(self) -> None:
        self._refuse_stopped()
        self.on_progress(f"waiting for other transfers before {self.order.reference}", None)

    def _refuse_stopped(self) -> None:
        refuse_stopped(self.stop, "the image", self.target.host)

    def _talking(self, doing: str) -> AbstractContextManager[None]:
        return daemon.talking(self.target.host, doing, self.target.close, self.target.spoken)


def not_compared(reference: str, identity: str) -> str:
    """Return the note that an image is used only because of its name and label, which its maker chose."""
    return (
        f"the image {reference} (identity {identity[:12]}) is used without verification, because this machine has no "
        "image to compare it with (`harness image build` makes it)"
    )


def bytes_of(image: CachedImage, diff_ids: tuple[str, ...]) -> int:
    """Return the bytes of these layers, each counted once."""
    return sum({layer.digest: layer.size for layer in image.layers if f"sha256:{layer.digest}" in diff_ids}.values())


def disk_full(target: Target, size: int, reason: str) -> HostNotReady:
    """Build the error for an engine whose disk became full during a load."""
    needed = f"{format_bytes(size)} were to be sent, and loading needs about twice that temporarily"
    message = f"the disk of its images is full: {reason}; {needed}"
    return HostNotReady(message, where=target.host, hint=target.spoken.room)

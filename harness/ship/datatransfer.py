"""Send a data set from the controller to a host's scratch: only missing files, resumable, verified by hashes."""

from __future__ import annotations

import json
import posixpath
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.bench.protocol.bounded_json import parse_object
from harness.hosts.connection import Connection
from harness.hosts.own_folders import make_own_folder
from harness.hosts.temporary import temporary_folder
from harness.ship.datasource import ANNOTATIONS, FILES, OnProgress, SourceFile, SourceSet
from harness.ship.filetransfer import FileStamp, hash_files, list_files, read_known, send_files
from harness.ship.room import refuse_full
from harness.ship.slots import TransferSlots, refuse_stopped
from harness.values.errors import DataError, HostUnreachable
from harness.values.event import DataShipped, speed_of
from harness.values.units import format_bytes

if TYPE_CHECKING:
    from harness.inventory import DataSet

SHIPPED_FOLDER = "shipped"
"""Folder in scratch for data sets from the controller, by name."""
_MARK = "complete.json"
_FORMAT = 1
_ATTEMPTS = 4
_PAUSES_S = (1.0, 3.0, 9.0)
_MARGIN_BYTES = 64 * 2**20


@dataclass(frozen=True)
class ShippedData:
    """A data set that was sent completely to a host's scratch, with the fields of an inventory's data set.

    ``count`` and ``bytes`` are the number and the size of its images, None where an earlier version sent it.
    """

    folder: str | None
    images: str | None
    annotations: str | None
    fingerprint: str
    tfrecord: str | None = None
    image_feature: str | None = None
    label_feature: str | None = None
    generate: None = None
    split: str | None = None
    skip_unreadable: bool | None = None
    count: int | None = None
    bytes: int | None = None

    @classmethod
    def at(cls, base: str, kind: str, fingerprint: str, count: int | None, size: int | None) -> ShippedData:
        """Return the set of a kind below the folder ``base``."""
        files, labels = posixpath.join(base, FILES), posixpath.join(base, ANNOTATIONS)
        if kind == "coco":
            return cls(None, files, labels, fingerprint, count=count, bytes=size)
        if kind == "tfrecord":
            return cls(None, None, None, fingerprint, tfrecord=f"{files}/*", count=count, bytes=size)
        return cls(files, None, None, fingerprint, count=count, bytes=size)

    def read_like(self, source: DataSet | None) -> ShippedData:
        """Return the set with the reading options of the inventory's entry, unchanged where there is no entry."""
        if source is None:
            return self
        return replace(
            self,
            image_feature=source.image_feature,
            label_feature=source.label_feature,
            split=source.split if self.images else None,
            skip_unreadable=source.skip_unreadable,
        )


def shipped_folder(scratch: str, name: str) -> str:
    """Return the folder of a sent set on the host."""
    return posixpath.join(scratch, SHIPPED_FOLDER, name)


def find_shipped(connection: Connection, scratch: str, name: str) -> ShippedData | None:
    """Return the set of a name that was sent to a host; None where there is none, or it is incomplete."""
    base = shipped_folder(scratch, name)
    with temporary_folder() as here:
        target = here / _MARK
        try:
            connection.get(posixpath.join(base, _MARK), target)
            said = parse_object(target.read_text(encoding="utf-8", errors="replace"))
            is_ours = said["format"] == _FORMAT
            kind, fingerprint = str(said["kind"]), str(said["fingerprint"])
            count, size = (found if type(found := said.get(key)) is int else None for key in ("images", "bytes"))
        except (OSError, ValueError, KeyError, TypeError):
            return None
    return ShippedData.at(base, kind, fingerprint, count, size) if is_ours else None


@dataclass
class DataShip:
    """The transfer of one data set to one host's ``scratch``; ``stop`` ends it between two batches."""

    connection: Connection
    scratch: str
    source: SourceSet
    slots: TransferSlots = field(default_factory=TransferSlots)
    on_progress: OnProgress = lambda text, share: None
    stop: threading.Event = field(default_factory=threading.Event)
    _sent: int = 0
    _notes: list[str] = field(default_factory=list)

    @property
    def shipped(self) -> ShippedData:
        """Return the set as it will be on the host after the transfer."""
        source = self.source
        return ShippedData.at(self._base, source.kind, source.fingerprint, source.images, source.bytes)

    @property
    def _base(self) -> str:
        return shipped_folder(self.scratch, self.source.name)

    def run(self) -> DataShipped:
        """Send the missing files. Raises DataError, HostNotReady, HostUnreachable; files that arrived are kept."""
        first_needed: list[SourceFile] | None = None
        seconds = 0.0
        lost: HostUnreachable | None = None
        for attempt in range(1, _ATTEMPTS + 1):
            begun = time.monotonic()
            try:
                missing, extra = self._compare()
                first_needed = missing if first_needed is None else first_needed
                if missing or extra or not self._is_marked():
                    begun = self._transfer(missing, extra)
                seconds += time.monotonic() - begun
                return self._describe(first_needed, seconds, attempt)
            except HostUnreachable as error:
                lost = error
                self._notes.append(f"the connection was lost: {error.message}")
            if attempt == _ATTEMPTS or self.stop.wait(_PAUSES_S[attempt - 1]):
                break
        assert lost is not None
        raise lost

    def _compare(self) -> tuple[list[SourceFile], list[str]]:
        """Return the files that the host lacks, and the places of files that it has and should not have."""
        there = {
            place: stamp
            for place, stamp in list_files(self.connection, self._base).items()
            if place == ANNOTATIONS or place.startswith(f"{FILES}/")
        }
        known = read_known(self.connection, self._base) if there else {}
        wanted = {file.place: file for file in self.source.files}
        doubtful = [
            place
            for place, file in wanted.items()
            if place in there and there[place].size == file.size and not _is_known(known, place, there[place])
        ]
        size = sum(wanted[place].size for place in doubtful)
        if doubtful:
            self.on_progress(f"hashing {len(doubtful)} files on the host ({format_bytes(size)})", None)
        hashes = hash_files(self.connection, self._base, doubtful, size)
        hashes.update({p: known[p][1] for p in wanted if p in there and _is_known(known, p, there[p])})
        missing = [file for file in self.source.files if hashes.get(file.place) != file.sha256]
        return missing, [place for place in there if place not in wanted]

    def _transfer(self, missing: list[SourceFile], extra: list[str]) -> float:
        """Send files, then mark the set as complete; return the time at which the transfer began after waiting."""
        needed = sum(file.size for file in missing)
        with self.slots.take(needed, self._wait):
            begun = time.monotonic()
            hint = "free space there, or name another `scratch:` in the inventory"
            what = f"the data set {self.source.name}"
            refuse_full(self.connection, self._base, needed + _MARGIN_BYTES, what=what, hint=hint)
            make_own_folder(self.connection, self.scratch, self._base)
            self.connection.run(["rm", "-f", "--", posixpath.join(self._base, _MARK)])
            self._remove(extra)
            total = max(needed, 1)
            before = self._sent

            def count(sent: int) -> None:
                self._sent += sent
                done = min(self._sent - before, needed)
                self.on_progress(f"sending {format_bytes(done)} of {format_bytes(needed)}", done / total)
                self._refuse_stopped()

            send_files(self.connection, self._base, missing, self.source.folders, on_bytes=count)
            still, _ = self._compare()
            if still:
                hint = "check whether a program changes it here or on the host, then run the same command again"
                message = f"{len(still)} files of {self.source.name} differ from those sent, first {still[0].place}"
                raise DataError(message, where=self.connection.host, hint=hint)
            self._mark()
        return begun

    def _remove(self, extra: list[str]) -> None:
        for begin in range(0, len(extra), 500):
            paths = [posixpath.join(self._base, place) for place in extra[begin : begin + 500]]
            self.connection.run(["rm", "-f", "--", *paths])

    def _mark(self) -> None:
        said = {
            "format": _FORMAT,
            "name": self.source.name,
            "kind": self.source.kind,
            "fingerprint": self.source.fingerprint,
            "images": self.source.images,
            "classes": self.source.classes,
            "bytes": self.source.bytes,
        }
        self.connection.put(json.dumps(said, indent=1).encode(), posixpath.join(self._base, _MARK))

    def _is_marked(self) -> bool:
        shipped = find_shipped(self.connection, self.scratch, self.source.name)
        return shipped is not None and shipped.fingerprint == self.source.fingerprint

    def _wait(self) -> None:
        self._refuse_stopped()
        self.on_progress("waiting for other transfers", None)

    def _refuse_stopped(self) -> None:
        refuse_stopped(self.stop, f"data set {self.source.name}", self.connection.host)

    def _describe(self, missing: list[SourceFile], seconds: float, attempts: int) -> DataShipped:
        needed = sum(file.size for file in missing)
        return DataShipped(
            host=self.connection.host,
            data=self.source.name,
            fingerprint=self.source.fingerprint,
            files=len(missing),
            bytes_needed=needed,
            bytes_sent=self._sent,
            bytes_saved=self.source.bytes - needed,
            seconds=seconds if missing else 0.0,
            mb_per_s=speed_of(self._sent, seconds if missing else 0.0),
            attempts=attempts,
            notes=tuple(self._notes),
        )


def _is_known(known: dict[str, tuple[FileStamp, str]], place: str, stamp: FileStamp) -> bool:
    """Return whether a file has the size and time that it had when it was verified."""
    return place in known and known[place][0] == stamp

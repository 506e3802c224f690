"""The unpacked cache: each image saved once, each layer kept once, so that a ship reads plain files."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from harness.bench.protocol.atomic import write_file
from harness.engine.dockerinfo import image_digest, inspect_image
from harness.ship.base import explaining
from harness.ship.transfer.image_archive import ChunkReader, UnpackedImage, unpack_archive
from harness.ship.transfer.shipment import Blob, CachedImage
from harness.values.errors import ImageUnavailable

if TYPE_CHECKING:
    from docker.api.client import APIClient

_FORMAT = 1
_IMAGE_FILE = "image.json"
OnBytes = Callable[[int], None]
"""Called with the number of bytes that have come since the last call."""


def cache_folder() -> Path:
    """Where images are kept on the controller: ``~/.cache/harness/images``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness" / "images"


class ImageCache:
    """Images in a folder: ``blobs/sha256/<digest>`` and ``<identity>/image.json``, which is written last.

    Safe for several threads and several controllers: one fills an image while the others wait; an image is
    there whole or not at all.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder()

    def find(self, identity: str) -> CachedImage | None:
        """An image that is there with all its layers; their content is proven when it is read."""
        try:
            said = json.loads((self.folder / identity / _IMAGE_FILE).read_text(encoding="utf-8"))
            layers = tuple(self._blob(one["digest"], int(one["size"])) for one in said["layers"])
            config = self._path(said["config"]).read_bytes()
        except (OSError, ValueError, KeyError, TypeError):
            return None
        is_whole = all(layer.path.is_file() and layer.path.stat().st_size == layer.size for layer in layers)
        if not is_whole or said.get("format") != _FORMAT or hashlib.sha256(config).hexdigest() != said["config"]:
            return None
        return CachedImage(identity, config, said["config"], layers, tuple(said.get("references") or ()))

    def find_reference(self, reference: str) -> CachedImage | None:
        """The image that came under a name; the newest, where there are several."""
        found: list[tuple[float, CachedImage]] = []
        for file in self.folder.glob(f"*/{_IMAGE_FILE}"):
            image = self.find(file.parent.name)
            if image is not None and reference in image.references:
                found.append((file.stat().st_mtime, image))
        return max(found, key=lambda one: one[0])[1] if found else None

    def fill_from_engine(self, client: APIClient, reference: str, on_bytes: OnBytes | None = None) -> CachedImage:
        """The image of an engine, saved from it unless it is here. Raises ImageUnavailable, HostUnreachable."""
        with explaining(f"save {reference}"):
            identity = image_digest(inspect_image(client, reference))
        with self._filling(identity):
            kept = self.find(identity)
            if kept is not None:
                return self._note_reference(kept, reference)
            with explaining(f"save {reference}"):
                stream = io.BufferedReader(ChunkReader(client.get_image(reference)), 2**20)
                image = self._fill(stream, f"the image {reference}", (reference,), on_bytes)
        if image.identity != identity:
            message = f"{reference} is another image than it was when it was looked for"
            raise ImageUnavailable(message, hint="somebody built it anew: run the same command again")
        return image

    def fill_from_file(self, file: Path, on_bytes: OnBytes | None = None) -> CachedImage:
        """The image of an archive that was carried by hand: docker-archive or OCI layout, gzip or not."""
        try:
            with file.open("rb") as stream, self._filling("file"):
                return self._fill(stream, str(file), (), on_bytes)
        except OSError as error:
            if isinstance(error, BlockingIOError) or error.errno == errno.ENOSPC:
                raise
            hint = "name a file that `docker save NAME:TAG -o FILE` made"
            raise ImageUnavailable(f"{file} cannot be read: {error.strerror or error}", hint=hint) from error

    def drop(self, blob: Blob) -> None:
        """Forget a layer that is not what it should be, so that it is fetched again."""
        blob.path.unlink(missing_ok=True)

    def _fill(self, stream: IO[bytes], name: str, references: tuple[str, ...], on_bytes: OnBytes | None) -> CachedImage:
        try:
            with self._scratch() as scratch:
                unpacked = unpack_archive(
                    stream,
                    scratch,
                    name=name,
                    is_known=lambda digest: self._path(digest).is_file(),
                    on_bytes=on_bytes or (lambda count: None),
                )
                return self._keep(unpacked, references)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            hint = f"free some space where {self.folder} lies, or set XDG_CACHE_HOME to another disk"
            raise ImageUnavailable(f"no room to unpack {name}: {error.strerror}", hint=hint) from error

    def _keep(self, unpacked: UnpackedImage, references: tuple[str, ...]) -> CachedImage:
        """Move what was unpacked to its places; the description comes last."""
        layers: list[Blob] = []
        for member in unpacked.layers:
            path = self._path(member.digest)
            if member.path is not None and member.path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                member.path.replace(path)
            layers.append(Blob(member.digest, path.stat().st_size, path))
        digest = hashlib.sha256(unpacked.config).hexdigest()
        self._write(self._path(digest), unpacked.config)
        names = tuple(dict.fromkeys((*references, *unpacked.references)))
        image = CachedImage(unpacked.identity, unpacked.config, digest, tuple(layers), names)
        self._describe(image)
        return image

    def _note_reference(self, image: CachedImage, reference: str) -> CachedImage:
        if reference in image.references:
            return image
        names = (*image.references, reference)
        named = CachedImage(image.identity, image.config, image.config_digest, image.layers, names)
        self._describe(named)
        return named

    def _describe(self, image: CachedImage) -> None:
        said = {
            "format": _FORMAT,
            "identity": image.identity,
            "config": image.config_digest,
            "references": list(image.references),
            "layers": [{"digest": layer.digest, "size": layer.size} for layer in image.layers],
        }
        self._write(self.folder / image.identity / _IMAGE_FILE, json.dumps(said, indent=1).encode())

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, content, mode=0o600)

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder for unpacking; those of controllers that were killed go with it."""
        parent = self.folder / "unpacking"
        parent.mkdir(parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(dir=parent))
        with (path / ".alive").open("w") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX)
            _sweep(parent, path)
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def _filling(self, name: str) -> Iterator[None]:
        """One at a time fills one image; a lock of a process that died is free."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{name}.lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _blob(self, digest: str, size: int) -> Blob:
        return Blob(digest, size, self._path(digest))

    def _path(self, digest: str) -> Path:
        if not digest.isalnum():
            raise ValueError(f"{digest!r} is no digest")
        return self.folder / "blobs" / "sha256" / digest


def _sweep(parent: Path, mine: Path) -> None:
    """Remove what killed controllers left half unpacked: nobody holds their lock."""
    for other in parent.iterdir():
        if other == mine:
            continue
        with contextlib.suppress(OSError), (other / ".alive").open("r") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(other, ignore_errors=True)

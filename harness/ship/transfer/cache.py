"""The unpacked image cache: each image is saved once and each layer kept once, so that transfers read plain files."""

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
"""Called with the number of bytes since the last call."""


def cache_folder() -> Path:
    """Return the folder for images on the controller: ``~/.cache/harness/images``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness" / "images"


class ImageCache:
    """A cache of images in a folder: ``blobs/sha256/<digest>`` and ``<identity>/image.json``, which is written last.

    Safe for several threads and controllers: one adds an image while the others wait, and an incomplete image does not
    count.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder()

    def find(self, identity: str) -> CachedImage | None:
        """Return a complete image; None where it or a layer is missing. Contents are verified when they are read."""
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
        """Return the newest image with a name; None where there is none."""
        found: list[tuple[float, CachedImage]] = []
        for file in self.folder.glob(f"*/{_IMAGE_FILE}"):
            image = self.find(file.parent.name)
            if image is not None and reference in image.references:
                found.append((file.stat().st_mtime, image))
        return max(found, key=lambda one: one[0])[1] if found else None

    def fill_from_engine(self, client: APIClient, reference: str, on_bytes: OnBytes | None = None) -> CachedImage:
        """Return an engine's image, saved into the cache if missing. Raises ImageUnavailable, HostUnreachable."""
        with explaining(client, f"save {reference}"):
            identity = image_digest(inspect_image(client, reference))
        with self._filling(identity):
            kept = self.find(identity)
            if kept is not None:
                return self._note_reference(kept, reference)
            with explaining(client, f"save {reference}"):
                stream = io.BufferedReader(ChunkReader(client.get_image(reference)), 2**20)
                image = self._fill(stream, f"the image {reference}", (reference,), on_bytes)
        if image.identity != identity:
            message = f"the image {reference} changed while it was saved"
            raise ImageUnavailable(message, hint="it was probably rebuilt: run the same command again")
        return image

    def fill_from_file(self, file: Path, on_bytes: OnBytes | None = None) -> CachedImage:
        """Return the image of a file (docker-archive or OCI layout, also compressed), saved into the cache.

        Raises ImageUnavailable.
        """
        try:
            with file.open("rb") as stream, self._filling("file"):
                return self._fill(stream, str(file), (), on_bytes)
        except OSError as error:
            if isinstance(error, BlockingIOError) or error.errno == errno.ENOSPC:
                raise
            hint = "name a file that `docker save NAME:TAG -o FILE` made"
            raise ImageUnavailable(f"{file} cannot be read: {error.strerror or error}", hint=hint) from error

    def drop(self, blob: Blob) -> None:
        """Remove a damaged layer, so that it is fetched again."""
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
            hint = f"free some space on the disk of {self.folder}, or set XDG_CACHE_HOME to another disk"
            raise ImageUnavailable(f"no space to unpack {name}: {error.strerror}", hint=hint) from error

    def _keep(self, unpacked: UnpackedImage, references: tuple[str, ...]) -> CachedImage:
        """Move unpacked files to their places, and write the description last."""
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
        """Context manager: yield a folder for unpacking, and remove it at the end, with those of killed controllers."""
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
        """Context manager: hold the lock for adding one image; the lock of a dead process is released by the kernel."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{name}.lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _blob(self, digest: str, size: int) -> Blob:
        return Blob(digest, size, self._path(digest))

    def _path(self, digest: str) -> Path:
        if not digest.isalnum():
            raise ValueError(f"{digest!r} is not a digest")
        return self.folder / "blobs" / "sha256" / digest


def _sweep(parent: Path, mine: Path) -> None:
    """Remove the unpacking folders of killed controllers, whose locks are not held."""
    for other in parent.iterdir():
        if other == mine:
            continue
        with contextlib.suppress(OSError), (other / ".alive").open("r") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(other, ignore_errors=True)

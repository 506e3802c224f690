"""Stream the tar that is sent, docker-archive and OCI layout in one, without writing it to a disk."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from harness.ship.transfer.image_archive import canonical_name
from harness.ship.transfer.shipment import SLICE_BYTES, Blob, CachedImage

_BLOCK = 512
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


class CorruptBlob(Exception):
    """Raised when a layer in the cache differs from the digest in its name."""

    def __init__(self, blob: Blob) -> None:
        super().__init__(f"layer {blob.digest[:12]} in the cache is damaged")
        self.blob = blob


@dataclass(frozen=True)
class Part:
    """A file of the tar; ``content`` is either bytes or a file of the cache."""

    name: str
    content: bytes | Blob

    @property
    def size(self) -> int:
        """Return the size of the content in bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.size


def build_parts(image: CachedImage, reference: str, diff_ids: Collection[str]) -> list[Part]:
    """Return the files of the tar: descriptions for both kinds of image store, and the layers with the given diff ids.

    Docker's classic store reads ``manifest.json`` and opens a layer only where it does not know the layer's chain.
    containerd's store reads ``index.json`` and looks for each blob in its own store first.
    """
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST_TYPE,
            "config": _describe(_CONFIG_TYPE, image.config_digest, len(image.config)),
            "layers": [_describe(_LAYER_TYPE, layer.digest, layer.size) for layer in image.layers],
        },
        separators=(",", ":"),
    ).encode()
    manifest_digest = hashlib.sha256(manifest).hexdigest()
    tag = reference.rpartition(":")[2]
    named = {"io.containerd.image.name": canonical_name(reference), "org.opencontainers.image.ref.name": tag}
    entry = {**_describe(_MANIFEST_TYPE, manifest_digest, len(manifest)), "annotations": named}
    index = {"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": [entry]}
    docker = {
        "Config": _blob_name(image.config_digest),
        "RepoTags": [reference],
        "Layers": [_blob_name(layer.digest) for layer in image.layers],
    }
    sent = {layer.digest: layer for layer in image.layers if f"sha256:{layer.digest}" in diff_ids}
    return [
        Part("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
        Part("index.json", json.dumps(index).encode()),
        Part("manifest.json", json.dumps([docker]).encode()),
        Part(_blob_name(manifest_digest), manifest),
        Part(_blob_name(image.config_digest), image.config),
        *(Part(_blob_name(digest), layer) for digest, layer in sent.items()),
    ]


def archive_bytes(parts: list[Part]) -> int:
    """Return the size of the tar in bytes."""
    return sum(_BLOCK + part.size + -part.size % _BLOCK for part in parts) + 2 * _BLOCK


def stream_parts(parts: list[Part], on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the tar in slices of at most ``SLICE_BYTES``; ``on_bytes`` is called with the size of each consumed slice.

    Raises CorruptBlob before the end of a damaged layer, so that a tar with a damaged layer is never complete.
    """
    for part in parts:
        for piece in _stream_part(part):
            yield piece
            on_bytes(len(piece))
    yield b"\0" * 2 * _BLOCK
    on_bytes(2 * _BLOCK)


def _stream_part(part: Part) -> Iterator[bytes]:
    entry = tarfile.TarInfo(part.name)
    entry.size, entry.mode = part.size, 0o644
    yield entry.tobuf(format=tarfile.GNU_FORMAT)
    if isinstance(part.content, bytes):
        for begin in range(0, part.size, SLICE_BYTES):
            yield part.content[begin : begin + SLICE_BYTES]
    else:
        yield from _stream_blob(part.content)
    if part.size % _BLOCK:
        yield b"\0" * (-part.size % _BLOCK)


def _stream_blob(blob: Blob) -> Iterator[bytes]:
    """Yield a layer in slices, and verify its digest before the last one. Raises CorruptBlob."""
    digest, left = hashlib.sha256(), blob.size
    try:
        with blob.path.open("rb", buffering=0) as stream:
            while left:
                piece = stream.read(min(SLICE_BYTES, left))
                if not piece:
                    raise CorruptBlob(blob)
                digest.update(piece)
                left -= len(piece)
                if not left and digest.hexdigest() != blob.digest:
                    raise CorruptBlob(blob)
                yield piece
    except OSError as error:
        raise CorruptBlob(blob) from error


def _describe(kind: str, digest: str, size: int) -> dict[str, object]:
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": size}


def _blob_name(digest: str) -> str:
    return f"blobs/sha256/{digest}"

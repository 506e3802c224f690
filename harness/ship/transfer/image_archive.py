"""Reads an image archive (docker-archive or OCI layout, as a stream) into loose files, hashed on their way."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from harness.ship.transfer.shipment import identity_of_config
from harness.values.errors import ImageUnavailable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PIECE = 2**20
_SMALL = 8 * 2**20
"""What may be a manifest or a configuration; layers are never read as such."""
_ALL_SMALL = 64 * 2**20
"""Of all such texts, which are kept in memory: an image for every platform has some kilobytes of them."""
_MOST_MEMBERS = 10_000
"""Files, folders and links: an image has at most 127 layers, a docker-archive three files for each."""
_MOST_BYTES = 256 * 2**30
"""Without compression: the largest images with CUDA are a tenth. A megabyte of gzip may hold a gigabyte."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_T = TypeVar("_T")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "AMD64": "amd64"}


@dataclass(frozen=True)
class Member:
    """A file of the archive, written to ``path`` without compression; None where a blob of that digest is known."""

    digest: str
    size: int
    path: Path | None


@dataclass(frozen=True)
class UnpackedImage:
    """What an archive holds: configuration, names, and its layers by diff id (hex), in order."""

    identity: str
    config: bytes
    layers: tuple[Member, ...]
    references: tuple[str, ...]


class _DockerManifest(BaseModel):
    """An image in docker-archive's ``manifest.json``: files of the archive, and names."""

    Config: str
    Layers: list[str]
    RepoTags: list[str] | None = None


class _Platform(BaseModel):
    architecture: str | None = None


class _Descriptor(BaseModel):
    """What an OCI index or manifest says of a blob."""

    digest: str
    platform: _Platform | None = None
    annotations: dict[str, str] | None = None

    @property
    def path(self) -> str:
        """The blob's file in the archive."""
        return "blobs/" + self.digest.replace(":", "/")

    @property
    def architecture(self) -> str | None:
        """Of what processor an image is; None where that is not said."""
        return None if self.platform is None else self.platform.architecture


class _Index(BaseModel):
    """An OCI index: images, or further indexes."""

    manifests: list[_Descriptor] | None = None


class _Manifest(BaseModel):
    """An OCI manifest: one image."""

    config: _Descriptor
    layers: list[_Descriptor]


class ChunkReader(io.RawIOBase):
    """Chunks of bytes as a file to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill ``buffer`` as far as one chunk goes."""
        target = memoryview(buffer).cast("B")
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def unpack_archive(
    stream: IO[bytes],
    folder: Path,
    *,
    name: str,
    is_known: Callable[[str], bool] = lambda digest: False,
    on_bytes: Callable[[int], None] = lambda count: None,
) -> UnpackedImage:
    """Read the one image of an archive; its layers lie in ``folder`` afterwards. Raises ImageUnavailable.

    ``name`` says in errors what is read; ``is_known(digest)`` tells of blobs that need not be written.
    """
    files, texts = _read_members(stream, folder, name, is_known, on_bytes)
    if "manifest.json" in texts:
        config_name, layers, references = _choose_docker(texts["manifest.json"], name)
    elif "index.json" in texts:
        config_name, layers, references = _choose_oci(texts, name)
    else:
        raise _broken(name, "it holds neither manifest.json nor index.json", hint="make it with `docker save`")
    config = texts.get(config_name)
    if config is None:
        raise _broken(name, f"its configuration {config_name} is missing")
    return UnpackedImage(
        identity=_checked(lambda: identity_of_config(config), name),
        config=config,
        layers=_match_layers(config, layers, files, name, is_known),
        references=references,
    )


def _match_layers(
    config: bytes, layers: list[str], files: dict[str, Member], name: str, is_known: Callable[[str], bool]
) -> tuple[Member, ...]:
    """Each layer's file, its content proven by the configuration's diff ids."""
    diff_ids = [str(one).removeprefix("sha256:") for one in json.loads(config).get("rootfs", {}).get("diff_ids") or ()]
    if len(diff_ids) != len(layers):
        raise _broken(name, f"its manifest names {len(layers)} layers and its configuration {len(diff_ids)}")
    matched: list[Member] = []
    for diff_id, layer in zip(diff_ids, layers, strict=True):
        member = files.get(layer)
        if member is None:
            if not is_known(diff_id):
                raise _broken(name, f"layer {layer} is missing")
            member = Member(diff_id, -1, None)
        if member.digest != diff_id:
            raise _broken(name, f"layer {layer} is corrupt: its content is {member.digest}, not {diff_id}")
        matched.append(member)
    return tuple(matched)


def _read_members(
    stream: IO[bytes], folder: Path, name: str, is_known: Callable[[str], bool], on_bytes: Callable[[int], None]
) -> tuple[dict[str, Member], dict[str, bytes]]:
    """All files of the archive: large ones on disk, small ones (also) as text, links resolved."""
    files: dict[str, Member] = {}
    texts: dict[str, bytes] = {}
    links: dict[str, str] = {}
    room = _MOST_BYTES
    try:
        with tarfile.open(fileobj=stream, mode="r|*", bufsize=_PIECE) as archive:
            for count, entry in enumerate(archive, start=1):
                if count > _MOST_MEMBERS or sum(map(len, texts.values())) > _ALL_SMALL:
                    raise _broken(name, "it holds more files than any image")
                path = posixpath.normpath(entry.name)
                if entry.issym() or entry.islnk():
                    above = posixpath.dirname(path) if entry.issym() else ""
                    links[path] = posixpath.normpath(posixpath.join(above, entry.linkname))
                elif entry.isfile():
                    source = archive.extractfile(entry)
                    if source is None:
                        continue
                    place = folder / f"{len(files)}"
                    files[path], text = _read_member(source, path, place, is_known, on_bytes, room)
                    room -= max(0, files[path].size)
                    if text is not None:
                        texts[path] = text
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _broken(name, f"it cannot be read to its end ({error})") from error
    for path, target in links.items():
        if target in files:
            files[path] = files[target]
        if target in texts:
            texts[path] = texts[target]
    return files, texts


def _read_member(
    source: IO[bytes],
    path: str,
    place: Path,
    is_known: Callable[[str], bool],
    on_bytes: Callable[[int], None],
    most_bytes: int,
) -> tuple[Member, bytes | None]:
    """Write one file without its compression, hashed; and its text where it is small."""
    first = source.read(_PIECE)
    named = path.removeprefix("blobs/sha256/") if path.startswith("blobs/sha256/") else ""
    if named and len(first) == _PIECE and is_known(named):
        while piece := source.read(_PIECE):
            on_bytes(len(piece))
        return Member(named, -1, None), None
    if first.startswith(_ZSTD):
        raise _broken(path, "it is compressed with zstd", hint="make the archive with `docker save`")
    unzip = _Gunzip() if first.startswith(_GZIP) else None
    digest, size, text = hashlib.sha256(), 0, bytearray()
    with place.open("wb") as target:
        piece = first
        while piece:
            on_bytes(len(piece))
            for data in unzip.read(piece) if unzip else (piece,):
                digest.update(data)
                target.write(data)
                size += len(data)
                if size <= _SMALL:
                    text += data
                if size > most_bytes:
                    raise _broken(path, f"without compression it is larger than {_MOST_BYTES} bytes")
            piece = source.read(_PIECE)
        if unzip and not unzip.is_whole:
            raise EOFError(f"{path} is cut off")
    return Member(digest.hexdigest(), size, place), bytes(text) if size <= _SMALL else None


class _Gunzip:
    """gzip, of one member or of many (some builders write a member a chunk)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    @property
    def is_whole(self) -> bool:
        return self._member.eof

    def read(self, piece: bytes) -> Iterator[bytes]:
        """What a piece holds, in parts that are no larger than a piece."""
        data = b""
        while piece or (len(data) == _PIECE and not self._member.eof):  # it holds back what was more than a part
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            if data := self._member.decompress(piece, _PIECE):
                yield data
            piece = self._member.unconsumed_tail or self._member.unused_data


def _choose_docker(text: bytes, name: str) -> tuple[str, list[str], tuple[str, ...]]:
    """Configuration, layers and names out of docker-archive's manifest.json."""
    images = _checked(lambda: TypeAdapter(list[_DockerManifest]).validate_json(text), name)
    if len(images) != 1:
        raise _broken(name, f"it holds {len(images)} images", hint="save one: docker save NAME:TAG -o FILE")
    image = images[0]
    layers = [posixpath.normpath(layer) for layer in image.Layers]
    return posixpath.normpath(image.Config), layers, tuple(image.RepoTags or ())


def _choose_oci(texts: dict[str, bytes], name: str) -> tuple[str, list[str], tuple[str, ...]]:
    """The same out of an OCI layout; of several platforms this machine's own."""
    found = _checked(lambda: _find_images(texts, _Index.model_validate_json(texts["index.json"])), name)
    if len(found) > 1:
        wanted = _ARCHITECTURES.get(platform.machine(), platform.machine())
        found = [descriptor for descriptor in found if descriptor.architecture == wanted]
    if len(found) != 1:
        raise _broken(name, f"{len(found)} of its images suit this platform", hint="copy one image into the layout")
    manifest = _checked(lambda: _Manifest.model_validate_json(texts[found[0].path]), name)
    names = found[0].annotations or {}
    reference = names.get("io.containerd.image.name") or names.get("org.opencontainers.image.ref.name") or ""
    references = (familiar_name(reference),) if ":" in reference else ()
    return manifest.config.path, [layer.path for layer in manifest.layers], references


def _find_images(texts: dict[str, bytes], index: _Index) -> list[_Descriptor]:
    """Each image below an index; attestations are none."""
    found: list[_Descriptor] = []
    for descriptor in index.manifests or ():
        text = texts.get(descriptor.path)
        if text is None or descriptor.architecture == "unknown":
            continue
        inner = _Index.model_validate_json(text)
        if inner.manifests is None:
            found.append(descriptor)
        for one in _find_images(texts, inner):
            notes = {**(descriptor.annotations or {}), **(one.annotations or {})}
            found.append(one.model_copy(update={"annotations": notes}))
    return found


def familiar_name(reference: str) -> str:
    """``docker.io/library/debian:12`` as users write it."""
    for prefix in ("docker.io/library/", "docker.io/"):
        if reference.startswith(prefix):
            return reference.removeprefix(prefix)
    return reference


def canonical_name(reference: str) -> str:
    """The name as containerd keeps it: with registry and, for Docker's own images, ``library/``."""
    head, slash, _ = reference.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        return reference
    return f"docker.io/{reference}" if slash else f"docker.io/library/{reference}"


def _checked(read: Callable[[], _T], name: str) -> _T:
    try:
        return read()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _broken(name, f"its description cannot be read ({place}: {first['msg']})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(name, f"its description cannot be read ({type(error).__name__}: {error})") from error


def _broken(name: str, reason: str, hint: str = "make it again with `docker save`") -> ImageUnavailable:
    return ImageUnavailable(f"{name} cannot be used as an image: {reason}", hint=hint)

"""Reads an image archive (docker-archive or OCI layout, as a stream) into loose files, hashed on their way.

Archives are carried by hand and come from anywhere: what is held in memory is bounded, whatever they unpack to.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import platform
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, TypeVar, cast

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from harness.ship.transfer.shipment import identity_of_config
from harness.values.errors import ImageUnavailable
from harness.values.text import clean_text

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PIECE = 2**20
_SMALL = 8 * 2**20
"""What may be a manifest or a configuration; layers are never read as such."""
_ALL_SMALL = 32 * 2**20
"""Of all manifests and configurations together: an image's have some kilobytes."""
_MOST_MEMBERS = 20_000
"""Files, folders and links: an image has one for each of at most 127 layers, and some beside them."""
_MOST_HEADERS = 16 * 2**20
"""Of long names and remarks before files; ``tarfile`` keeps all of it in memory, however long it says it is."""
_MOST_BYTES = 500 * 2**30
"""Of all layers; the largest images have some 50 GiB."""
_MOST_GZIP_MEMBERS = 1_000_000
_SLICE = 64 * 2**10
"""What is unpacked at once: its rest is copied for each member of it."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_DAMAGED = (tarfile.TarError, EOFError, ValueError, RecursionError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
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


_Digest = Annotated[str, Field(pattern=r"^[a-z0-9]{1,16}:[0-9a-f]{32,128}$")]


class _RootFs(BaseModel):
    diff_ids: list[_Digest] | None = None


class _RunConfig(BaseModel):
    Labels: dict[str, str] | None = None


class _Configuration(BaseModel):
    """What is read of an image's configuration."""

    rootfs: _RootFs | None = None
    config: _RunConfig | None = None


class _DockerManifest(BaseModel):
    """An image in docker-archive's ``manifest.json``: files of the archive, and names."""

    Config: str
    Layers: list[str]
    RepoTags: list[str] | None = None


class _Platform(BaseModel):
    architecture: str | None = None


class _Descriptor(BaseModel):
    """What an OCI index or manifest says of a blob."""

    digest: _Digest
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
        raise _broken(name, f"its configuration {clean_text(config_name)} is missing")
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
    said = _checked(lambda: _Configuration.model_validate_json(config), name)
    diff_ids = [one.removeprefix("sha256:") for one in (said.rootfs.diff_ids if said.rootfs else None) or ()]
    if len(diff_ids) != len(layers):
        raise _broken(name, f"its manifest names {len(layers)} layers and its configuration {len(diff_ids)}")
    matched: list[Member] = []
    for diff_id, layer in zip(diff_ids, layers, strict=True):
        member = files.get(layer)
        if member is None:
            if not is_known(diff_id):
                raise _broken(name, f"layer {clean_text(layer)} is missing")
            member = Member(diff_id, -1, None)
        if member.digest != diff_id:
            raise _broken(name, f"layer {clean_text(layer)} is corrupt: its content is {member.digest}, not {diff_id}")
        matched.append(member)
    return tuple(matched)


def _read_members(
    stream: IO[bytes], folder: Path, name: str, is_known: Callable[[str], bool], on_bytes: Callable[[int], None]
) -> tuple[dict[str, Member], dict[str, bytes]]:
    """All files of the archive: large ones on disk, small ones (also) as text, links resolved."""
    files: dict[str, Member] = {}
    texts: dict[str, bytes] = {}
    links: dict[str, str] = {}
    left, left_text = _MOST_BYTES, _ALL_SMALL
    try:
        with tarfile.open(fileobj=_unpacked(stream), mode="r|", bufsize=_PIECE, tarinfo=_bounded_headers()) as archive:
            for count, entry in enumerate(archive):
                if count == _MOST_MEMBERS or entry.issparse():
                    raise tarfile.ReadError("it holds more files than any image, or other ones")
                path = posixpath.normpath(entry.name)
                if entry.issym() or entry.islnk():
                    above = posixpath.dirname(path) if entry.issym() else ""
                    links[path] = posixpath.normpath(posixpath.join(above, entry.linkname))
                elif entry.isfile():
                    source = archive.extractfile(entry)
                    if source is None:
                        continue
                    place = folder / f"{len(files)}"
                    files[path], text = _read_member(source, path, place, is_known, on_bytes, left)
                    left -= max(0, files[path].size)
                    if text is not None:
                        texts[path] = text
                        left_text -= len(text)
                        if left_text < 0:
                            raise tarfile.ReadError("it holds more files than any image that are no layers")
    except _DAMAGED as error:
        raise _broken(name, f"it cannot be read to its end ({clean_text(error)})") from error
    for path, target in links.items():
        if target in files:
            files[path] = files[target]
        if target in texts:
            texts[path] = texts[target]
    return files, texts


def _unpacked(stream: IO[bytes]) -> IO[bytes]:
    """The archive without its compression, unpacked a little at a time: ``tarfile`` would unpack whole pieces."""
    whole = io.BufferedReader(cast("io.RawIOBase", stream), _PIECE)
    begins = whole.peek(8)
    if begins.startswith(_GZIP):
        return cast("IO[bytes]", gzip.open(whole))
    if begins.startswith(b"BZh"):
        return bz2.open(whole)
    return lzma.open(whole) if begins.startswith(b"\xfd7zXZ\0") else whole


def _bounded_headers() -> type[tarfile.TarInfo]:
    """The headers of one archive, which refuse to be read beyond what an image's have."""
    left = _MOST_HEADERS

    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Header:
            nonlocal left
            header = super().frombuf(buf, encoding, errors)
            is_more = not (header.isreg() or header.isdir() or header.issym() or header.islnk())
            left -= tarfile.BLOCKSIZE + (header.size if is_more else 0)
            if left < 0:
                raise tarfile.ReadError("its headers are longer than those of any image")
            return header

    return Header


def _read_member(
    source: IO[bytes],
    path: str,
    place: Path,
    is_known: Callable[[str], bool],
    on_bytes: Callable[[int], None],
    most: int,
) -> tuple[Member, bytes | None]:
    """Write one file of at most ``most`` bytes without its compression, hashed; and its text where it may be JSON."""
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
                if size > most:
                    raise tarfile.ReadError(f"without compression it is larger than {_MOST_BYTES >> 30} GiB")
                if size <= _SMALL:
                    text += data
            piece = source.read(_PIECE)
        if unzip and not unzip.is_whole:
            raise EOFError(f"{path} is cut off")
    is_text = size <= _SMALL and text[:64].lstrip().startswith((b"{", b"["))
    return Member(digest.hexdigest(), size, place), bytes(text) if is_text else None


class _Gunzip:
    """gzip, of one member or of many (some builders write a member a chunk)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._members = 1

    @property
    def is_whole(self) -> bool:
        return self._member.eof

    def read(self, piece: bytes) -> Iterator[bytes]:
        """Unpack a piece, and yield what it holds a little at a time."""
        for begin in range(0, len(piece), _SLICE):
            rest, data = piece[begin : begin + _SLICE], b""
            while rest or (len(data) == _PIECE and not self._member.eof):  # it holds back what was more than asked for
                if self._member.eof:
                    self._member, self._members = zlib.decompressobj(wbits=31), self._members + 1
                    if self._members > _MOST_GZIP_MEMBERS:
                        raise tarfile.ReadError("a layer is packed in more pieces than any image's")
                if data := self._member.decompress(rest, _PIECE):
                    yield data
                rest = self._member.unconsumed_tail or self._member.unused_data


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
    """Each image below an index, once; attestations are none."""
    found: dict[str, _Descriptor] = {}
    seen: set[str] = set()
    places = [*reversed(index.manifests or ())]
    while places:
        descriptor = places.pop()
        text = texts.get(descriptor.path)
        if text is None or descriptor.architecture == "unknown" or descriptor.digest in seen:
            continue
        seen.add(descriptor.digest)  # an index may name itself
        inner = _Index.model_validate_json(text)
        if inner.manifests is None:
            found[descriptor.digest] = descriptor
        for one in reversed(inner.manifests or ()):
            notes = {**(descriptor.annotations or {}), **(one.annotations or {})}
            places.append(one.model_copy(update={"annotations": notes}))
    return [*found.values()]


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
        raise _broken(name, f"its description cannot be read ({clean_text(place, 80)}: {first['msg']})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = clean_text(f"{type(error).__name__}: {error}")
        raise _broken(name, f"its description cannot be read ({reason})") from error


def _broken(name: str, reason: str, hint: str = "make it again with `docker save`") -> ImageUnavailable:
    return ImageUnavailable(f"{name} cannot be used as an image: {reason}", hint=hint)

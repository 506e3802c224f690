"""Unpack an image archive (docker-archive or OCI layout, as a stream) into files, which are hashed meanwhile.

Archives are not trusted: memory use is limited, whatever they unpack to.
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
"""The most bytes of a file that may be a manifest or a configuration."""
_ALL_SMALL = 32 * 2**20
"""The most bytes of all manifests and configurations together; those of an image have some kilobytes."""
_MOST_MEMBERS = 20_000
"""The most files, folders and links; an image has one file for each of at most 127 layers, and some others."""
_MOST_HEADERS = 16 * 2**20
"""The most bytes of headers (long names, comments); ``tarfile`` keeps a header of any length in memory."""
_MOST_BYTES = 500 * 2**30
"""The most bytes of all layers; the largest images have about 50 GiB."""
_MOST_GZIP_MEMBERS = 1_000_000
_SLICE = 64 * 2**10
"""How many compressed bytes are unpacked at once; zlib copies the rest of them for each gzip member."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_DAMAGED = (tarfile.TarError, EOFError, ValueError, RecursionError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
_T = TypeVar("_T")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "AMD64": "amd64"}


@dataclass(frozen=True)
class Member:
    """A file of the archive, written uncompressed to ``path``; None where a blob of that digest is known."""

    digest: str
    size: int
    path: Path | None


@dataclass(frozen=True)
class UnpackedImage:
    """The content of an archive: configuration, names, and layers by diff id (hex), in order."""

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
    """The used fields of an image's configuration."""

    rootfs: _RootFs | None = None
    config: _RunConfig | None = None


class _DockerManifest(BaseModel):
    """An image in docker-archive's ``manifest.json``: its files in the archive, and its names."""

    Config: str
    Layers: list[str]
    RepoTags: list[str] | None = None


class _Platform(BaseModel):
    architecture: str | None = None


class _Descriptor(BaseModel):
    """The description of a blob in an OCI index or manifest."""

    digest: _Digest
    platform: _Platform | None = None
    annotations: dict[str, str] | None = None

    @property
    def path(self) -> str:
        """Return the path of the blob in the archive."""
        return "blobs/" + self.digest.replace(":", "/")

    @property
    def architecture(self) -> str | None:
        """Return the processor architecture of an image; None where it is not given."""
        return None if self.platform is None else self.platform.architecture


class _Index(BaseModel):
    """An OCI index, which lists images or further indexes."""

    manifests: list[_Descriptor] | None = None


class _Manifest(BaseModel):
    """An OCI manifest, which describes one image."""

    config: _Descriptor
    layers: list[_Descriptor]


class ChunkReader(io.RawIOBase):
    """A readable file object over an iterable of chunks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Return True (io protocol)."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Copy bytes of at most one chunk into ``buffer``, and return their number; 0 at the end."""
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
    """Unpack the one image of an archive, and write its layers to ``folder``. Raises ImageUnavailable.

    ``name`` names the archive in errors; ``is_known(digest)`` returns whether a blob need not be written.
    """
    files, texts = _read_members(stream, folder, name, is_known, on_bytes)
    if "manifest.json" in texts:
        config_name, layers, references = _choose_docker(texts["manifest.json"], name)
    elif "index.json" in texts:
        config_name, layers, references = _choose_oci(texts, name)
    else:
        raise _broken(name, "it has neither manifest.json nor index.json", hint="make it with `docker save`")
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
    """Return the file of each layer, verified by the diff ids in the configuration. Raises ImageUnavailable."""
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
    """Return all files of the archive by path, and the text of small ones, with links resolved.

    Raises ImageUnavailable.
    """
    files: dict[str, Member] = {}
    texts: dict[str, bytes] = {}
    links: dict[str, str] = {}
    left, left_text = _MOST_BYTES, _ALL_SMALL
    try:
        with tarfile.open(fileobj=_unpacked(stream), mode="r|", bufsize=_PIECE, tarinfo=_bounded_headers()) as archive:
            for count, entry in enumerate(archive):
                if count == _MOST_MEMBERS or entry.issparse():
                    raise tarfile.ReadError("it has too many files, or sparse files")
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
                            raise tarfile.ReadError("its manifests and configurations are too large")
    except _DAMAGED as error:
        raise _broken(name, f"it cannot be read completely ({clean_text(error)})") from error
    for path, target in links.items():
        if target in files:
            files[path] = files[target]
        if target in texts:
            texts[path] = texts[target]
    return files, texts


def _unpacked(stream: IO[bytes]) -> IO[bytes]:
    """Return the uncompressed archive as a stream; ``tarfile`` itself would unpack large pieces at once."""
    whole = io.BufferedReader(cast("io.RawIOBase", stream), _PIECE)
    begins = whole.peek(8)
    if begins.startswith(_GZIP):
        return cast("IO[bytes]", gzip.open(whole))
    if begins.startswith(b"BZh"):
        return bz2.open(whole)
    return lzma.open(whole) if begins.startswith(b"\xfd7zXZ\0") else whole


def _bounded_headers() -> type[tarfile.TarInfo]:
    """Return a class for the headers of one archive, which limits their total size."""
    left = _MOST_HEADERS

    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Header:
            nonlocal left
            header = super().frombuf(buf, encoding, errors)
            is_more = not (header.isreg() or header.isdir() or header.issym() or header.islnk())
            left -= tarfile.BLOCKSIZE + (header.size if is_more else 0)
            if left < 0:
                raise tarfile.ReadError("its headers are too large")
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
    """Write one file of at most ``most`` bytes, uncompressed and hashed; return it, and its text if it may be JSON."""
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
    """A gzip decompressor for one or many members (some builders write one for each chunk)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._members = 1

    @property
    def is_whole(self) -> bool:
        return self._member.eof

    def read(self, piece: bytes) -> Iterator[bytes]:
        """Decompress a piece, and yield its content in small parts."""
        for begin in range(0, len(piece), _SLICE):
            rest, data = piece[begin : begin + _SLICE], b""
            while rest or (len(data) == _PIECE and not self._member.eof):  # zlib keeps output beyond the limit
                if self._member.eof:
                    self._member, self._members = zlib.decompressobj(wbits=31), self._members + 1
                    if self._members > _MOST_GZIP_MEMBERS:
                        raise tarfile.ReadError("a layer has too many gzip members")
                if data := self._member.decompress(rest, _PIECE):
                    yield data
                rest = self._member.unconsumed_tail or self._member.unused_data


def _choose_docker(text: bytes, name: str) -> tuple[str, list[str], tuple[str, ...]]:
    """Return configuration, layers and names from docker-archive's manifest.json. Raises ImageUnavailable."""
    images = _checked(lambda: TypeAdapter(list[_DockerManifest]).validate_json(text), name)
    if len(images) != 1:
        raise _broken(name, f"it has {len(images)} images", hint="save one: docker save NAME:TAG -o FILE")
    image = images[0]
    layers = [posixpath.normpath(layer) for layer in image.Layers]
    return posixpath.normpath(image.Config), layers, tuple(image.RepoTags or ())


def _choose_oci(texts: dict[str, bytes], name: str) -> tuple[str, list[str], tuple[str, ...]]:
    """Return configuration, layers and names from an OCI layout for this platform. Raises ImageUnavailable."""
    found = _checked(lambda: _find_images(texts, _Index.model_validate_json(texts["index.json"])), name)
    if len(found) > 1:
        wanted = _ARCHITECTURES.get(platform.machine(), platform.machine())
        found = [descriptor for descriptor in found if descriptor.architecture == wanted]
    if len(found) != 1:
        raise _broken(name, f"{len(found)} of its images match this platform", hint="copy one image into the layout")
    manifest = _checked(lambda: _Manifest.model_validate_json(texts[found[0].path]), name)
    names = found[0].annotations or {}
    reference = names.get("io.containerd.image.name") or names.get("org.opencontainers.image.ref.name") or ""
    references = (familiar_name(reference),) if ":" in reference else ()
    return manifest.config.path, [layer.path for layer in manifest.layers], references


def _find_images(texts: dict[str, bytes], index: _Index) -> list[_Descriptor]:
    """Return the images below an index, each once, without attestations."""
    found: dict[str, _Descriptor] = {}
    seen: set[str] = set()
    places = [*reversed(index.manifests or ())]
    while places:
        descriptor = places.pop()
        text = texts.get(descriptor.path)
        if text is None or descriptor.architecture == "unknown" or descriptor.digest in seen:
            continue
        seen.add(descriptor.digest)  # an index may refer to itself
        inner = _Index.model_validate_json(text)
        if inner.manifests is None:
            found[descriptor.digest] = descriptor
        for one in reversed(inner.manifests or ()):
            notes = {**(descriptor.annotations or {}), **(one.annotations or {})}
            places.append(one.model_copy(update={"annotations": notes}))
    return [*found.values()]


def familiar_name(reference: str) -> str:
    """Return a name as users write it: ``debian:12`` for ``docker.io/library/debian:12``."""
    for prefix in ("docker.io/library/", "docker.io/"):
        if reference.startswith(prefix):
            return reference.removeprefix(prefix)
    return reference


def canonical_name(reference: str) -> str:
    """Return a name as containerd stores it: with the registry and, for Docker's own images, ``library/``."""
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

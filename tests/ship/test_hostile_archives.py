"""Image archives that would cost a traceback, the memory or the disk: each is one error with what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import resource
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from transfer_support import config_of, docker_archive, noise, sha, tar_of

from harness.ship.transfer.cache import ImageCache
from harness.values.errors import ImageUnavailable

LAYER = noise(3000, 1)


def fill(folder: Path, archive: bytes) -> Any:
    (folder / "image.tar").write_bytes(archive)
    return ImageCache(folder / "cache").fill_from_file(folder / "image.tar")


def with_config(config: Any) -> bytes:
    manifest = [{"Config": "c.json", "RepoTags": None, "Layers": ["a/layer.tar"]}]
    files = [
        ("a/layer.tar", LAYER),
        ("c.json", json.dumps(config).encode()),
        ("manifest.json", json.dumps(manifest).encode()),
    ]
    return tar_of(files)


def with_index(**blobs: Any) -> bytes:
    files = [(f"blobs/sha256/{name * 64}", json.dumps(value).encode()) for name, value in blobs.items()]
    return tar_of([*files, ("index.json", json.dumps({"manifests": [{"digest": f"sha256:{'a' * 64}"}]}).encode())])


def entry(name: str) -> dict[str, str]:
    return {"digest": f"sha256:{name * 64}"}


RING = {name: {"manifests": [entry(other) for other in "abcdef"] * 3} for name in "abcdef"}


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (with_config({"rootfs": None}), "names 1 layers and its configuration 0"),
        (with_config({"rootfs": {"diff_ids": None}}), "names 1 layers and its configuration 0"),
        (with_config({"rootfs": []}), "its description cannot be read"),
        (with_config([]), "its description cannot be read"),
        (with_config({"rootfs": {"diff_ids": ["../../../etc/passwd"]}}), "its description cannot be read"),
        (with_config({"config": {"Labels": ["a"]}, "rootfs": {"diff_ids": []}}), "its description cannot be read"),
        (with_index(a={"manifests": [entry("a")]}), "0 of its images match this platform"),
        (with_index(**RING), "0 of its images match this platform"),
        (tar_of([("manifest.json", b"[" * 100_000)]), "its description cannot be read"),
        (tar_of([("manifest.json", b"[" + b"9" * 5000 + b"]")]), "its description cannot be read"),
    ],
    ids=range(10),
)
def test_a_damaged_description_is_refused(tmp_path: Path, archive: bytes, words: str) -> None:
    begun = time.process_time()
    with pytest.raises(ImageUnavailable, match=words) as caught:
        fill(tmp_path, archive)
    assert time.process_time() - begun < 5
    assert caught.value.hint


def test_an_index_that_also_names_itself_gives_its_image(tmp_path: Path) -> None:
    config = config_of([LAYER])
    manifest = json.dumps(
        {"config": {"digest": f"sha256:{sha(config)}"}, "layers": [{"digest": f"sha256:{sha(LAYER)}"}]}
    )
    index = json.dumps({"manifests": [entry("a"), {"digest": f"sha256:{sha(manifest.encode())}"}]})
    files = [(f"blobs/sha256/{sha(one)}", one) for one in (LAYER, config, manifest.encode())]
    outer = json.dumps({"manifests": [entry("a")]}).encode()
    archive = tar_of([*files, (f"blobs/sha256/{'a' * 64}", index.encode()), ("index.json", outer)])
    assert [layer.digest for layer in fill(tmp_path, archive).layers] == [sha(LAYER)]


def header(kind: bytes, size: int, name: str = "x") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def bomb(size: int) -> bytes:
    """gzip of ``size`` zeros, made without holding them."""
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1, mtime=0) as packed:
        for _ in range(size >> 20):
            packed.write(bytes(1 << 20))
    return stream.getvalue()


@pytest.mark.parametrize(
    "archive",
    [
        gzip.compress(header(tarfile.XHDTYPE, 2**40)) + bomb(300 << 20),
        gzip.compress(header(tarfile.GNUTYPE_LONGNAME, 2**33)) + bomb(300 << 20),
        header(tarfile.XHDTYPE, 1024) * 5000,
        header(tarfile.GNUTYPE_SPARSE, 512) + bytes(1024),
        header(tarfile.REGTYPE, 0) * 21_000,
        tar_of([(f"f{n}.json", b"{" + bytes(7 << 20)) for n in range(6)]),
    ],
    ids=["long remarks", "long name", "remarks on remarks", "sparse", "many members", "many texts"],
)
def test_what_would_be_held_in_memory_is_refused(tmp_path: Path, archive: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageUnavailable, match="cannot be read completely"):
        fill(tmp_path, archive)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250_000


def test_layers_and_archives_are_unpacked_a_little_at_a_time(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageUnavailable, match="neither manifest"):
        fill(tmp_path, tar_of([("layer.tar", bomb(300 << 20))]))
    with pytest.raises(ImageUnavailable, match="cannot be read completely"):
        packer = lzma.LZMACompressor(preset=0)
        packed = [
            packer.compress(header(tarfile.REGTYPE, 2**40)),
            *(packer.compress(bytes(1 << 20)) for _ in range(300)),
        ]
        fill(tmp_path, b"".join([*packed, packer.flush()]))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_layer_of_very_many_gzip_members_is_read_in_time(tmp_path: Path) -> None:
    begun = time.process_time()
    with pytest.raises(ImageUnavailable, match="neither manifest"):
        fill(tmp_path, tar_of([("layer.tar", gzip.compress(b"") * 100_000)]))
    assert time.process_time() - begun < 10


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_each_compression_is_read(tmp_path: Path, pack: Any) -> None:
    assert fill(tmp_path, pack(docker_archive("t:1", [LAYER]))).references == ("t:1",)


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, 3 << 20, (5 << 20) - 7])
def test_a_layer_that_unpacks_to_very_much_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    layer = bytes(size)
    manifest = [{"Config": "c.json", "RepoTags": None, "Layers": ["a/layer.tar"]}]
    files = [("a/layer.tar", gzip.compress(layer)), ("c.json", config_of([layer]))]
    (found,) = fill(tmp_path, tar_of([*files, ("manifest.json", json.dumps(manifest).encode())])).layers
    assert (found.digest, found.size) == (sha(layer), size)

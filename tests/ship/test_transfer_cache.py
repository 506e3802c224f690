"""The unpacked cache: whatever form an image comes in, and whatever is wrong with it."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transfer_support import config_of, docker_archive, layer_of, noise, sha, tar_of

from harness.engine.dockerinfo import Image, image_digest
from harness.ship.slots import TransferSlots
from harness.ship.transfer import image_archive
from harness.ship.transfer.cache import ImageCache
from harness.ship.transfer.image_archive import canonical_name, familiar_name
from harness.ship.transfer.image_stream import CorruptBlob, archive_bytes, build_parts, stream_parts
from harness.ship.transfer.presence import HostImage, HostImages, chain_ids
from harness.ship.transfer.shipment import SLICE_BYTES
from harness.values.errors import ImageUnavailable

LAYERS = [layer_of("base", noise(3_000_000, 1)), layer_of("top", noise(700_000, 2))]


def oci_layout(layers: list[bytes], *, packed: bool, reference: str = "docker.io/library/test:1") -> bytes:
    """An OCI layout without a manifest.json, its layers gzipped or not."""
    config = config_of(layers)
    blobs = [gzip.compress(layer, mtime=0) if packed else layer for layer in layers]
    described = [{"mediaType": "x", "digest": f"sha256:{sha(one)}", "size": len(one)} for one in blobs]
    manifest = json.dumps(
        {"schemaVersion": 2, "config": {"digest": f"sha256:{sha(config)}", "size": len(config)}, "layers": described}
    ).encode()
    entry = {"digest": f"sha256:{sha(manifest)}", "annotations": {"io.containerd.image.name": reference}}
    index = json.dumps({"manifests": [entry]}).encode()
    files = [(f"blobs/sha256/{sha(one)}", one) for one in (*blobs, config, manifest)]
    return tar_of([*files, ("index.json", index), ("oci-layout", b"{}")])


def fill(folder: Path, archive: bytes) -> Any:
    file = folder / "image.tar"
    file.write_bytes(archive)
    return ImageCache(folder / "cache").fill_from_file(file)


def expected_identity(layers: list[bytes]) -> str:
    said = json.loads(config_of(layers))
    root = {"Layers": said["rootfs"]["diff_ids"]}
    return image_digest(Image.model_validate({"Config": said["config"], "RootFS": root, "Architecture": "amd64"}))


@pytest.mark.parametrize(
    "archive",
    [
        docker_archive("test:1", LAYERS),
        gzip.compress(docker_archive("test:1", LAYERS), 1),
        oci_layout(LAYERS, packed=False),
        oci_layout(LAYERS, packed=True),
    ],
    ids=["docker", "docker-gzip", "oci", "oci-gzip-layers"],
)
def test_every_form_of_an_image_becomes_the_same_files(tmp_path: Path, archive: bytes) -> None:
    image = fill(tmp_path, archive)
    assert image.identity == expected_identity(LAYERS)
    assert [layer.path.read_bytes() for layer in image.layers] == LAYERS
    assert image.references == ("test:1",)
    cache = ImageCache(tmp_path / "cache")
    assert cache.find(image.identity) == image
    assert cache.find_reference("test:1") == image
    assert cache.find_reference("test:2") is None


def test_layers_that_are_links_and_layers_of_many_gzip_members(tmp_path: Path) -> None:
    layer, config = LAYERS[0], config_of([LAYERS[0], LAYERS[0]])
    members = gzip.compress(layer[:1000]) + gzip.compress(layer[1000:])
    manifest = [{"Config": "c.json", "RepoTags": None, "Layers": ["a/layer.tar", "b/layer.tar"]}]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("b/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../a/layer.tar"
        archive.addfile(link)
        for name, content in (("a/layer.tar", members), ("c.json", config), ("manifest.json", json.dumps(manifest))):
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    image = fill(tmp_path, buffer.getvalue())
    assert [one.digest for one in image.layers] == [sha(layer)] * 2
    assert image.bytes == len(layer)


def _swapped(archive: bytes) -> bytes:
    where = archive.index(LAYERS[1][100_000:100_100])
    return archive[:where] + bytes(100) + archive[where + 100 :]


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (docker_archive("test:1", LAYERS)[:1_000_000], "cannot be read completely"),
        (gzip.compress(docker_archive("test:1", LAYERS), 1)[:1_000_000], "cannot be read completely"),
        (_swapped(docker_archive("test:1", LAYERS)), "is corrupt"),
        (tar_of([("readme", b"hello")]), "neither manifest.json nor index.json"),
        (tar_of([("manifest.json", b"[]")]), "has 0 images"),
        (tar_of([("manifest.json", b"{")]), "description cannot be read"),
        (b"not a tar at all", "cannot be read completely"),
        (tar_of([("x/layer.tar", b"\x28\xb5\x2f\xfd" + bytes(100))]), "zstd"),
    ],
    ids=["cut", "cut-gzip", "corrupt", "no-image", "empty", "garbage-json", "no-tar", "zstd"],
)
def test_what_is_no_whole_image_is_refused_and_leaves_nothing(tmp_path: Path, archive: bytes, words: str) -> None:
    with pytest.raises(ImageUnavailable, match=words) as caught:
        fill(tmp_path, archive)
    assert caught.value.hint
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and not path.name.endswith(".lock")]
    assert left == []


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 5 * 2**20, 64 * 2**20])
def test_what_gzip_holds_comes_in_small_parts_and_whole(size: int) -> None:
    unzip = image_archive._Gunzip()  # noqa: SLF001 - a layer of each size would take long
    packed = gzip.compress(bytes(size)) + gzip.compress(b"more")
    parts = [part for start in range(0, len(packed), 1000) for part in unzip.read(packed[start : start + 1000])]
    assert unzip.is_whole and max(map(len, parts)) <= 2**20
    assert sum(map(len, parts)) == size + 4


def test_an_archive_of_more_than_any_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = docker_archive("test:1", LAYERS)
    for name, bound in (("_MOST_MEMBERS", 2), ("_ALL_SMALL", 100), ("_MOST_BYTES", 1000)):
        with monkeypatch.context() as patch, pytest.raises(ImageUnavailable, match=r"too many files|too large|larger"):
            patch.setattr(image_archive, name, bound)
            image_archive.unpack_archive(io.BytesIO(archive), tmp_path, name="x.tar")


def test_a_layer_that_is_missing_is_taken_from_what_is_known(tmp_path: Path) -> None:
    config = config_of(LAYERS)
    manifest = [{"Config": "c", "RepoTags": ["t:2"], "Layers": ["x/layer.tar", "y/layer.tar"]}]
    thin = tar_of([("y/layer.tar", LAYERS[1]), ("c", config), ("manifest.json", json.dumps(manifest).encode())])
    with pytest.raises(ImageUnavailable, match=r"layer x/layer\.tar is missing"):
        fill(tmp_path, thin)
    fill(tmp_path, docker_archive("base:1", LAYERS[:1]))
    assert fill(tmp_path, thin).identity == expected_identity(LAYERS)


class SavingClient:
    """An engine that saves one image, slowly, and counts how often."""

    def __init__(self) -> None:
        self.saved = 0

    def inspect_image(self, reference: str) -> dict[str, Any]:
        said = json.loads(config_of(LAYERS))
        return {"Config": said["config"], "RootFS": {"Layers": said["rootfs"]["diff_ids"]}, "Architecture": "amd64"}

    def get_image(self, reference: str) -> Any:
        self.saved += 1
        archive = docker_archive(reference, LAYERS)
        for begin in range(0, len(archive), 500_000):
            time.sleep(0.01)
            yield archive[begin : begin + 500_000]


def test_many_who_want_an_image_save_it_once(tmp_path: Path) -> None:
    client, found = SavingClient(), []

    def want() -> None:
        found.append(ImageCache(tmp_path / "cache").fill_from_engine(client, "test:1"))  # type: ignore[arg-type]

    threads = [threading.Thread(target=want) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.saved == 1
    assert {one.identity for one in found} == {expected_identity(LAYERS)}
    assert not list((tmp_path / "cache" / "unpacking").iterdir())


def test_an_image_whose_layer_went_away_is_not_found_and_saved_again(tmp_path: Path) -> None:
    client, cache = SavingClient(), ImageCache(tmp_path / "cache")
    image = cache.fill_from_engine(client, "test:1")  # type: ignore[arg-type]
    cache.drop(image.layers[0])
    assert cache.find(image.identity) is None
    again = cache.fill_from_engine(client, "other:1")  # type: ignore[arg-type]
    assert client.saved == 2
    assert again.layers == image.layers
    assert cache.fill_from_engine(client, "third:1").references == ("other:1", "third:1")  # type: ignore[arg-type]


def test_what_a_killed_controller_left_half_unpacked_is_swept(tmp_path: Path) -> None:
    left = tmp_path / "cache" / "unpacking" / "dead"
    left.mkdir(parents=True)
    (left / ".alive").touch()
    (left / "0").write_bytes(bytes(1000))
    fill(tmp_path, docker_archive("test:1", LAYERS))
    assert not left.exists()


@given(sent=st.sets(st.integers(0, 1)))
def test_the_tar_is_both_formats_in_small_slices_and_as_long_as_foretold(
    tmp_path_factory: pytest.TempPathFactory, sent: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("stream")
    image = fill(folder, docker_archive("test:1", LAYERS))
    parts = build_parts(image, "team/test:1", [image.diff_ids[number] for number in sent])
    counted: list[int] = []
    slices = list(stream_parts(parts, counted.append))
    content = b"".join(slices)
    assert max(len(piece) for piece in slices) <= SLICE_BYTES
    assert len(content) == archive_bytes(parts) == sum(counted)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        names = archive.getnames()
        texts = {name: archive.extractfile(name).read() for name in names}  # type: ignore[union-attr]
    assert json.loads(texts["manifest.json"])[0]["RepoTags"] == ["team/test:1"]
    entry = json.loads(texts["index.json"])["manifests"][0]
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/team/test:1"
    manifest = json.loads(texts["blobs/" + entry["digest"].replace(":", "/")])
    assert [one["digest"] for one in manifest["layers"]] == list(image.diff_ids)
    assert all(sha(text) == name.rpartition("/")[2] for name, text in texts.items() if name.startswith("blobs/"))
    assert {number for number in (0, 1) if f"blobs/sha256/{image.layers[number].digest}" in names} == sent


@pytest.mark.parametrize("harm", ["flipped", "short", "gone"])
def test_a_damaged_layer_never_leaves_whole(tmp_path: Path, harm: str) -> None:
    image = fill(tmp_path, docker_archive("test:1", LAYERS))
    path = image.layers[0].path
    content = bytearray(path.read_bytes())
    if harm == "flipped":
        content[12_345] ^= 1
        path.write_bytes(content)
    elif harm == "short":
        path.write_bytes(content[:-1000])
    else:
        path.unlink()
    sent: list[bytes] = []
    parts = build_parts(image, "test:1", image.diff_ids[:1])
    with pytest.raises(CorruptBlob):
        sent.extend(stream_parts(parts, lambda count: None))
    assert sum(len(piece) for piece in sent) < archive_bytes(parts) - 1024


def test_chains_and_not_layers_decide_what_is_there() -> None:
    base, other, top = "sha256:a", "sha256:b", "sha256:c"
    host = HostImages((HostImage("1", "x", (base, other), ()), HostImage("2", "y", (top,), ())))
    assert host.shared_layers((base, other, top)) == 2
    assert host.shared_layers((base, top)) == 1
    assert host.shared_layers((other, base)) == 0
    nearest = host.nearest((base, other, top))
    assert nearest is not None and nearest.id == "1"
    assert host.nearest((other,)) is None
    assert chain_ids([base, other])[1] == "sha256:" + sha(b"sha256:a sha256:b")


def test_names_of_containerd_and_back() -> None:
    for short, full in [("a:1", "docker.io/library/a:1"), ("t/a:1", "docker.io/t/a:1"), ("h:5/a:1", "h:5/a:1")]:
        assert canonical_name(short) == full
        assert familiar_name(full) == short


def test_the_smallest_that_waits_has_the_next_turn() -> None:
    slots, order, ready = TransferSlots(1), [], threading.Event()

    def transfer(size: int) -> None:
        with slots.take(size):
            order.append(size)

    def hold() -> None:
        with slots.take(0):
            ready.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    time.sleep(0.05)
    threads = [threading.Thread(target=transfer, args=(size,)) for size in (300, 100, 200)]
    for thread in threads:
        thread.start()
    while len(slots._waiting) < 3:  # noqa: SLF001 - nothing else tells that all wait
        time.sleep(0.01)
    ready.set()
    for thread in (*threads, holder):
        thread.join()
    assert order == [100, 200, 300]


def test_no_more_transfers_than_slots_and_one_that_gives_up_blocks_nobody() -> None:
    slots, running, most = TransferSlots(2), [0], [0]
    mutex = threading.Lock()

    def transfer(size: int) -> None:
        with slots.take(size):
            with mutex:
                running[0] += 1
                most[0] = max(most[0], running[0])
            time.sleep(0.02)
            with mutex:
                running[0] -= 1

    def give_up() -> None:
        raise InterruptedError

    threads = [threading.Thread(target=transfer, args=(size,)) for size in range(2, 12)]
    with slots.take(0), slots.take(0), pytest.raises(InterruptedError), slots.take(1, give_up):
        pass
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most[0] == 2
    assert not any(thread.is_alive() for thread in threads)

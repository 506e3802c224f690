"""Data sets from the controller to a host: only what is missing, cut and continued, and the same set in the end."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.bench.data.dataset import describe
from harness.bench.data.generate import describe_made, make
from harness.hosts.connection import Completed
from harness.hosts.local import LocalConnection
from harness.ship import datatransfer, filetransfer, room
from harness.ship.datasource import SourceSets, read_source_set
from harness.ship.datatransfer import DataShip, find_shipped, shipped_folder
from harness.ship.slots import TransferSlots
from harness.ship.weights import ship_weights
from harness.values.errors import DataError, HostNotReady, HostUnreachable

JPEG_LIKE = b"\xff\xd8\xff\xe0"


class Link(LocalConnection):
    """A host that is a folder of this machine; calls may be counted, cut off and garbled."""

    def __init__(self) -> None:
        super().__init__("far")
        self.sent: list[int] = []
        self.cut_at: list[int] = []
        self.garble_at: int | None = None

    def run(
        self, argv: Sequence[str], *, input: bytes | None = None, timeout_s: float = 60.0, **options: Any
    ) -> Completed:
        if input is not None and (filetransfer._TAKE_BATCH in argv or filetransfer._TAKE_PIECE in argv):  # noqa: SLF001 - the far side knows the scripts that it is given
            number = len(self.sent)
            self.sent.append(len(input))
            if number in self.cut_at:
                super().run(argv, input=input[: len(input) // 2], timeout_s=timeout_s)
                raise HostUnreachable("cut", where=self.host)
            if number == self.garble_at:
                middle = input.index(JPEG_LIKE) + 2000
                garbled = input[:middle] + bytes(10) + input[middle + 10 :]
                return super().run(argv, input=garbled, timeout_s=timeout_s)
        return super().run(argv, input=input, timeout_s=timeout_s, **options)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(datatransfer, "_PAUSES_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(filetransfer, "BATCH_BYTES", 200_000)
    yield


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes and an empty one; odd names; a file of several batches."""
    folder = tmp_path / "photos"
    sizes = {"cats/a.jpg": 50_000, "cats/b é.jpg": 90_000, "cats/-c.jpg": 70_000, "dogs/a\\d.jpg": 60_000}
    sizes |= {"dogs/e\tf.jpg": 10_000, "dogs/large.jpg": 650_000, "dogs/deep/er/x.jpg": 5_000}
    for number, (name, size) in enumerate(sizes.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(JPEG_LIKE + bytes([number]) * size)
    (folder / "empty").mkdir()
    return folder


def send(
    link: Link, scratch: Path, source: Path, *, tmp_path: Path, annotations: Path | None = None, **more: Any
) -> Any:
    read = read_source_set("set", source, annotations, keep=tmp_path / "hashes")
    return DataShip(link, str(scratch), read, **more).run()


def shipped_files(scratch: Path) -> dict[str, bytes]:
    base = Path(shipped_folder(str(scratch), "set")) / "files"
    return {str(path.relative_to(base)): path.read_bytes() for path in base.rglob("*") if path.is_file()}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_arrives_as_it_is_and_is_not_sent_again(tmp_path: Path, photos: Path) -> None:
    link, scratch = Link(), tmp_path / "scratch"
    first = send(link, scratch, photos, tmp_path=tmp_path)
    assert shipped_files(scratch) == files_of(photos)
    assert (first.files, first.bytes_saved) == (7, 0)
    assert first.bytes_needed == sum(len(content) for content in files_of(photos).values())
    found = find_shipped(link, str(scratch), "set")
    assert found is not None and found.folder is not None
    assert (Path(found.folder) / "empty").is_dir()
    assert describe(Path(found.folder)).fingerprint == describe(photos).fingerprint == found.fingerprint
    assert not list(scratch.rglob("*.part")) and not list(scratch.rglob(".batch"))
    link.sent.clear()
    again = send(link, scratch, photos, tmp_path=tmp_path)
    assert (again.files, again.bytes_sent) == (0, 0)
    assert again.bytes_saved == first.bytes_needed
    assert link.sent == []


def test_only_what_differs_is_sent_and_what_is_too_much_is_removed(tmp_path: Path, photos: Path) -> None:
    link, scratch = Link(), tmp_path / "scratch"
    send(link, scratch, photos, tmp_path=tmp_path)
    (photos / "cats/a.jpg").write_bytes(JPEG_LIKE + b"x" * 50_000)
    os.utime(photos / "cats/a.jpg", (5, 5))
    (photos / "dogs/new.jpg").write_bytes(JPEG_LIKE + b"n" * 10)
    (photos / "dogs/large.jpg").unlink()
    shipped = send(link, scratch, photos, tmp_path=tmp_path)
    assert shipped.files == 2
    assert shipped_files(scratch) == files_of(photos)


def test_files_that_changed_on_the_host_are_noticed(tmp_path: Path, photos: Path) -> None:
    link, scratch = Link(), tmp_path / "scratch"
    send(link, scratch, photos, tmp_path=tmp_path)
    base = Path(shipped_folder(str(scratch), "set")) / "files"
    (base / "cats/a.jpg").write_bytes(JPEG_LIKE + b"y" * 50_000)
    (base / "dogs/large.jpg").unlink()
    assert send(link, scratch, photos, tmp_path=tmp_path).files == 2
    assert shipped_files(scratch) == files_of(photos)


def test_files_that_are_there_unproven_are_hashed_and_not_sent(tmp_path: Path, photos: Path) -> None:
    link, scratch = Link(), tmp_path / "scratch"
    base = Path(shipped_folder(str(scratch), "set"))
    for name, content in files_of(photos).items():
        (base / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (base / "files" / name).write_bytes(content)
    shipped = send(link, scratch, photos, tmp_path=tmp_path)
    assert (shipped.files, link.sent) == (0, [])
    assert find_shipped(link, str(scratch), "set") is not None


@pytest.mark.parametrize("cut_at", [[0], [1], [2], [3], [4], [5], [0, 2, 4]])
def test_a_cut_link_goes_on_where_it_was(tmp_path: Path, photos: Path, cut_at: list[int]) -> None:
    """The large file goes first, in four pieces; then two batches."""
    link, scratch = Link(), tmp_path / "scratch"
    link.cut_at = cut_at
    shipped = send(link, scratch, photos, tmp_path=tmp_path)
    assert shipped.attempts == len(cut_at) + 1
    assert shipped_files(scratch) == files_of(photos)
    assert sum(link.sent) < 1.7 * shipped.bytes_needed, "what arrived was sent again"
    assert not list(scratch.rglob("*.part"))


def test_a_large_file_goes_on_in_its_middle(tmp_path: Path, photos: Path) -> None:
    link, scratch = Link(), tmp_path / "scratch"
    link.cut_at = [2, 3, 4, 5]
    with pytest.raises(HostUnreachable):
        send(link, scratch, photos, tmp_path=tmp_path)
    (part,) = scratch.rglob("*.part")
    there = part.stat().st_size
    assert there > 400_000
    assert find_shipped(link, str(scratch), "set") is None
    link.cut_at, link.sent = [], []
    send(link, scratch, photos, tmp_path=tmp_path)
    assert sum(link.sent[:2]) <= 650_005 - there + 200_000
    assert shipped_files(scratch) == files_of(photos)


@pytest.mark.parametrize("number", [1, 4])
def test_what_arrives_garbled_is_refused(tmp_path: Path, photos: Path, number: int) -> None:
    link, scratch = Link(), tmp_path / "scratch"
    if number == 1:  # the large file
        (photos / "dogs/large.jpg").write_bytes((JPEG_LIKE + bytes(196)) * 3300)
    link.garble_at = number
    with pytest.raises(DataError) as caught:
        send(link, scratch, photos, tmp_path=tmp_path)
    assert "sent" in caught.value.message
    assert caught.value.where == "far"
    assert find_shipped(link, str(scratch), "set") is None
    link.garble_at = None
    send(link, scratch, photos, tmp_path=tmp_path)
    assert shipped_files(scratch) == files_of(photos)


def test_an_interrupted_ship_keeps_what_arrived(tmp_path: Path, photos: Path) -> None:
    link, scratch, stop = Link(), tmp_path / "scratch", threading.Event()

    def interrupt(text: str, share: float | None) -> None:
        if share is not None and share > 0.5:
            stop.set()

    with pytest.raises(HostNotReady, match="stopped before"):
        send(link, scratch, photos, tmp_path=tmp_path, stop=stop, on_progress=interrupt)
    sent = sum(link.sent)
    shipped = send(link, scratch, photos, tmp_path=tmp_path)
    assert shipped.bytes_sent + sent < 1.3 * sum(len(content) for content in files_of(photos).values())
    assert shipped_files(scratch) == files_of(photos)


def test_a_full_disk_is_told_before_a_byte_is_sent(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "read_free_bytes", lambda connection, path: 70_000_000 - 2_500_000)
    link = Link()
    with pytest.raises(HostNotReady, match="no space for the data set set") as caught:
        send(link, tmp_path / "scratch", photos, tmp_path=tmp_path)
    assert "67.5 MB are free" in caught.value.message
    assert link.sent == []


@pytest.mark.parametrize("path", ["FOLDER/images/1.jpg", "images/1.jpg"])
def test_a_list_that_names_images_by_where_they_lie_here_is_not_sent(tmp_path: Path, path: str) -> None:
    images, labels = tmp_path / "images", tmp_path / "labels.csv"
    images.mkdir()
    (images / "1.jpg").write_bytes(JPEG_LIKE)
    labels.write_text(f"path,label\n{path.replace('FOLDER', str(tmp_path))},cat\n")
    with pytest.raises(DataError, match="are valid only on this machine") as caught:
        read_source_set("set", images, labels, keep=tmp_path / "hashes")
    describe_here = f"harness data describe {images} --annotations {labels} --write-list new.csv"
    assert caught.value.hint is not None and caught.value.hint.endswith(describe_here)


def test_a_coco_pair_arrives_with_its_annotations(tmp_path: Path) -> None:
    made = tmp_path / "made"
    make("coco", 12, 3, made)
    description = describe_made(made)
    link, scratch = Link(), tmp_path / "scratch"
    (made / "images" / "orphan.jpg").write_bytes(b"belongs to no annotation")
    shipped = send(link, scratch, made / "images", tmp_path=tmp_path, annotations=made / "annotations.json")
    assert shipped.fingerprint == description.fingerprint
    found = find_shipped(link, str(scratch), "set")
    assert found is not None and found.images is not None and found.annotations is not None
    assert describe(Path(found.images), Path(found.annotations)).fingerprint == description.fingerprint
    assert "orphan.jpg" not in shipped_files(scratch)


def test_tfrecord_files_arrive_whole_with_the_names_of_their_classes(tmp_path: Path) -> None:
    from harness.bench.data.listing import list_tfrecord
    from harness.bench.loaders.tfrecords import Features, pack_record

    folder = tmp_path / "records"
    folder.mkdir()
    names = Features("jpg", "kind")
    for part in ("train", "test"):
        content = b"".join(pack_record(JPEG_LIKE + bytes([n]), n % 2, names) for n in range(3))
        (folder / f"{part}.tfrecord-00000-of-00001").write_bytes(content)
    (folder / "kind.labels.txt").write_text("cats\ndogs\n")
    link, scratch = Link(), tmp_path / "scratch"
    sets = SourceSets({"set": (folder / "train*", None)}, keep=tmp_path / "hashes", features={"set": ("jpg", "kind")})
    source = sets.read("set")
    assert (source.kind, source.images, source.classes) == ("tfrecord", 3, 2)
    shipped = DataShip(link, str(scratch), source).run()
    assert set(shipped_files(scratch)) == {"train.tfrecord-00000-of-00001", "kind.labels.txt"}
    found = find_shipped(link, str(scratch), "set")
    assert found is not None and found.tfrecord is not None and found.fingerprint == shipped.fingerprint
    there = list_tfrecord(Path(found.tfrecord), "jpg", "kind")
    assert (there.classes, there.labels) == (("cats", "dogs"), (0, 1, 0))


def test_a_set_that_is_not_there_or_cannot_be_sent_says_so(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        read_source_set("set", tmp_path / "nowhere", keep=tmp_path / "hashes")
    (photos / "cats" / "bad\nname.jpg").write_bytes(JPEG_LIKE)
    with pytest.raises(DataError, match="cannot be sent"):
        read_source_set("set", photos, keep=tmp_path / "hashes")


def test_a_part_of_a_folder_and_images_without_labels_are_sent(tmp_path: Path) -> None:
    for name in ("train/cat/1.jpg", "val/cat/2.jpg", "val/cat/._2.jpg", "flat/3.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(JPEG_LIKE + name.encode())
    (tmp_path / "both").mkdir()
    for part in ("train", "val"):
        (tmp_path / part).rename(tmp_path / "both" / part)
    link, scratch, places = Link(), tmp_path / "scratch", {"set": (tmp_path / "both", None)}
    sets = SourceSets(places, keep=tmp_path / "hashes", parts={"set": ("val", False)})
    DataShip(link, str(scratch), sets.read("set")).run()
    assert set(shipped_files(scratch)) == {"cat/2.jpg"}
    send(link, scratch, tmp_path / "flat", tmp_path=tmp_path)
    assert set(shipped_files(scratch)) == {"3.jpg"}


def test_a_set_that_not_every_loader_reads_is_not_sent_unless_it_may_be_left_out(tmp_path: Path, photos: Path) -> None:
    (photos / "cats" / "x.tif").write_bytes(JPEG_LIKE)
    with pytest.raises(DataError, match="1 TIFF file, which not every loader reads"):
        read_source_set("set", photos, keep=tmp_path / "hashes")
    assert read_source_set("set", photos, keep=tmp_path / "hashes", skip_unreadable=True).images == 7


def test_a_set_is_read_once_for_all_hosts_and_no_file_twice(tmp_path: Path, photos: Path) -> None:
    said: list[str] = []
    sets = SourceSets({"set": (photos, None)}, keep=tmp_path / "hashes")
    assert sets.read("set") is sets.read("set")
    assert "set" in sets and "other" not in sets
    (kept,) = (tmp_path / "hashes").iterdir()
    marked = {place: [*known[:2], "0" * 64] for place, known in json.loads(kept.read_text()).items()}
    kept.write_text(json.dumps(marked))
    again = read_source_set("set", photos, keep=tmp_path / "hashes", on_progress=lambda text, share: said.append(text))
    assert {file.sha256 for file in again.files} == {"0" * 64}
    kept.write_text("garbage")
    assert read_source_set("set", photos, keep=tmp_path / "hashes").fingerprint == describe(photos).fingerprint


def test_hosts_get_their_data_in_turns(tmp_path: Path, photos: Path) -> None:
    source = read_source_set("set", photos, keep=tmp_path / "hashes")
    slots, ended = TransferSlots(1), []

    def work(number: int) -> None:
        ended.append(DataShip(Link(), str(tmp_path / f"host{number}"), source, slots=slots).run())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) == 3
    assert all(shipped_files(tmp_path / f"host{number}") == files_of(photos) for number in range(3))


def test_weights_lie_under_their_content_and_are_sent_once(tmp_path: Path) -> None:
    link, weights = Link(), tmp_path / "my model.weights.h5"
    weights.write_bytes(os.urandom(450_000))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    slots, told = TransferSlots(), []
    found = ship_weights(link, str(tmp_path / "s"), weights, slots, lambda text, share: told.append(share))
    place = found.path
    assert found.sha256 == digest
    assert place == f"{tmp_path}/s/weights/{digest[:16]}/my model.weights.h5"
    assert Path(place).read_bytes() == weights.read_bytes()
    assert sorted(path.name for path in Path(place).parent.iterdir()) == [weights.name]
    assert told[-1] == 1.0
    link.sent.clear()
    assert ship_weights(link, str(tmp_path / "s"), weights, slots, lambda text, share: None) == found
    assert link.sent == []
    Path(place).write_bytes(b"damaged")
    ship_weights(link, str(tmp_path / "s"), weights, slots, lambda text, share: None)
    assert Path(place).read_bytes() == weights.read_bytes()

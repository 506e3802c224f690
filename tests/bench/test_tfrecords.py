"""TFRecord files as a data set: what is found in them, what is refused and how, and that the right bytes are read."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.bench.data.dataset import describe, list_path, prepare
from harness.bench.data.listing import list_tfrecord
from harness.bench.loaders.manifest import read_manifest
from harness.bench.loaders.tfrecords import Features, pack_record, read_features, read_place, split_pattern, split_place
from harness.bench.protocol.dataset_errors import DatasetError

PLAIN = Features("image", "label")


def encode(number: int, kind: str = "JPEG") -> bytes:
    stream = BytesIO()
    pixels = np.full((40 + number, 50, 3), 20 * number % 256, np.uint8)
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def write(folder: Path, *files: Sequence[tuple[bytes, int]], features: Features = PLAIN, name: str = "set") -> Path:
    folder.mkdir(exist_ok=True)
    for number, records in enumerate(files):
        content = b"".join(pack_record(image, label, features) for image, label in records)
        (folder / f"{name}.tfrecord-{number:05d}-of-{len(files):05d}").write_bytes(content)
    return folder


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return write(
        tmp_path / "set",
        [(encode(i), 7 if i % 2 else 300) for i in range(12)],
        [(encode(12, "PNG"), 7), (encode(13), 5)],
    )


def test_images_and_labels_are_found_where_they_lie(records: Path) -> None:
    listing = list_tfrecord(records)
    assert listing.classes == ("5", "7", "300")
    assert listing.labels == (2, 1) * 6 + (1, 0)
    assert [read_place(str(records / path)) for path in listing.paths] == [
        encode(i, "PNG" if i == 12 else "JPEG") for i in range(14)
    ]
    assert list(listing.paths) == sorted(listing.paths)  # by the place in the file: its numbers have equal lengths
    assert [path.rpartition(".")[2] for path in listing.paths[-2:]] == ["png", "jpg"]
    assert listing.features == Features("image", "label", (5, 7, 300))


def test_a_set_is_described_and_checked_like_any_other(records: Path, tmp_path: Path) -> None:
    found = describe(records)
    assert (found.kind, found.images, found.classes) == ("tfrecord", 14, 3)
    assert found.bytes == sum(len(encode(i, "PNG" if i == 12 else "JPEG")) for i in range(14))
    first = prepare(list_path(records), tmp_path / "out", cpus=1)
    assert first.fingerprint == found.fingerprint
    assert read_features(tmp_path / "out").labels == (5, 7, 300)
    manifest = read_manifest(tmp_path / "out")
    assert manifest.heights == tuple(40 + i for i in range(14))
    assert prepare(list_path(records), tmp_path / "out", cpus=1).reused_hashes == 14
    file = next(records.glob("*-00001-of-*"))
    file.write_bytes(file.read_bytes() + pack_record(encode(1), 7, PLAIN))
    again = prepare(list_path(records), tmp_path / "out", cpus=1)
    assert (again.images, again.reused_hashes) == (15, 12)  # the other file's are known
    assert again.fingerprint != first.fingerprint


def test_a_part_takes_the_first_of_each_file_by_its_share(records: Path, tmp_path: Path) -> None:
    prepare(list_path(records), tmp_path / "out", cpus=1)
    whole = read_manifest(tmp_path / "out")
    part = whole.head_of_files(7)
    assert part.paths == (*whole.paths[:6], whole.paths[12])
    assert whole.head_of_files(None) is whole
    assert whole.head_of_files(99) is whole


def test_classes_have_names_where_tensorflow_datasets_left_them(records: Path) -> None:
    (records / "label.labels.txt").write_text("\n".join(f"kind {i}" for i in range(301)) + "\n")
    listing = list_tfrecord(records)
    assert len(listing.classes) == 301
    assert [listing.classes[label] for label in listing.labels[:2]] == ["kind 300", "kind 7"]
    assert listing.stored[-1] == "label.labels.txt"
    (records / "label.labels.txt").write_text("only one\n")
    with pytest.raises(DatasetError, match=r"label 300 has no line in label\.labels\.txt"):
        list_tfrecord(records)


def test_a_pattern_chooses_files_and_features_have_names(tmp_path: Path) -> None:
    odd = Features("jpg/bytes", "kind")
    folder = write(tmp_path / "set", [(encode(1), 0)], features=odd, name="train")
    write(folder, [(encode(2), 0), (encode(3), 1)], name="test")
    assert split_pattern(f"{folder}/test*") == (str(folder), "test*")
    assert split_pattern(str(folder)) == (str(folder), "")
    assert len(list_path(Path(f"{folder}/test*")).paths) == 2
    (folder / "._test.tfrecord").write_bytes(b"what macOS leaves")
    assert len(list_path(Path(f"{folder}/*test*")).paths) == 2
    with pytest.raises(DatasetError, match=r"has none of the features image/encoded.*it has jpg/bytes, kind") as caught:
        list_path(Path(f"{folder}/train*"))
    assert "image_feature" in str(caught.value.hint)
    found = list_tfrecord(folder / "train*", "jpg/bytes", "kind")
    assert read_place(str(folder / found.paths[0])) == encode(1)
    with pytest.raises(DatasetError, match="no feature nothing"):
        list_tfrecord(folder / "train*", "jpg/bytes", "nothing")
    with pytest.raises(DatasetError, match="names no TFRecord files"):
        list_tfrecord(folder / "valid*")


def test_what_is_no_sound_file_is_refused_with_its_record(records: Path) -> None:
    file = next(records.glob("*-00000-of-*"))
    whole = file.read_bytes()
    for content, words in (
        (whole[:-9], "record 12 at byte .*: the file ends inside this record"),
        (whole[:-3], "record 12 at byte .*: the file ends inside this record"),
        (b"\x00" * 40, "record 1 at byte 0: not a TFRecord, or damaged"),
        (gzip.compress(whole), "compressed with gzip"),
        (b"", "is empty"),
        (
            whole + pack_record(b"x", 1, Features("other", "label")),
            "record 13 .* has no feature image; it has label, other",
        ),
    ):
        file.write_bytes(content)
        with pytest.raises(DatasetError, match=words) as caught:
            list_tfrecord(records)
        assert caught.value.hint
    length = struct.pack("<Q", 5)
    crc = whole_crc(length)
    file.write_bytes(length + crc + b"\xff\xff\xff\xff\xff" + b"\0" * 4)
    with pytest.raises(DatasetError, match="is not an Example"):
        list_tfrecord(records)


def whole_crc(length: bytes) -> bytes:
    from harness.bench.loaders.tfrecords import _masked_crc

    return struct.pack("<I", _masked_crc(length))


def test_images_that_not_every_loader_reads_are_named_as_in_files(tmp_path: Path) -> None:
    bad = [(encode(1), 0), (encode(2)[:-200], 0), (b"", 1), (b"GARBAGE", 1), (encode(3, "GIF"), 1)]
    listing = list_path(write(tmp_path / "set", bad))
    with pytest.raises(DatasetError, match="4 of 5 files") as caught:
        prepare(listing, tmp_path / "out", cpus=1)
    for words in ("truncated or damaged", "zero bytes", "not an image", "GIF file"):
        assert words in caught.value.message
    assert not (tmp_path / "out" / "manifest.tsv").exists()


def test_a_file_that_is_called_like_a_place_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "holiday@12+34.jpg"
    path.write_bytes(b"whole")
    assert split_place(str(path)) is None
    assert read_place(str(path)) == b"whole"


@pytest.mark.tensorflow
def test_what_tensorflow_writes_is_read_and_what_we_write_tensorflow_reads(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    names = ("image/encoded", "image/class/label")
    examples = []
    for number in range(3):
        values = {
            "image/height": tf.train.Feature(int64_list=tf.train.Int64List(value=[3, 4])),
            "image/text": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5])),
            "image/nothing": tf.train.Feature(),
            names[0]: tf.train.Feature(bytes_list=tf.train.BytesList(value=[encode(number)])),
            names[1]: tf.train.Feature(int64_list=tf.train.Int64List(value=[number * 1000 - 1])),
        }
        examples.append(tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString())
    (tmp_path / "a").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "a" / "x.tfrecord")) as writer:
        for example in examples:
            writer.write(example)
    listing = list_tfrecord(tmp_path / "a")
    assert listing.classes == ("-1", "999", "1999")
    assert [read_place(str(tmp_path / "a" / path)) for path in listing.paths] == [encode(i) for i in range(3)]
    folder = write(tmp_path / "b", [(encode(1), 300)])
    (record,) = tf.data.TFRecordDataset([str(path) for path in folder.iterdir()])  # it checks both checksums
    found = tf.train.Example.FromString(record.numpy()).features.feature
    assert (found["image"].bytes_list.value[0], found["label"].int64_list.value[0]) == (encode(1), 300)

"""Descriptions of data sets that once cost a traceback, the memory or an hour: each is one error with its place."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest

from harness.bench.data.coco import read_coco
from harness.bench.data.inspection import inspect_file
from harness.bench.data.table import read_table
from harness.bench.loaders.tfrecords import Features, pack_record, read_examples
from harness.bench.protocol.dataset_errors import DatasetError
from harness.ship.datasource import source_file
from harness.values.errors import DataError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('a.jpg,x\n"b.jpg,y\nc.jpg,z\n', ":2: a quote that is not closed"),
        ('a.jpg,x\n"b"c.jpg,y\n', ":2: a quote that is not closed"),
        ("a.jpg,x\nb\0c.jpg,y\n", ":2: a control character"),
        ("a.jpg,x\n" + "b" * 70_000 + ".jpg,y\n", ":2: a line of more than 65536 characters"),
        ("a.jpg,x\n.,y\n", ":2: '.' is not below"),
    ],
)
def test_a_damaged_list_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(DatasetError) as caught:
        read_table(path)
    assert words in caught.value.message
    assert len(caught.value.message) < 400
    assert caught.value.hint


def test_a_label_that_looks_like_a_number_and_is_none_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("a.jpg,²\nb.jpg,10\nc.jpg," + "9" * 5000 + "\nd.jpg,..x\n")
    assert read_table(path).classes == ("..x", "10", "9" * 5000, "²")


def test_a_list_without_an_end_is_refused() -> None:
    with pytest.raises(DatasetError, match=":1: a line of more than"):
        read_table(Path("/dev/zero"))


def instances(**change: Any) -> dict[str, Any]:
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2]}
    image = {"id": 1, "file_name": "a.jpg"}
    category = {"id": 1, "name": "cat"}
    for entry in (annotation, image, category):
        entry.update(
            {key: value for key, value in change.items() if key in entry or (key == "area" and "bbox" in entry)}
        )
    return {"images": [image], "categories": [category], "annotations": [annotation]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps(instances(bbox=[1])), "a bbox is [1], not four numbers"),
        (json.dumps(instances(id=float("inf"))), "is not a finite number"),
        (json.dumps(instances(id=1)).replace('"id": 1', '"id": 1e400', 1), "is not a finite number"),
        (json.dumps(instances(id="9" * 400)), "is not a finite number"),
        (json.dumps(instances(id=10**30)), "is too large for an id"),
        (json.dumps(instances(id=1)).replace('"id": 1', f'"id": {"9" * 5000}', 1), "read as an instances JSON"),
        (json.dumps(instances(area=float("inf"))), "is not a finite number"),
        (json.dumps(instances(area=1)).replace('"area": 1', f'"area": 1{"0" * 400}'), "not a usable number"),
        (json.dumps(instances(file_name="\ud800.jpg")), "is not a plain path"),
        (json.dumps(instances(file_name="a\0.jpg")), "is not a plain path"),
        (json.dumps(instances(file_name="../a.jpg")), "is not a plain path"),
        (json.dumps(instances(file_name="x" * 10_000 + "\0")), "is not a plain path"),
        (json.dumps(instances(file_name="./" * 10**6 + "a.jpg")), "is not a plain path"),
        (json.dumps(instances(name="\ud800")), "cannot be the name of a category"),
        (json.dumps(instances(name=["cat"])), "['cat'] cannot be the name of a category"),
        ('{"images": ' + "[" * 100_000, "nested too deeply"),
        ('{"info": ' + '{"a":' * 100_000, "nested too deeply"),
    ],
)  # fmt: skip
def test_a_damaged_instances_json_is_refused_with_its_fault(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "instances.json"
    path.write_text(text, errors="surrogatepass")
    with pytest.raises(DatasetError) as caught:
        read_coco(path)
    assert words in caught.value.message
    assert len(caught.value.message) < 500
    assert caught.value.hint
    caught.value.message.encode()


def test_a_damaged_instances_json_is_not_held_whole(tmp_path: Path) -> None:
    """A text that is not closed at the beginning of 1 GiB: reading on would hold all of it, more than once."""
    path = tmp_path / "instances.json"
    with path.open("wb") as stream:
        stream.write(b'{"images": [{"id": 1, "file_name": "')
        stream.write(b"a" * (1 << 20))
        stream.truncate(1 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DatasetError, match=r"cannot be read as an instances JSON"):
        read_coco(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000


def test_a_record_whose_label_ends_behind_the_file_is_refused(tmp_path: Path) -> None:
    features = Features("image", "label")
    good = pack_record(b"\xff\xd8", 1, features)
    for cut in range(12, len(good) - 4):
        length = (cut - 12).to_bytes(8, "little")
        record = length + _crc(length) + good[12:cut] + b"\xff\xff\xff\xff"
        path = tmp_path / f"{cut}.tfrecord"
        path.write_bytes(record)
        try:
            read_examples(path, features)
        except DatasetError as error:
            assert error.hint


def _crc(data: bytes) -> bytes:
    from harness.bench.loaders import tfrecords

    masked: int = getattr(tfrecords, "_masked_crc")(data)  # noqa: B009
    return masked.to_bytes(4, "little")


def test_an_image_file_that_no_image_can_be_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.jpg"
    path.touch()
    os.truncate(path, 50 * 10**9)
    found = inspect_file(str(path))
    assert (found.cause, found.size) == ("not_an_image", 50 * 10**9)
    assert inspect_file(f"{tmp_path}/a\0b.jpg").cause == "unreadable"


def test_what_is_no_file_is_neither_waited_for_nor_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")  # nobody writes into it
    (tmp_path / "endless.jpg").symlink_to("/dev/zero")
    for name in ("pipe.jpg", "endless.jpg"):
        found = inspect_file(str(tmp_path / name))
        assert (found.cause, found.problem) == ("unreadable", "it is not a regular file")
        with pytest.raises(DataError, match="cannot be read: it is not a regular file"):
            source_file(tmp_path / name, name)

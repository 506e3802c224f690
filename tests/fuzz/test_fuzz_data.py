"""What describes a data set, damaged: lists, instances JSONs, TFRecord files, images, names of files."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzzing import HOSTILE_TEXTS, damaged_bytes, damaged_json, fuzzed, one_case
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.bench.data.dataset import examine, list_path, prepare, summarise
from harness.bench.data.listing import Listing
from harness.bench.loaders.tfrecords import Features, pack_record
from harness.bench.protocol.dataset_errors import DatasetError
from harness.ship.dataset_check import parse_known


def encode(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (40, 33), (9, 99, 200)).save(stream, kind)
    return stream.getvalue()


JPEG, PNG = encode("JPEG"), encode("PNG")
LIST = b'path,label\na.jpg,cat\nb/c.png,"dog"\n"d,e.jpg",7\n'
INSTANCES: dict[str, Any] = {
    "info": {"year": 2017},
    "images": [{"id": 1, "file_name": "a.jpg", "width": 40}, {"id": 2, "file_name": "b/c.png"}],
    "categories": [{"id": 1, "name": "cat"}, {"id": 7, "name": "dog"}],
    "annotations": [
        {"id": 5, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10.5], "segmentation": [[1, 2, 3, 4]]},
        {"id": 6, "image_id": 2, "category_id": 7, "area": 12.5, "iscrowd": 0},
    ],
}
RECORDS = b"".join(pack_record(JPEG, label, Features("image", "label")) for label in (0, 1, 1))
DESCRIPTION = {"images": 2, "bytes": 1000, "classes": 2, "fingerprint": "ab" * 32, "mean_width": 40.0, "odd": {}}


def refusal_of(function: Callable[[], object]) -> DatasetError | None:
    """What is said of a set that is refused, which has a hint and is no page long."""
    try:
        function()
    except DatasetError as error:
        assert error.hint
        assert len(error.message) < 20_000
        error.message.encode()  # it can be written
        return error
    return None


def write_pair(folder: Path) -> Path:
    images = folder / "images"
    (images / "b").mkdir(parents=True)
    (images / "a.jpg").write_bytes(JPEG)
    (images / "b" / "c.png").write_bytes(PNG)
    (images / "d,e.jpg").write_bytes(JPEG)
    return images


def check(listing: Listing, folder: Path) -> None:
    refusal_of(lambda: prepare(listing, folder / "dataset", links=listing.kind == "coco", cpus=1))


def check_pair(folder: Path, labels: bytes) -> None:
    images = write_pair(folder)
    (folder / "labels").write_bytes(labels)
    refusal_of(lambda: check(list_path(images, folder / "labels"), folder))


@fuzzed
@given(damaged_bytes(LIST))
def test_list_of_labels(labels: bytes) -> None:
    with one_case() as folder:
        check_pair(folder, labels)


@fuzzed
@given(damaged_json(INSTANCES))
def test_instances_json(labels: bytes) -> None:
    with one_case() as folder:
        check_pair(folder, labels)


@fuzzed
@given(damaged_bytes(RECORDS), st.sampled_from([b"", b"cat\ndog\n", b"\xff\n\0\n"]))
def test_records(records: bytes, words: bytes) -> None:
    with one_case() as folder:
        (folder / "set").mkdir()
        (folder / "set" / "a.tfrecord-00000-of-00002").write_bytes(records)
        (folder / "set" / "a.tfrecord-00001-of-00002").write_bytes(RECORDS)
        if words:
            (folder / "set" / "label.labels.txt").write_bytes(words)
        refusal_of(lambda: check(list_path(folder / "set"), folder))


@fuzzed
@given(damaged_bytes(JPEG, most=2), damaged_bytes(PNG, most=2))
def test_images(jpeg: bytes, png: bytes) -> None:
    with one_case() as folder:
        for name, content in (("a.jpg", jpeg), ("b.png", png)):
            (folder / "set" / name[0]).mkdir(parents=True)
            (folder / "set" / name[0] / name).write_bytes(content)
        summarise(examine(list_path(folder / "set"), cpus=1)).to_json()


def names() -> st.SearchStrategy[bytes]:
    """Names that a file can have: any bytes but NUL and a slash."""
    raw = st.sampled_from([text.encode(errors="surrogatepass") for text in HOSTILE_TEXTS]) | st.binary(max_size=9)
    return raw.map(lambda name: name.replace(b"\0", b"").replace(b"/", b"")[:200] or b"x")


@fuzzed
@given(st.lists(names(), min_size=1, max_size=3), st.lists(names(), min_size=1, max_size=3), st.booleans())
def test_names_of_files(classes: list[bytes], files: list[bytes], is_known: bool) -> None:
    with one_case() as folder:
        for name in classes:
            place = os.path.join(os.fsencode(folder), b"set", b"c" + name)
            os.makedirs(place, exist_ok=True)
            for file in files:
                with open(os.path.join(place, file + b".jpg"), "wb") as stream:
                    stream.write(JPEG)
        refusal_of(lambda: check(list_path(folder / "set"), folder))
        if is_known:
            refusal_of(lambda: check(list_path(folder / "set"), folder))  # what was kept is read again


@fuzzed
@given(damaged_json(DESCRIPTION))
def test_kept_description(text: bytes) -> None:
    with one_case():
        parse_known(text.decode(errors="replace"))

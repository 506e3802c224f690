"""Folders as people have them: what they are is said in the same words by a check, on a host and on this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import pytest
from PIL import Image

from harness.bench.data.dataset import list_path, prepare
from harness.bench.data.listing import Listing
from harness.bench.data.look import look
from harness.bench.data.survey import gather
from harness.bench.loaders.class_folders import LINKS
from harness.bench.protocol.dataset_errors import DatasetError
from harness.engine.reached import Reached
from harness.hosts.folders import resolve_sources
from harness.hosts.local import LocalConnection
from harness.inventory import DataSet
from harness.ship.data_inspection import inspect_data
from harness.values.data import DataState
from harness.values.facts import Facts

HERE = LocalConnection("here")
KINDS = {".bmp": "BMP", ".gif": "GIF", ".png": "PNG", ".tif": "TIFF", ".webp": "WEBP"}


def fill(root: Path, *names: str) -> Path:
    """Make images of these names, and other files of a few bytes."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = KINDS.get(path.suffix.lower(), "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else None)
        if kind is None:
            path.write_bytes(b"0 0.5 0.5 0.1 0.1\n")
        else:
            Image.new("RGB", (40 + number % 7, 40), (number % 256, 99, 0)).save(path, format=kind)
    return root


def look_at_host(
    source: DataSet, root: Path, formats: tuple[str, ...] = (), *, is_local: bool = True
) -> tuple[Any, DataState]:
    """Look at a data set as ``check``, ``plan`` and ``run`` do: through a shell of the host."""
    host: Any = SimpleNamespace(connection="local" if is_local else "ssh", inventory=None)
    data = resolve_sources(HERE, {"set": source})
    reached = Reached(host, HERE, Facts(uid=os.getuid()), str(root / "scratch"), {}, 10**9, data)
    return inspect_data(reached, "set", formats=formats)


def look_at_both(root: Path, **asked: Any) -> Listing:
    """List a folder here, and see that a host says the same of it. Raises DatasetError where both find a fault."""
    source, state = look_at_host(DataSet(folder=str(root), **asked), root.parent)
    try:
        listing = list_path(root, **asked)
    except DatasetError as fault:
        assert (state.problem, state.hint) == (fault.message, fault.hint)
        raise
    if listing.fault is not None:
        assert (state.problem, state.hint) == (listing.fault.message, listing.fault.hint)
        return listing
    assert state.problem is None, state.problem
    assert source.place == str(listing.folder)
    assert state.said == listing.said[: len(state.said)], "a host says the same, before it reads a list"
    assert state.is_labelled == listing.is_labelled
    assert state.images is None or state.is_bound or state.images == len(listing.paths)
    return listing


class Row(NamedTuple):
    """A folder by the files in it, and what is said of it."""

    files: tuple[str, ...]
    said: str
    paths: tuple[str, ...]
    classes: tuple[str, ...] = ("cat", "dog")
    asked: Mapping[str, Any] = MappingProxyType({})


PAIR = ("cat/1.jpg", "dog/2.jpg")
SPLIT = tuple(f"{part}/{path}" for part in ("train", "val") for path in PAIR)
ROWS = {
    "splits": Row(
        SPLIT,
        "parts of a set, not classes: train/ (2 images) and val/ (2 images), each with the same 2 class folders: "
        "train/ is read, val/ left out; `--split val` (in an inventory `split: val`) takes val/ instead",
        PAIR,
    ),
    "a split that was chosen": Row(
        SPLIT,
        "val/ is read, train/ left out; `--split train` (in an inventory `split: train`) takes train/ instead",
        PAIR,
        asked={"split": "val"},
    ),
    "splits of other names": Row(
        (*(f"{part}/{path}" for part in ("valid", "test", "Train") for path in PAIR), "readme.md"),
        "Train/ is read, valid/ and test/ left out",
        PAIR,
    ),
    "splits that differ": Row(
        (*SPLIT, "val/emu/3.jpg"), "val/ left out; emu is in only one of them; `--split val`", PAIR
    ),
    "one split": Row(
        ("train/1.jpg", "train/2.jpg", "labels.csv"),
        "train/ (2 images) is a part of a set, not a class: its images are read",
        ("1.jpg", "2.jpg"),
        ("unlabelled",),
    ),
    "classes that are called like splits": Row(
        ("train/1.jpg", "bus/2.jpg"), "2 classes (bus, train), 2 images", ("bus/2.jpg", "train/1.jpg"), ("bus", "train")
    ),
    "junk": Row(
        (*PAIR, "__MACOSX/cat/._1.jpg", "cat/._1.jpg", "cat/@eaDir/1.jpg", "dog/Thumbs.db", ".ipynb_checkpoints/1.jpg"),
        "left out because they do not belong to the set: `._*` (1 file), `.ipynb_checkpoints/`, `@eaDir/` (1 file), "
        "`Thumbs.db` (1 file) and `__MACOSX/` (1 file) (made by archives or file managers)",
        PAIR,
    ),
    "no class folders": Row(
        ("1.jpg", "2.jpeg", "notes.txt", "labels.csv"),
        "2 images without class folders, so without labels: loading can be measured, training cannot; to train, "
        "give one folder per class, or a list of paths and labels",
        ("1.jpg", "2.jpeg"),
        ("unlabelled",),
    ),
    "boxes beside images": Row(
        ("1.jpg", "1.txt", "2.jpg", "2.txt"),
        "2 text files beside the images, as YOLO writes for boxes: they are not classes",
        ("1.jpg", "2.jpg"),
        ("unlabelled",),
    ),
    "a list without labels": Row(
        ("1.jpg", "metadata.csv"),
        "metadata.csv has no column of labels (label, class or category, for example), so it is not read",
        ("1.jpg",),
        ("unlabelled",),
    ),
    "an empty class": Row(
        (*PAIR, "emu/notes.txt"),
        "emu/ has no image but counts as a class, as in Keras, so that the labels of the others keep their numbers; "
        "remove a folder that is not a class",
        PAIR,
        ("cat", "dog", "emu"),
    ),
    "images beside classes": Row(
        (*PAIR, "3.jpg"), "1 image beside the class folders (3.jpg): without a class, so left out", PAIR
    ),
    "formats that no loader takes": Row(
        (*PAIR, "cat/3.heic", "dog/4.HEIC"),
        "2 HEIC files (such as cat/3.heic): no loader reads this format, so it is left out; `find ",
        PAIR,
    ),
    "formats that are left out": Row(
        (*PAIR, "cat/3.tif", "cat/5.webp"),
        "1 TIFF file (cat/3.tif) and 1 WebP file (cat/5.webp): left out, since not every loader reads them; `find ",
        PAIR,
        asked={"skip_unreadable": True},
    ),
    "one folder in a folder": Row(
        ("photos/cat/1.jpg", "photos/dog/2.jpg"),
        "the only class photos has subfolders: if these are the classes, give the path of photos/",
        ("photos/cat/1.jpg", "photos/dog/2.jpg"),
        ("photos",),
    ),
    "flat splits with a list beside them": Row(
        ("train/1.jpg", "test/2.jpg", "labels.csv"),
        "labels.csv beside them may hold labels: `harness data describe ",
        ("1.jpg",),
        ("unlabelled",),
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_folder_is_named_and_read(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    listing = look_at_both(fill(tmp_path / "set", *row.files), **row.asked)
    assert row.said in "\n".join(listing.said)
    assert (listing.paths, listing.classes) == (row.paths, row.classes)


def write_labels(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text)


def make_yolo(root: Path) -> Path:
    return fill(root, "images/train/1.jpg", "images/val/2.jpg", "labels/train/1.txt", "labels/val/2.txt", "data.yaml")


def make_parquet(root: Path) -> Path:
    return fill(root, "data/train-00000-of-00001.parquet", "README.md")


def make_others(root: Path) -> Path:
    return fill(root, *PAIR, "cat/3.webp", "cat/4.gif", "dog/5.bmp", "dog/6.bmp")


def make_nothing(root: Path) -> Path:
    return fill(root, "cat/notes.txt")


FAULTS: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "YOLO": (
        make_yolo,
        "is a YOLO set: images/ with text files of boxes in labels/, which are not classes",
        "/images/train (images without labels); to train, write a list of paths and labels",
    ),
    "parquet": (make_parquet, "1 Parquet file (data/train-00000-of-00001.parquet): images inside tables", "labels.csv"),
    "formats": (
        make_others,
        "4 of 6 files in {root} cannot be read by every loader:\n"
        "  dog/5.bmp: 2 BMP files, which not every loader reads\n"
        "  cat/4.gif: 1 GIF file, which not every loader reads\n"
        "  cat/3.webp: 1 WebP file, which not every loader reads",
        "; or leave them out: `--skip-unreadable` (in an inventory `skip_unreadable: true`)",
    ),
    "nothing": (make_nothing, "has no images: zero files ending in .jpg, .jpeg or .png", "one folder of images"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_folder_that_cannot_be_measured_is_named_with_the_way_round(name: str, tmp_path: Path) -> None:
    make, message, hint = FAULTS[name]
    root = make(tmp_path / "set")
    with pytest.raises(DatasetError) as caught:
        prepare(look_at_both(root), tmp_path / "kept", cpus=1)
    assert message.format(root=root) in caught.value.message
    assert hint in (caught.value.hint or "")


def test_the_line_for_parquet_files_writes_their_images_and_a_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files of one part, and a folder of an odd name."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    root = tmp_path / "it's $HOME"
    (root / "data").mkdir(parents=True)
    image = fill(tmp_path / "from", "1.jpg") / "1.jpg"
    for name, label in (("train-00000-of-00002", 1), ("train-00001-of-00002", 2), ("test-00000-of-00001", 3)):
        row = {"image": {"bytes": image.read_bytes(), "path": None}, "label": label}
        pandas.DataFrame([row]).to_parquet(root / "data" / f"{name}.parquet")
    (root / "data" / "test-00000-of-00001.parquet").rename(root / "data" / "validation-00000-of-00001.parquet")
    with pytest.raises(DatasetError) as caught:
        list_path(root)
    (line,) = re.findall(r"`(mkdir images.*)`", caught.value.hint or "")
    monkeypatch.chdir(tmp_path)
    subprocess.run(["sh", "-c", line.replace("python", sys.executable, 1)], check=True)
    assert Path("labels.csv").read_text() == "00000000.jpg,1\n00000001.jpg,2\n"
    assert list_path(Path("images"), Path("labels.csv")).classes == ("1", "2")


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no part 'test': it has train and val") as caught:
        look_at_both(fill(tmp_path / "set", *SPLIT), split="test")
    assert "choose one of these: train, val" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.csv", "file_name,text,label\n1.jpg,a cat,cat\n2.jpg,a dog,dog\n"),
        ("metadata.jsonl", '{"file_name": "1.jpg", "label": "cat"}\n{"file_name": "2.jpg", "label": "dog"}\n'),
    ],
)
def test_an_image_folder_of_hugging_face_is_read_by_its_list(name: str, text: str, tmp_path: Path) -> None:
    root = fill(tmp_path / "set" / "train", "1.jpg", "2.jpg").parent
    fill(root / "test", "3.jpg")
    for part in ("train", "test"):
        write_labels(root / part, name, text)
    listing = look_at_both(root)
    assert f"a Hugging Face ImageFolder: {name} lists its images, in the columns file_name and label" in listing.said
    assert (listing.paths, listing.labels, listing.classes) == (("1.jpg", "2.jpg"), (0, 1), ("cat", "dog"))
    assert listing.said[0].startswith("parts of a set, not classes: train/ (2 images) and test/ (1 image)")


def test_a_coco_folder_is_a_pair(tmp_path: Path) -> None:
    root = fill(tmp_path / "coco", "train2017/1.jpg", "val2017/2.jpg")
    (root / "annotations").mkdir()
    for part, number in (("train2017", 1), ("val2017", 2)):
        images = [{"id": number, "file_name": f"{number}.jpg"}]
        boxes = [{"id": 1, "image_id": number, "category_id": 1, "bbox": [0, 0, 2, 2]}]
        said = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}
        write_labels(root / "annotations", f"instances_{part}.json", json.dumps(said))
    listing = look_at_both(root)
    assert (
        "a COCO pair: train2017/ with annotations/instances_train2017.json; val2017/ left out: "
        "`--split val2017` (in an inventory `split: val2017`) takes val2017/ instead"
    ) in listing.said
    assert (listing.kind, listing.paths, listing.classes) == ("coco", ("1.jpg",), ("cat",))
    assert look_at_both(root, split="val2017").paths == ("2.jpg",)


@pytest.mark.parametrize("is_local", [True, False])
def test_a_list_is_read_before_its_check_and_what_it_says_is_told(is_local: bool, tmp_path: Path) -> None:
    images = fill(tmp_path / "images", "10_left.jpeg", "b/11_left.jpeg", ".hidden/11_left.jpeg")
    labels = tmp_path / "labels.csv"
    write_labels(tmp_path, "labels.csv", "level;image;who\n0;10_left;x\n2;11_left;y\n")
    source = DataSet(images=str(images), annotations=str(labels))
    _, state = look_at_host(source, tmp_path, is_local=is_local)
    assert state.problem is None
    assert list_path(images, labels).paths == ("10_left.jpeg", "b/11_left.jpeg")
    assert state.said == list_path(images, labels).said
    assert state.said == (
        "labels.csv: column 2 holds the paths and column 1 the labels",
        "labels.csv: these columns are ignored: who",
        "2 names in labels.csv without a suffix: each matched to the image with that name",
    )
    write_labels(tmp_path, "labels.csv", "image,healthy,rust\n10_left,0,1\n11_left,1,0\n")
    with pytest.raises(DatasetError) as caught:
        list_path(images, labels)
    _, state = look_at_host(source, tmp_path, is_local=is_local)
    assert state.problem == caught.value.message
    assert (state.hint or "").startswith(caught.value.hint or "?")
    assert "cannot determine which column holds the labels: healthy, rust" in (state.problem or "")


def test_all_loaders_are_given_the_same_images_where_a_folder_holds_others(tmp_path: Path) -> None:
    """Loaders that list a folder by themselves get a tree of links; of a plain folder they get the folder."""
    kept = tmp_path / "kept"
    prepare(list_path(fill(tmp_path / "junk", *PAIR, "cat/._1.jpg")), kept, cpus=1)
    assert sorted(str(path.relative_to(kept / LINKS)) for path in (kept / LINKS).rglob("*.jpg")) == [
        "cat/cat%2F1.jpg", "dog/dog%2F2.jpg",
    ]  # fmt: skip
    prepare(list_path(fill(tmp_path / "plain", *PAIR)), kept, cpus=1)
    assert not (kept / LINKS).exists()
    prepare(list_path(fill(tmp_path / "flat", "1.jpg")), kept, cpus=1)
    assert (kept / LINKS / "unlabelled" / "1.jpg").is_symlink()


def test_unreadable_images_are_left_out_and_named(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", *PAIR, "cat/3.jpg", "dog/4.tif")
    (root / "cat" / "3.jpg").write_bytes(b"\xff\xd8 no image")
    listing = list_path(root, skip_unreadable=True)
    found = prepare(listing, tmp_path / "kept", cpus=1, skip_unreadable=True)
    assert (found.images, found.skipped_count) == (2, 2)
    assert [path for path, _ in found.skipped] == ["cat/3.jpg", "dog/4.tif"]
    assert not (tmp_path / "kept" / LINKS / "cat" / "cat%2F3.jpg").exists()
    with pytest.raises(DatasetError) as caught:
        prepare(list_path(root), tmp_path / "kept", cpus=1)
    assert "--skip-unreadable" in (caught.value.hint or "")


def test_formats_are_read_where_every_loader_reads_them(tmp_path: Path) -> None:
    root = make_others(tmp_path / "set")
    formats = ("BMP", "GIF", "WEBP")
    found = prepare(list_path(root, formats=formats), tmp_path / "kept", cpus=1, formats=formats)
    assert (found.images, found.formats) == (6, {"BMP": 2, "GIF": 1, "JPEG": 2, "WEBP": 1})
    _, state = look_at_host(DataSet(folder=str(root)), tmp_path, formats)
    assert (state.problem, state.images) == (None, 6)
    assert state.said[1].startswith(
        "2 BMP files (such as dog/5.bmp), 1 GIF file (cat/4.gif) and 1 WebP file (cat/3.webp): read"
    )
    (root / "cat" / "3.webp").rename(root / "cat" / "3.jpg")
    with pytest.raises(DatasetError, match=r"cat/3\.jpg: it is a WEBP file"):
        prepare(list_path(root, formats=formats), tmp_path / "kept", cpus=1, formats=formats)


def test_a_look_at_many_classes_takes_no_time(tmp_path: Path) -> None:
    survey = gather([f"{number:05d}/1.jpg" for number in range(20_000)], [f"{number:05d}" for number in range(20_000)])
    begun = time.process_time()
    found = look("/data", lambda place: survey)
    assert (len(found.classes), found.images) == (20_000, 20_000)
    assert time.process_time() - begun < 2

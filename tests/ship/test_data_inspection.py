"""One look at a data set says what its check would say, and counts what its check would read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from harness.bench.data.dataset import describe, list_path, prepare
from harness.bench.data.survey import Pile, Survey
from harness.bench.loaders.tfrecords import split_pattern
from harness.bench.protocol.dataset_errors import DatasetError
from harness.engine.reached import Reached
from harness.hosts.folders import data_folders, resolve_sources
from harness.hosts.local import LocalConnection
from harness.inventory import DataSet
from harness.inventory.variables import Generate
from harness.ship.data_inspection import Layout, described_folder, inspect_data, keep_description, parse_layout
from harness.values.data import DataState
from harness.values.facts import Facts

HERE = LocalConnection("here")


def inspect(source: DataSet, root: Path, *, is_local: bool = True, is_counted: bool = True) -> DataState:
    host: Any = SimpleNamespace(connection="local" if is_local else "ssh", inventory=Path("lab.yaml"))
    data = resolve_sources(HERE, {"set": source})
    reached = Reached(host, HERE, Facts(uid=os.getuid()), str(root / "scratch"), {}, 10**9, data)
    place, state = inspect_data(reached, "set", is_counted=is_counted)
    assert (place is None) is (state.problem is not None)
    return state


def save(path: Path, size: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), (size, 0, 0)).save(path, format="JPEG")


def annotate(path: Path, names: list[str]) -> None:
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    annotations = [{"image_id": number, "category_id": 1, "area": 1} for number in range(len(names))]
    path.write_text(json.dumps({"images": images, "categories": [{"id": 1, "name": "a"}], "annotations": annotations}))


def make_nothing(root: Path) -> DataSet:
    return DataSet(folder=str(root / "gone"))


def make_file(root: Path) -> DataSet:
    (root / "file").write_text("x")
    return DataSet(folder=str(root / "file"))


def make_hidden(root: Path) -> DataSet:
    save(root / "set" / ".hidden" / "1.jpg")
    return DataSet(folder=str(root / "set"))


def make_empty_classes(root: Path) -> DataSet:
    (root / "set" / "a").mkdir(parents=True)
    (root / "set" / "a" / "readme.txt").write_text("x")
    return DataSet(folder=str(root / "set"))


def make_other_suffixes(root: Path) -> DataSet:
    save(root / "set" / "a" / "1.jpg")
    for name in ("b/2.BMP", "a/3.tiff"):
        (root / "set" / name).parent.mkdir(exist_ok=True)
        (root / "set" / name).write_bytes(b"x")
    return DataSet(folder=str(root / "set"))


def make_pair_without_images(root: Path) -> DataSet:
    annotate(root / "pair.json", ["1.jpg"])
    return DataSet(images=str(root / "images"), annotations=str(root / "pair.json"))


def make_pair_without_labels(root: Path) -> DataSet:
    save(root / "images" / "1.jpg")
    return DataSet(images=str(root / "images"), annotations=str(root / "gone.json"))


def make_pair_with_a_folder_of_labels(root: Path) -> DataSet:
    save(root / "images" / "1.jpg")
    return DataSet(images=str(root / "images"), annotations=str(root / "images"))


def make_no_records(root: Path) -> DataSet:
    save(root / "records" / "1.jpg")
    return DataSet(tfrecord=str(root / "records"))


def make_no_such_records(root: Path) -> DataSet:
    save(root / "records" / "train-00000-of-00001")
    return DataSet(tfrecord=str(root / "records" / "val*"))


BROKEN = [
    make_nothing,
    make_file,
    make_hidden,
    make_empty_classes,
    make_other_suffixes,
    make_pair_without_images,
    make_pair_without_labels,
    make_pair_with_a_folder_of_labels,
    make_no_records,
    make_no_such_records,
]


@pytest.mark.parametrize("make", BROKEN, ids=lambda make: make.__name__.removeprefix("make_"))
def test_what_is_wrong_is_said_in_the_words_of_the_check(make: Callable[[Path], DataSet], tmp_path: Path) -> None:
    source = make(tmp_path)
    place = Path(source.folder or source.images or source.tfrecord or "")
    annotations = None if source.annotations is None else Path(source.annotations)
    with pytest.raises(DatasetError) as caught:
        listing = list_path(place, annotations) if source.tfrecord is None else _list_records(place)
        prepare(listing, tmp_path / "checked")
    state = inspect(source, tmp_path)
    assert (state.problem, state.hint) == (caught.value.message, caught.value.hint)
    far = inspect(source, tmp_path, is_local=False)
    assert far.problem == state.problem
    is_here = Path(split_pattern(str(place))[0]).is_dir() and (annotations is None or annotations.is_file())
    path = "" if is_here else " --from PATH (its path on this machine)"
    assert (far.hint or "").startswith(f"{state.hint}; or send it: harness ship lab.yaml --data set{path}, or")


def _list_records(place: Path) -> Any:
    from harness.bench.data.listing import list_tfrecord

    return list_tfrecord(place)


def test_a_folder_is_counted_as_it_is_listed(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name in ("a/1.jpg", "a/2.JPEG", "a/deep/3.jpg", "-b c/4 .jpg", "-b c/5\n.jpg", ".hidden/6.jpg", "7.jpg"):
        save(root / name)
    save(tmp_path / "elsewhere" / "8.jpg", size=64)
    save(tmp_path / "class" / "9.jpg")
    (root / "a" / "link.jpg").symlink_to(tmp_path / "elsewhere" / "8.jpg")
    (root / "a" / "loop").symlink_to(root)
    (root / "linked").symlink_to(tmp_path / "class")
    listing = list_path(root)
    state = inspect(DataSet(folder=str(root)), tmp_path)
    size = sum((root / path).stat().st_size for path in listing.paths)
    assert (state.images, state.bytes, state.is_bound) == (len(listing.paths), size, False) == (7, size, False)
    assert state.source == "files counted, not read yet" and state.fingerprint is None
    quick = inspect(DataSet(folder=str(root)), tmp_path, is_counted=False)
    assert (quick.problem, quick.images) == (None, 7), "what a folder is, its files tell"


def test_paths_below_home_are_those_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path / "pets" / "cat" / "1.jpg")
    save(tmp_path / "images" / "2.jpg")
    annotate(tmp_path / "pair.json", ["2.jpg"])
    (tmp_path / "train-00000-of-00001").write_bytes(b"x" * 9)
    sources = resolve_sources(
        HERE,
        {
            "pets": DataSet(folder="~/pets/../pets"),
            "pair": DataSet(images="~/images", annotations="~/pair.json"),
            "records": DataSet(tfrecord="~/train*"),
            "made": DataSet(generate=Generate(profile="coco", images=3)),
        },
    )
    assert sources["pair"].annotations == f"{tmp_path}/pair.json"
    assert data_folders(sources) == {
        "pets": f"{tmp_path}/pets", "pair": f"{tmp_path}/images", "records": str(tmp_path),
    }  # fmt: skip
    states = {name: inspect(source, tmp_path) for name, source in sources.items()}
    assert {name: state.problem for name, state in states.items()} == dict.fromkeys(sources)
    assert (states["pair"].images, states["pair"].is_bound) == (1, True)
    assert (states["records"].images, states["records"].bytes) == (None, 9)
    assert (states["made"].images, states["made"].will_be_made) == (3, True)


def test_what_was_described_is_known_until_the_files_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "set"
    for number in range(3):
        save(root / "a" / f"{number}.jpg", size=10 + number)
    source = DataSet(folder=str(root))
    found = describe(root)
    keep_description_of(root, found.to_json())
    state = inspect(source, tmp_path)
    assert (state.fingerprint, state.images, state.source) == (found.fingerprint, 3, "as last checked")
    assert inspect(source, tmp_path, is_local=False).fingerprint is None, "another machine has other files"
    save(root / "a" / "new.jpg")
    state = inspect(source, tmp_path)
    assert (state.fingerprint, state.images) == (None, 4)
    assert state.source == "files counted; they have changed since they were last checked"


def test_what_a_folder_is_is_said_by_the_look_at_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check before may have been one of loaders that read other formats."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "set"
    save(root / "a" / "1.jpg")
    Image.new("RGB", (8, 8)).save(root / "a" / "2.bmp")
    found = describe(root, skip_unreadable=True)
    keep_description_of(root, found.to_json())
    source = DataSet(folder=str(root), skip_unreadable=True)
    host: Any = SimpleNamespace(connection="local", inventory=None)
    reached = Reached(host, HERE, Facts(uid=os.getuid()), str(tmp_path), {}, 10**9, {"set": source})
    _, state = inspect_data(reached, "set", formats=("BMP",))
    assert [sentence.partition(":")[0] for sentence in state.said] == [
        "one folder of images per class", "1 BMP file (a/2.bmp)",
    ]  # fmt: skip


def keep_description_of(folder: Path, description: dict[str, object]) -> None:
    kept = described_folder(folder)
    kept.mkdir(parents=True)
    keep_description(kept, description)


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("", Layout()),
        ("absent\n", Layout(word="absent")),
        (
            "dir a\npile 40 146759 a\t.jpg\ta/x y.jpg\njunk 2 ._*\nfile 7 a.csv\n"
            "head metadata.csv file_name,label\nwhole\n",
            Layout(
                survey=Survey(
                    ("a",),
                    (Pile("a", ".jpg", 40, 146759, "a/x y.jpg"),),
                    {"._*": 2},
                    (("a.csv", 7),),
                    {"metadata.csv": "file_name,label"},
                )
            ),
        ),
        ("dir a\npile 40 146759 a\t.jpg\ta/x y.jpg\n", Layout()),
        ("dir\npile 40\npile -1 2 a\tb\tc\npile 1 2 a b\nnoise\nwhole\n", Layout(survey=Survey())),
        ("record 12 train 1\nrecord ? x\nwhole\n", Layout(records=((12, "train 1"),))),
    ],
)
def test_what_a_host_writes_is_read_as_far_as_it_makes_sense(text: str, layout: Layout) -> None:
    assert parse_layout(text) == layout

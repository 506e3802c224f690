"""Each planted fault of a real loader is caught and named, and a sound one is not blamed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.bench.data import indexed
from harness.bench.data.indexed import IndexedSet
from harness.bench.proof import same_work
from harness.bench.protocol.loader_registry import CACHES, LOADERS

pytestmark = pytest.mark.tensorflow
Sets = dict[str, IndexedSet]
FAULTY = Path(__file__).with_name("faulty_loaders.py")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    root = tmp_path_factory.mktemp("sets")
    return {kind: IndexedSet(root / kind, kind, 3) for kind in ("folder", "coco", "tfrecord")}


def problems(sets: Sets, folder: Path, kind: str = "folder", **case: Any) -> list[str]:
    whole = {"data": "d", "loader": "tfdata", "interpolation": "nearest", **case}
    return same_work.try_variant(same_work.Variant("k", kind, whole), folder, sets)["problems"]


def prove(folder: Path, variants: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What the real task finds, in a process of its own; ``variants`` have a key, and may have a kind and a case."""
    folder.mkdir(exist_ok=True)
    usual = {"data": "d", "interpolation": "nearest"}
    whole = [{"kind": "folder", **one, "case": {**usual, **one["case"]}} for one in variants]
    (folder / "request.json").write_text(json.dumps({"task": "samework", "variants": whole, "seed": 3, "paths": {}}))
    command = [sys.executable, "-m", "harness.bench.proof.same_work", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, Any]] = json.loads((folder / "results" / "dataset.json").read_text())["variants"]
    return found


@pytest.mark.parametrize(
    "case",
    [
        {"loader": "keras-idg", "interpolation": "native"},
        {"loader": "keras-idg", "interpolation": "bilinear-antialias", "kind": "coco"},
        {"loader": "keras-directory", "interpolation": "native", "kind": "coco"},
        {"loader": "keras-directory"},
        {"interpolation": "bilinear"},
        {"interpolation": "bilinear-antialias"},
        {"cache": "memory"},
        {"cache": "file", "cache_reuse": "reused", "kind": "coco"},
        {"shuffle": False},
        {"kind": "tfrecord"},
        {"kind": "tfrecord", "loader": "decoder"},
        {"kind": "tfrecord", "loader": "tfdata-tuned", "cache": "snapshot", "element": "uint8"},
        {"cache": "array", "cache_reuse": "reused", "kind": "coco"},
        {"kind": "tfrecord", "loader": "tfdata-tuned", "cache": "array", "element": "uint8"},
        {"decoding": "fast-dct"},
        {"decoding": "plain-upscaling"},
        {"decoding": "scaled"},
        {"decoding": "cropped"},
        {"cache": "tfrecord-resized", "element": "encoded"},
    ],
)
def test_a_sound_loader_is_not_blamed(sets: Sets, tmp_path: Path, case: dict[str, Any]) -> None:
    assert problems(sets, tmp_path / "v", **case) == []


def test_every_loader_with_every_cache_is_sound(tmp_path: Path) -> None:
    """The built-in ones as a session proves them; a cache is declared, and its files are filled anew for new data."""
    variants = []
    for name, spec in LOADERS.items():
        for cache in () if spec.is_automatic else spec.caches:
            offered = CACHES[cache].elements
            element = "float32" if cache == "none" else "uint8" if "uint8" in offered else offered[0]
            kinds = ("folder", "coco", "tfrecord") if cache == "none" else ("folder",)
            case = {"loader": name, "cache": cache, "element": element}
            variants += [
                {"key": f"{name} {cache} {kind}", "kind": kind, "case": case} for kind in kinds if kind in spec.kinds
            ]
        if "array" in spec.caches:
            case = {"loader": name, "cache": "array", "element": "float32"}
            variants.append({"key": f"{name} array float32", "kind": "folder", "case": case})
        if not spec.is_automatic:
            case = {"loader": name, "deliver": "uint8"}
            variants.append({"key": f"{name} delivers uint8", "kind": "folder", "case": case})
    for cache, kept in CACHES.items():
        if "uint8" in kept.elements and cache != "none":
            case = {"loader": "tfdata-tuned", "cache": cache, "element": "uint8", "deliver": "uint8"}
            variants.append({"key": f"{cache} delivers uint8", "kind": "folder", "case": case})
    found = prove(tmp_path / "job", variants)
    assert set(found) == {one["key"] for one in variants} and len(found) > 55
    assert {key: one["problems"] for key, one in found.items() if one["problems"] or not one["is_proven"]} == {}


PLANTED = {
    "drops_last": "drops the last, incomplete batch: 3 of 27 images are left out",
    "drops_last_unseen": "drops the last, incomplete batch: 3 of 27 images are left out",
    "drops_one": "leaves out 1 of 27 images (picture 0)",
    "repeats_one": "delivers images more than once: 1 too many (picture ",
    "half_twice": "delivers one half of the images twice and leaves the rest out (13 of 27)",
    "never_ends": "it delivers more batches than the data set has, 5 or more instead of 4",
    "ends_nowhere": "its epoch does not end: more than 108 images came, but the set has 27",
    "shifts_labels": "labels are shifted against the images by 1: wrong labels for 5 of 27",
    "counts_from_one": "labels are wrong: they count from 1, not from 0",
    "other_classes": "its classes are numbered differently from the data set's",
    "one_hot": "labels are one-hot vectors of 5 values, not numbers",
    "other_filter": "pixels are not those of nearest but of bilinear (another filter) (81 of 81 pictures",
    "to_255": "values go from 0 to 255, not from 0 to 1",
    "from_minus_one": "values go from -1 to 1, not from 0 to 1",
    "scaled_twice": "values are divided by 255 twice",
    "standardised": "values go from about -1.",
    "blue_first": "red and blue are exchanged (81 of 81 pictures)",
    "mirrored": "pictures are mirrored left to right (81 of 81 pictures)",
    "upside_down": "pictures are upside down (81 of 81 pictures)",
    "grey": "pictures are grey (no colours) (81 of 81 pictures)",
    "half_decoded": "pictures have half the resolution (made smaller and enlarged again) (81 of 81 pictures)",
    "half_enlarged": "pictures have half the resolution (made smaller and enlarged again) (81 of 81 pictures)",
    "half_sized": "images have the shape 32 × 48 × 3, not 64 × 96 × 3: half the resolution",
    "turned_shape": "images have the shape 96 × 64 × 3, not 64 × 96 × 3: height and width are exchanged",
    "cropped": "pictures are cropped (81 of 81 pictures, about the central 80 % of height and width)",
    "cut_out": "pictures are cropped (81 of 81 pictures, about the central part of the target's size)",
    "padded": "pictures have borders (padded to the size instead of resized) (81 of 81 pictures)",
    "brighter": "brightness or contrast is changed (81 of 81 pictures)",
    "hidden_memory": "serves pictures from a cache that it does not declare: 27 of 27 images were still the old ones",
    "hidden_table": "serves pictures from a cache that it does not declare: 27 of 27 images were still the old ones",
    "hidden_half": "serves pictures from a cache that it does not declare: 13 of 27 images were still the old ones",
    "fails_to_batch": "ends with an error: its images have different shapes, [",
    "fails_by_shape": "ends with an error: two shapes do not match: [64,96,3] and [32,48,3]",
    "fails_by_type": "ends with an error: its output has another type than the declared float32",
    "fails_in_python": "ends with an error: it raised KeyError: ' colour'",
    "fails_at_once": "ends with an error: it raised SystemExit: no licence",
    "misses_a_file": "ends with an error: it looks for a file that does not exist: ant/000.jpg.gone",
    "wrong_pairs": "ends with an error: it raised TypeError: its batches are 3 values, not pairs of images and labels",
}
"""What is said of each loader of ``faulty_loaders.py``: one line, with these words in it."""
SOUND = ("sound", "cached", "late", "mapped", "keyed_by_time")
OF_TENSORFLOW = ("EnsureShape", "{{", "[[", "Op:", "Iterator", "\\x", "\\t", "\t", "\x1b", "Traceback", "\n")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the task says of all loaders of ``faulty_loaders.py``."""
    own = [*PLANTED, *SOUND, "mirrored_at_random", "at_random", "as_bytes", "exhausts_memory"]
    variants: list[dict[str, Any]] = [{"key": name, "case": {"loader": f"{FAULTY}:{name}"}} for name in own]
    declared = [(f"{name}, declared", name, "memory") for name in ("sound", "cached", "keyed_by_time")]
    declared += [(name, name, "file") for name in ("fixed_file", "keyed_file")]
    variants += [{"key": key, "case": {"loader": f"{FAULTY}:{name}", "cache": cache}} for key, name, cache in declared]
    return prove(tmp_path_factory.mktemp("planted"), variants)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_caught_and_named(planted: dict[str, dict[str, Any]], name: str) -> None:
    found = planted[name]
    assert found["is_proven"]
    (line,) = found["problems"]
    assert PLANTED[name] in line
    assert not [words for words in OF_TENSORFLOW if words in line]
    assert len(line) < 300
    is_error = name.startswith(("fails_", "misses_", "never_", "wrong_", "drops_last_unseen"))
    assert ("Traceback (most recent call last)" in found.get("trace", "")) == is_error


@pytest.mark.parametrize("name", [*SOUND, "cached, declared", "keyed_by_time, declared", "keyed_file"])
def test_a_sound_loader_of_ones_own_is_not_blamed(planted: dict[str, dict[str, Any]], name: str) -> None:
    """Also one that reads more than an epoch ahead, one that keeps its files mapped, one that looks at their times."""
    assert planted[name]["problems"] == []


def test_what_a_cache_is_called_is_what_it_is(planted: dict[str, dict[str, Any]]) -> None:
    (line,) = planted["sound, declared"]["problems"]
    assert "declares the cache `memory` and does not cache: 27 of 27 images of a later epoch" in line
    (line,) = planted["fixed_file"]["problems"]
    assert "serves pictures from a cache of other data: 27 of 27 images were still the old ones" in line


def test_faults_of_some_pictures_and_several_faults_are_told(planted: dict[str, dict[str, Any]]) -> None:
    (line,) = planted["mirrored_at_random"]["problems"]
    share = int(line.partition("mirrored left to right (")[2].partition(" of 81 pictures")[0])
    assert 20 < share < 61
    assert len(planted["at_random"]["problems"]) == 2
    assert planted["as_bytes"]["problems"] == [
        "its images are uint8, not float32",
        "its values go from 0 to 255, not from 0 to 1",
    ]


def test_a_failure_of_the_host_proves_nothing(planted: dict[str, dict[str, Any]]) -> None:
    """No memory, no disk: that says nothing of the loader, and the others are still tried."""
    found = planted["exhausts_memory"]
    assert (found["is_proven"], found["problems"]) == (False, [])
    assert found["reason"] == "it raised MemoryError: no memory"


def test_an_approximate_decoding_is_still_held_to_images_and_labels(
    sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.bench.loaders.interface import Loader

    sound = Loader.batches

    def change(images: Any, labels: Any) -> tuple[Any, Any]:
        pictures, classes = np.array(images), np.array(labels)
        pictures[-1], classes[-1] = pictures[0], classes[0]
        return pictures, classes

    monkeypatch.setattr(Loader, "batches", lambda self: (change(*batch) for batch in sound(self)))
    found = problems(sets, tmp_path / "v", decoding="cropped")
    assert any("more than once" in line for line in found), found
    monkeypatch.setattr(
        Loader, "batches", lambda self: ((images, np.roll(np.array(labels), 1)) for images, labels in sound(self))
    )
    found = problems(sets, tmp_path / "w", decoding="cropped")
    assert any("labels are shifted against the images by 1" in line for line in found), found


@pytest.mark.parametrize(("asked", "made"), [("nearest", "bilinear"), ("bilinear", "nearest")])
def test_the_wrong_filter_is_caught_and_named(
    sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, made: str
) -> None:
    from harness.bench.measure import invocation

    sound = invocation.make_context

    def confuse(*arguments: Any, **named: Any) -> Any:
        return replace(sound(*arguments, **named), interpolation=made)

    monkeypatch.setattr(invocation, "make_context", confuse)
    (found,) = problems(sets, tmp_path / "v", interpolation=asked)
    assert f"its pixels are not those of {asked} but of {made} (another filter)" in found


@pytest.mark.parametrize("change", [{"seed": 4}, {"interpolation": "bilinear"}])
def test_a_stale_cache_file_is_caught(
    sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    """The dump of another data set, or of other pixels, which TensorFlow takes for its own."""
    from harness.bench.measure import invocation

    monkeypatch.setattr(invocation, "clear_cache", lambda _request: None)
    monkeypatch.setattr(same_work, "judge_restart", lambda *_: None)
    other = {"folder": IndexedSet(tmp_path / "other", "folder", 4)} if "seed" in change else sets
    filter_ = change.get("interpolation", "nearest")
    assert problems(other, tmp_path / "stale", interpolation=filter_, cache="file") == []
    assert problems(sets, tmp_path / "sound", cache="file") == []
    stale, sound = (sorted((tmp_path / name / "cache").iterdir()) for name in ("stale", "sound"))
    keep = Path.mkdir

    def make_with_dump(self: Path, *arguments: Any, **named: Any) -> None:
        keep(self, *arguments, **named)
        if self == tmp_path / "v" / "cache":
            for old, name in zip(stale, sound, strict=True):
                (self / name.name).write_bytes(old.read_bytes())

    monkeypatch.setattr(Path, "mkdir", make_with_dump)
    found = problems(sets, tmp_path / "v", cache="file")
    assert any("pixels are not those of nearest" in line for line in found), found


def exchange(file: Any, records: Any, numbers: Any) -> tuple[Any, Any]:
    """Two records in each other's place: those of other classes, for a picture does not say its file's name."""
    return records, np.where(numbers == 0, 20, np.where(numbers == 20, 0, numbers))


def move(file: Any, records: Any, numbers: Any) -> tuple[Any, Any]:
    """Each record at the next one's number."""
    return records, (numbers + 1) % indexed.COUNT


@pytest.mark.parametrize(("fault", "words"), [(exchange, "2 of"), (move, "labels")])
def test_a_record_at_another_ones_number_is_caught(
    sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Any, words: str
) -> None:
    from harness.bench.loaders.record_file import RecordFile

    write = RecordFile.write
    monkeypatch.setattr(RecordFile, "write", lambda self, records, numbers: write(self, *fault(self, records, numbers)))
    found = problems(sets, tmp_path / "v", cache="array", element="uint8")
    assert any("label" in line and words in line for line in found), found


@pytest.mark.parametrize("fault", ["cut", "exchanged", "old digest"])
def test_a_damaged_array_cache_is_never_measured(
    sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Filled by one process, damaged, and then to be reused by another."""
    from harness.bench.measure import invocation

    build = invocation.build

    def damage_and_build(request: Any, manifest: Any, job: Path, **named: Any) -> Any:
        if request.is_reused:
            (data,), (seal,) = (list((job / "cache").glob(f"*.{name}")) for name in ("array", "seal"))
            records = np.fromfile(data, np.uint8).reshape(indexed.COUNT, -1)
            if fault == "cut":
                data.write_bytes(records.tobytes()[:-1])
            elif fault == "exchanged":
                records[[0, 20]] = records[[20, 0]]
                data.write_bytes(records.tobytes())
            else:
                seal.write_bytes(seal.read_bytes().replace(b'"made_for": "images-', b'"made_for": "images-0'))
        return build(request, manifest, job, **named)

    monkeypatch.setattr(invocation, "build", damage_and_build)
    found = problems(sets, tmp_path / "v", cache="array", element="uint8", cache_reuse="reused")
    said = "the cache is damaged" if fault == "exchanged" else "missing or incomplete"
    assert any(said in line for line in found), found


def test_a_picture_that_was_read_while_its_file_was_exchanged_is_no_fault(
    sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try finds half of another picture in a file, once or each time it is tried."""
    show, shown = indexed.IndexedSet.show, []

    def tear(self: Any, generation: int, *, keep_times: bool = False) -> None:
        show(self, generation, keep_times=keep_times)
        shown.append(generation)
        if generation == 1 and len(shown) <= torn:
            path = self.images / self._path(3)
            data = self.pictures[3 + indexed.STRIDE]
            path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))

    monkeypatch.setattr(indexed.IndexedSet, "show", tear)
    torn = 1
    assert problems(sets, tmp_path / "once") == []
    assert shown == [1, 0, 1, 0]
    torn, shown[:] = 99, []
    assert problems(sets, tmp_path / "always") != []


def test_the_contents_of_the_files_are_exchanged_and_nothing_else(tmp_path: Path) -> None:
    for kind in ("folder", "coco", "tfrecord"):
        made = IndexedSet(tmp_path / kind, kind, 3)
        before = {path: (path.stat(), path.read_bytes()) for path in made.images.rglob("*") if path.is_file()}
        made.show(1, keep_times=True)
        for path, (status, content) in before.items():
            now = path.stat()
            assert path.read_bytes() != content
            assert (now.st_ino, now.st_size, now.st_mtime_ns) == (status.st_ino, status.st_size, status.st_mtime_ns)
        made.show(1)
        assert all(path.stat().st_mtime > status.st_mtime + 60 for path, (status, _) in before.items())
        old, new = made.manifest(0), made.manifest(1)
        assert (old.paths, old.labels, old.sizes, old.widths) == (new.paths, new.labels, new.sizes, new.widths)
        assert not set(old.hashes) & set(new.hashes)
        made.show(0)
        for path, (status, content) in before.items():
            assert path.read_bytes() == content and path.stat().st_mtime_ns == status.st_mtime_ns


def test_an_index_is_read_after_jpeg_and_resizing() -> None:
    for index in (0, 1, 26, 170, 255):
        picture = Image.fromarray(indexed.draw(index, 9))
        data = BytesIO()
        picture.save(data, "JPEG", quality=30)
        for size, filter_ in (((64, 32), Image.Resampling.NEAREST), ((224, 224), Image.Resampling.BILINEAR)):
            seen = np.asarray(Image.open(data).resize(size, filter_), np.float32) / np.float32(255)
            assert indexed.read_index(seen) == index
    assert indexed.read_index(np.zeros((64, 96, 3), np.float32)) is None


def test_the_reference_is_what_pil_makes_with_the_same_filter(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(indexed.draw(5, 1)).save(path)
    for name, resample in (("nearest", Image.Resampling.NEAREST), ("bilinear-antialias", Image.Resampling.BILINEAR)):
        pil = np.asarray(Image.open(path).resize((96, 64), resample), np.float32)
        own = indexed.resize(indexed.decode(path.read_bytes()), (64, 96), name) * 255
        assert float(np.abs(pil - own).mean()) < (0.01 if name == "nearest" else 0.6)

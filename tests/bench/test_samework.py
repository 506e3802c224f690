"""Each planted fault of a real loader is caught, and a sound one is not blamed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.bench import indexed, samework
from harness.bench.manifest import Manifest

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed here: extra `process-cpu`"
    ),
]
Sets = tuple[Path, dict[str, Manifest]]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    root = tmp_path_factory.mktemp("sets")
    kinds = ("folder", "coco", "tfrecord")
    return root, {
        kind: indexed.make_indexed(str(root / kind / "images"), str(root / kind / "dataset"), kind, 3) for kind in kinds
    }


def problems(sets: Sets, folder: Path, kind: str = "folder", **case: Any) -> list[str]:
    root, made = sets
    variant = {"key": "k", "kind": kind, "case": {"data": "d", "loader": "tfdata", "interpolation": "nearest", **case}}
    found: list[str] = samework.try_variant(variant, folder, made, root)["problems"]
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
        {"decoding": "fast-dct"},
        {"decoding": "plain-upscaling"},
        {"decoding": "scaled"},
        {"decoding": "cropped"},
        {"cache": "tfrecord-resized", "element": "encoded"},
    ],
)
def test_a_sound_loader_is_not_blamed(sets: Sets, tmp_path: Path, case: dict[str, Any]) -> None:
    assert problems(sets, tmp_path / "v", **case) == []


def _drop_last(batches: Iterator[Any]) -> Iterator[Any]:
    whole = list(batches)
    yield from whole[:-1]


def _repeat_one(batches: Iterator[Any]) -> Iterator[Any]:
    for images, labels in batches:
        pictures, classes = np.array(images), np.array(labels)
        pictures[-1], classes[-1] = pictures[0], classes[0]
        yield pictures, classes


def _shift_labels(batches: Iterator[Any]) -> Iterator[Any]:
    for images, labels in batches:
        yield images, np.roll(np.array(labels), 1)


def _unscaled(batches: Iterator[Any]) -> Iterator[Any]:
    for images, labels in batches:
        yield np.array(images) * 255, labels


def _halves(batches: Iterator[Any]) -> Iterator[Any]:
    for images, labels in batches:
        yield np.array(images).astype(np.float16), labels


def _turned(batches: Iterator[Any]) -> Iterator[Any]:
    for images, labels in batches:
        yield np.array(images).transpose(0, 2, 1, 3), labels


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (_drop_last, "leaves pictures out"),
        (_repeat_one, "more than once"),
        (_shift_labels, "wrong labels"),
        (_unscaled, "0 to 255"),
        (_halves, "float16"),
        (_turned, "shape"),
    ],
)
def test_a_planted_fault_is_caught(
    sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Iterator[Any]], Any], words: str
) -> None:
    from harness.bench.loaders.interface import Loader

    sound = Loader.batches
    monkeypatch.setattr(Loader, "batches", lambda self: fault(sound(self)))
    found = problems(sets, tmp_path / "v")
    assert any(words in line for line in found), found
    assert len(found) <= 4  # each kind of fault is told once


def test_an_approximate_decoding_is_still_held_to_images_and_labels(
    sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.bench.loaders.interface import Loader

    sound = Loader.batches
    monkeypatch.setattr(Loader, "batches", lambda self: _repeat_one(sound(self)))
    found = problems(sets, tmp_path / "v", decoding="cropped")
    assert any("more than once" in line for line in found), found
    monkeypatch.setattr(Loader, "batches", lambda self: _shift_labels(sound(self)))
    found = problems(sets, tmp_path / "w", decoding="cropped")
    assert any("wrong labels" in line for line in found), found


@pytest.mark.parametrize(("asked", "made"), [("nearest", "bilinear"), ("bilinear", "nearest")])
def test_the_wrong_filter_is_caught_and_named(
    sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, made: str
) -> None:
    from harness.bench import invocation

    sound = invocation.make_context

    def confuse(*arguments: Any, **named: Any) -> Any:
        return replace(sound(*arguments, **named), interpolation=made)

    monkeypatch.setattr(invocation, "make_context", confuse)
    (found,) = problems(sets, tmp_path / "v", interpolation=asked)
    assert f"not those of {asked}" in found
    assert f"as of {made}" in found


@pytest.mark.parametrize("change", [{"seed": 4}, {"interpolation": "bilinear"}])
def test_a_stale_cache_file_is_caught(
    sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    """The dump of another data set, or of other pixels, which TensorFlow takes for its own."""
    from harness.bench import invocation

    monkeypatch.setattr(invocation, "clear_cache", lambda _request: None)
    root, made = sets
    if "seed" in change:
        root = tmp_path / "other"
        images, dataset = str(root / "folder" / "images"), str(root / "folder" / "dataset")
        made = {"folder": indexed.make_indexed(images, dataset, "folder", change["seed"])}
    filter_ = change.get("interpolation", "nearest")
    assert problems((root, made), tmp_path / "stale", interpolation=filter_, cache="file") == []
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


def test_an_index_is_read_after_jpeg_and_resizing() -> None:
    for index in (0, 1, 26, 170, 255):
        picture = Image.fromarray(indexed.draw(index, 9))
        data = BytesIO()
        picture.save(data, "JPEG", quality=30)
        for size, filter_ in (((64, 32), Image.Resampling.NEAREST), ((224, 224), Image.Resampling.BILINEAR)):
            seen = np.asarray(Image.open(data).resize(size, filter_), np.float32) / 255
            assert indexed.read_index(seen) == index
    assert indexed.read_index(np.zeros((64, 96, 3), np.float32)) is None


def test_the_reference_is_what_pil_makes_with_the_same_filter(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(indexed.draw(5, 1)).save(path)
    for name, resample in (("nearest", Image.Resampling.NEAREST), ("bilinear-antialias", Image.Resampling.BILINEAR)):
        pil = np.asarray(Image.open(path).resize((96, 64), resample), np.float32)
        own = indexed.reference(str(path), (64, 96), name) * 255
        assert float(np.abs(pil - own).mean()) < (0.01 if name == "nearest" else 0.6)

"""Caches: what each keeps, how large it is, that a whole one is read again, and that no other one ever is."""

# mypy: disable-error-code="union-attr"

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
np = pytest.importorskip("numpy")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed here: extra `process-cpu`")

from bench_images import Made, make_images, read_reference  # noqa: E402
from forked import Forker  # noqa: E402
from PIL import Image  # noqa: E402

from harness.bench.loaders import find_maker  # noqa: E402
from harness.bench.loaders.interface import Loader  # noqa: E402
from harness.bench.loaders.store import clear  # noqa: E402
from harness.bench.measure.cachekey import pipeline_hash  # noqa: E402
from harness.bench.measure.measure_request import check_case, read_request  # noqa: E402
from harness.bench.protocol.failure import BenchmarkFailure  # noqa: E402
from harness.bench.protocol.loader_registry import CACHES, LOADERS  # noqa: E402

pytestmark = pytest.mark.tensorflow
PIXELS = 13 * 32 * 32 * 3
KEPT = [
    pytest.param(name, cache, element, compression, marks=[] if name == "tfdata-tuned" else [pytest.mark.loaders_full])
    for name, loader in LOADERS.items()
    if not loader.is_automatic
    for cache, spec in CACHES.items()
    if spec.is_on_disk and cache in loader.caches
    for element in spec.elements
    for compression in spec.compressions
    if compression == "none" or element == "uint8"
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_images(tmp_path_factory.mktemp("folder"))


def _epoch(loader: Loader) -> tuple[Any, list[int]]:
    batches = [(np.asarray(images), np.asarray(labels)) for images, labels in loader.batches()]
    return np.concatenate([images for images, _ in batches]), [int(y) for _, labels in batches for y in labels]


@pytest.mark.parametrize(("name", "cache", "element", "compression"), KEPT)
def test_a_cache_keeps_the_images_and_is_reused(
    tmp_path: Path, name: str, cache: str, element: str, compression: str
) -> None:
    made = make_images(tmp_path)
    (tmp_path / "cache").mkdir()
    settings = {"cache": cache, "element": element, "compression": compression}
    context = made.context(tmp_path / "s", **settings, cache_prefix=str(tmp_path / "cache" / "images-0123"))
    loader = find_maker(name)(context)
    assert not loader.store.is_whole()
    loader.fill()
    assert (loader.build_s is not None) == CACHES[cache].is_built_first
    first, labels = _epoch(loader)
    loader.flush()
    assert loader.store.is_whole()
    size = sum(os.path.getsize(path) for path in loader.cache_files())
    if compression == "none" and element != "encoded":
        assert size == pytest.approx(PIXELS * {"float32": 4, "uint8": 1}[element], rel=0.05)
    elif element != "encoded":
        assert size < 0.9 * PIXELS
    reference = read_reference(made, (32, 32), Image.Resampling.NEAREST) / 255
    distances = np.abs(first[:, None] - reference[None]).mean(axis=(2, 3, 4))
    assert sorted(distances.argmin(axis=1)) == list(range(13))
    assert labels == [made.manifest.labels[index] for index in distances.argmin(axis=1)]
    is_approximate = cache == "tfrecord-resized" and element == "encoded"
    assert distances.min(axis=1).max() < (0.03 if is_approximate else 1e-4)
    again = find_maker(name)(
        made.context(tmp_path / "s", **settings, cache_prefix=context.cache_prefix, is_reused=True)
    )
    again.fill()
    assert again.build_s is None
    shutil.move(made.folder, tmp_path / "away")  # what is not kept cannot come again
    kept, named = _epoch(again)
    if CACHES[cache].keeps_order:
        assert np.array_equal(first, kept)
    else:
        assert not np.array_equal(first, kept)
        both = [np.argsort(images.mean((1, 2, 3))) for images in (first, kept)]
        assert np.array_equal(first[both[0]], kept[both[1]])
        assert np.array_equal(np.array(labels)[both[0]], np.array(named)[both[1]])


def test_a_cache_that_is_to_be_reused_must_be_whole(made: Made, tmp_path: Path) -> None:
    (tmp_path / "images-0123.tempstate1").write_bytes(b"half")
    for cache in ("file", "save", "tfrecord"):
        context = made.context(
            tmp_path / "s", cache=cache, element="encoded", cache_prefix=str(tmp_path / "images-0123"), is_reused=True
        )
        with pytest.raises(BenchmarkFailure, match="missing or incomplete"):
            find_maker("tfdata")(context)


def test_clearing_takes_all_caches_of_this_prefix_and_nothing_else(tmp_path: Path) -> None:
    for name in ("images-01_0.lockfile", "images-01_0.data-00000-of-00001.tempstate7", "images", "imagesque"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "images-02.part" / "deep").mkdir(parents=True)
    clear(str(tmp_path / "images"))
    assert [path.name for path in tmp_path.iterdir()] == ["imagesque"]


def _request(made: Made, folder: Path, **case: object) -> Path:
    folder.mkdir(exist_ok=True)
    paths = {"data": str(made.folder), "dataset": str(made.dataset), "cache": str(folder / "cache")}
    (folder / "cache").mkdir(exist_ok=True)
    asked = {"data": "made", "loader": "tfdata", "cache": "file", "image_size": [32, 32], "batch_size": 4, **case}
    request = {"case": asked, "data": {"kind": made.kind}, "limits": {}, "paths": paths, "seed": 5}
    (folder / "request.json").write_text(json.dumps(request))
    return folder


def test_another_pipeline_has_another_hash(made: Made, tmp_path: Path) -> None:
    """A stale cache is never read: whatever decides what it holds is in its path."""
    changes: list[dict[str, object]] = [
        {}, {"element": "uint8"}, {"image_size": [32, 16]}, {"interpolation": "bilinear"}, {"decoding": "fast-dct"},
        {"shuffle": False}, {"cache": "save"}, {"loader": "tfdata-tuned"}, {"max_images": 5},
        {"cache": "save", "cache_compression": "gzip"},
    ]  # fmt: skip
    found = set()
    for change in changes:
        request = read_request(_request(made, tmp_path / "job", **change))
        found.add(pipeline_hash(request, made.manifest.head(request.max_images)))
    assert len(found) == len(changes)
    same = read_request(_request(made, tmp_path / "job", batch_size=9, augment="flip-crop", epochs=7))
    assert pipeline_hash(same, made.manifest) in found


def test_what_a_cache_cannot_hold_is_refused() -> None:
    for wrong in (
        {"cache": "tfrecord", "element": "float32"},
        {"cache": "file", "cache_compression": "gzip"},
        {"loader": "keras-idg", "augment": "flip-crop"},
        {"loader": "nobody"},
    ):
        with pytest.raises(BenchmarkFailure):
            check_case({"data": "x", "loader": "tfdata", **wrong})


@pytest.mark.parametrize("name", ["tfdata", "tfdata-tuned"])
def test_augmentation_comes_after_the_cache(made: Made, tmp_path: Path, name: str) -> None:
    def make(**changes: object) -> Loader:
        loader: Loader = find_maker(name)(made.context(tmp_path / "s", cache="memory", element="uint8", **changes))
        return loader

    loader = make(augment="flip-crop")
    (first, labels), (second, labels_again) = _epoch(loader), _epoch(loader)
    assert labels == labels_again
    assert first.shape == second.shape == (13, 32, 32, 3)
    assert first.min() >= 0 and first.max() <= 1
    changed = np.abs(first - second).mean(axis=(1, 2, 3)) > 0.01
    assert changed.sum() >= 10  # other crops in the second epoch
    plain, _ = _epoch(make())
    mirrored = plain[:, :, ::-1]
    near = np.minimum(np.abs(first - plain).mean(axis=(1, 2, 3)), np.abs(first - mirrored).mean(axis=(1, 2, 3)))
    assert near.max() < 0.2  # the same images, shifted by two pixels at the most
    assert np.array_equal(_epoch(make(augment="flip-crop"))[0], first)  # by the seed


def test_approximate_decodings_are_near_and_not_equal(tmp_path: Path) -> None:
    made = make_images(tmp_path)
    jpegs = [index for index, path in enumerate(made.manifest.paths) if path.endswith(".jpg")]
    chosen = {
        "paths": tuple(made.manifest.paths[index] for index in jpegs),
        "labels": tuple(made.manifest.labels[index] for index in jpegs),
        "shuffle": False,
    }
    exact, _ = _epoch(find_maker("tfdata")(made.context(tmp_path / "s", **chosen)))
    errors = {}
    for decoding in ("fast-dct", "plain-upscaling", "scaled", "cropped"):
        images, _ = _epoch(find_maker("tfdata")(made.context(tmp_path / "s", **chosen, decoding=decoding)))
        errors[decoding] = float(np.abs(images - exact).mean() * 255)
    assert all(0 < errors[name] < 6 for name in ("fast-dct", "plain-upscaling", "scaled")), errors
    assert errors["cropped"] > 10  # another picture
    with pytest.raises(BenchmarkFailure, match="reads only JPEGs"):
        find_maker("tfdata")(made.context(tmp_path / "s", decoding="scaled"))


OWN = '''
"""Ten lines."""
CACHES = ("none", "memory")
SUMMARY = "mine"
import tensorflow as tf

def make(context):
    def load(path, label):
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        return tf.image.resize(image, context.image_size, method="nearest") / 255, label
    data = tf.data.Dataset.from_tensor_slices((context.files, list(context.labels)))
    return data.map(lambda p, y: load(p, y)).map(lambda i, y: (tf.cast(i, tf.float32), y)).batch(context.batch_size)

def wrong(context):
    return 3
'''


def test_a_loader_of_ones_own_runs_like_the_others(forker: Forker, made: Made, tmp_path: Path) -> None:
    path = tmp_path / "my_loader.py"
    path.write_text(OWN)
    job = _request(made, tmp_path / "job", loader=f"{path}:make", cache="none", epochs=1)
    end = forker.run(job)
    assert (end.code, end.images) == (0, [13]), end.log
    with pytest.raises(BenchmarkFailure, match="returned a int"):
        find_maker(f"{path}:wrong")(made.context(tmp_path / "s"))
    with pytest.raises(BenchmarkFailure, match=r"does not support cache file \(it supports: none, memory\)"):
        check_case({"loader": f"{path}:make", "cache": "file"})


def test_a_killed_worker_is_an_end_and_no_hang(made: Made, tmp_path: Path) -> None:
    code = f"""
import os, signal, sys, threading, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from bench_images import make_images
from harness.bench.protocol.failure import BenchmarkFailure
from harness.bench.loaders import find_maker
from harness.bench.measure.usage import list_children
made = make_images(Path({str(tmp_path / "set")!r}), count=13)
def give_up(failure):
    print(failure.kind, failure, flush=True)
    os._exit(7)
loader = find_maker("keras-idg-processes")(made.context(Path({str(tmp_path / "s")!r}), batch_size=1, give_up=give_up))
loader.dataset.workers = 1
def slow(self, index, inner=type(loader.dataset).__getitem__):
    time.sleep(1.0)
    return inner(self, index)
type(loader.dataset).__getitem__ = slow
def kill():
    time.sleep(2.5)
    for pid in list_children():
        os.kill(pid, signal.SIGKILL)
threading.Thread(target=kill, daemon=True).start()
for batch in loader.batches():
    pass
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 7, done.stderr[-2000:]
    assert "a worker process ended unexpectedly" in done.stdout

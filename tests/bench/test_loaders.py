"""Each loader does the same work: every image once, with its label, and with the pixels of its interpolation."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed here: extra `process-cpu`")

from bench_images import ENOUGH_WORKERS, Made, make_images, read_reference  # noqa: E402
from PIL import Image  # noqa: E402

from harness.bench.loaders import decoding, pixels  # noqa: E402
from harness.bench.loaders.budgets import Budgets  # noqa: E402
from harness.bench.loaders.cache_writers import is_file_whole  # noqa: E402
from harness.bench.loaders.interface import Loader  # noqa: E402
from harness.bench.loaders.mixing import measure_mixing  # noqa: E402
from harness.bench.measure.invocation import Bench, make_loader, memory_cache_bytes, warm_page_cache  # noqa: E402
from harness.bench.measure.measure_request import check_kind, read_request  # noqa: E402
from harness.bench.measure.usage import read_anon_bytes  # noqa: E402
from harness.bench.protocol.failure import BenchmarkFailure, classify  # noqa: E402
from harness.bench.protocol.loader_registry import LOADERS  # noqa: E402
from harness.bench.protocol.specs import ALL_KINDS, NEW_ORDER  # noqa: E402

pytestmark = pytest.mark.tensorflow
KINDS = ALL_KINDS
REAL = tuple(name for name, spec in LOADERS.items() if not spec.is_automatic)
READABLE = [(name, kind) for name in REAL for kind in LOADERS[name].kinds]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    return {kind: make_images(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}


def _epoch(loader: Loader) -> tuple[Any, list[int]]:
    batches = [(np.asarray(images), np.asarray(labels)) for images, labels in loader.batches()]
    assert len(batches) == loader.steps
    assert all(len(images) == len(labels) for images, labels in batches)
    images = np.concatenate([images for images, _ in batches])
    assert images.dtype == np.float32
    assert images.min() >= 0 and images.max() < 1.00001
    return images * 255, [int(label) for _, labels in batches for label in labels]


def _identify(images: Any, reference: Any) -> tuple[list[int], float]:
    """Which reference each image is nearest to, and the largest mean difference in grey levels."""
    distances = np.abs(images[:, None] - reference[None]).mean(axis=(2, 3, 4))
    return [int(index) for index in distances.argmin(axis=1)], float(distances.min(axis=1).max())


@pytest.mark.parametrize(("name", "kind"), READABLE)
def test_every_image_comes_once_in_each_epoch_with_its_label(
    sets: dict[str, Made], tmp_path: Path, name: str, kind: str
) -> None:
    made = sets[kind]
    loader = make_loader(name, made.context(tmp_path / "scratch", workers=ENOUGH_WORKERS.get(name)))
    reference = read_reference(made, (32, 32), Image.Resampling.NEAREST)
    tolerance = 3.0 if name == "keras-directory" else 0.01  # decode_image has no exact DCT
    assert loader.images == 13
    orders = []
    for _ in range(2):
        images, labels = _epoch(loader)
        found, difference = _identify(images, reference)
        assert sorted(found) == list(range(13))
        assert labels == [made.manifest.labels[index] for index in found]
        assert difference < tolerance
        orders.append(found)
    assert orders[0] != orders[1]
    assert orders[0] != list(range(13))


@pytest.mark.parametrize("name", ["keras-pydataset", "grain", "grain-processes"])
def test_epochs_by_the_same_workers_are_whole(sets: dict[str, Made], tmp_path: Path, name: str) -> None:
    made = sets["folder"]
    loader = make_loader(name, made.context(tmp_path / "scratch"))
    labels = [[int(label) for label in batch] for _, batch in loader.epochs(2)]
    assert len(labels) == 2 * loader.steps
    for epoch in (labels[: loader.steps], labels[loader.steps :]):
        assert sorted(itertools.chain(*epoch)) == sorted(made.manifest.labels)


@pytest.mark.parametrize("kind", ["folder", "coco"])
def test_workers_of_idg_share_one_order_from_the_first_batch_on(
    sets: dict[str, Made], tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras makes the order when the first batch is asked for; slowed down, every worker makes one of its own."""
    made = sets[kind]
    loader = make_loader("keras-idg-threads", made.context(tmp_path / "s", batch_size=1))
    loader.dataset.workers = 4
    kind_of_iterator = type(loader.dataset)
    make_order = kind_of_iterator._set_index_array  # noqa: SLF001 - Keras has no public way to slow this down

    def make_slowly(self: Any) -> None:
        time.sleep(0.1)
        make_order(self)

    monkeypatch.setattr(kind_of_iterator, "_set_index_array", make_slowly)
    found, _ = _identify(_epoch(loader)[0], read_reference(made, (32, 32), Image.Resampling.NEAREST))
    assert sorted(found) == list(range(13))
    loader.dataset.index_array = None  # as Keras leaves it
    found, _ = _identify(_epoch(loader)[0], read_reference(made, (32, 32), Image.Resampling.NEAREST))
    assert sorted(found) != list(range(13))


@pytest.mark.parametrize(
    ("name", "workers"),
    [
        (name, count)
        for name in REAL
        if LOADERS[name].workers
        for count in (0, 1, 3)
        if count >= LOADERS[name].least_workers
    ],
)
def test_any_number_of_workers_does_the_same_work(
    sets: dict[str, Made], tmp_path: Path, name: str, workers: int
) -> None:
    made = sets["folder"]
    loader = make_loader(name, made.context(tmp_path / "scratch", workers=workers))
    assert loader.workers == workers
    for _ in range(2):
        images, labels = _epoch(loader)
        found, _difference = _identify(images, read_reference(made, (32, 32), Image.Resampling.NEAREST))
        assert sorted(found) == list(range(13))
        assert labels == [made.manifest.labels[index] for index in found]
    loader.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("cache", "size"), [("none", 4), ("none", 13), ("memory", 4), ("file", 13)])
def test_a_shuffle_buffer_mixes_as_far_as_it_reaches(
    sets: dict[str, Made], tmp_path: Path, kind: str, cache: str, size: int
) -> None:
    made = sets[kind]
    changes = {"cache": cache, "cache_prefix": str(tmp_path / "cache"), "element": "uint8", "shuffle_buffer": size}
    loader = make_loader("tfdata-tuned", made.context(tmp_path / "scratch", **changes))
    orders = []
    for _ in range(3):
        images, labels = _epoch(loader)
        found, _ = _identify(images, read_reference(made, (32, 32), Image.Resampling.NEAREST))
        assert sorted(found) == list(range(13)) and labels == [made.manifest.labels[index] for index in found]
        orders.append(found)
    assert len(set(map(tuple, orders))) == 3
    assert (loader.buffer, loader.order == NEW_ORDER) == (size, size == 13)
    if cache == "none" and kind != "tfrecord" and size == 4:  # an image cannot come before its turn by more than that
        assert all(image - place < 4 for order in orders for place, image in enumerate(order))
        assert loader.buffer_bytes == 4 * 32 * 32 * 3


def test_mixing_is_told_by_how_far_images_move() -> None:
    still, small, full = (measure_mixing(3000, buffer, seed=1) for buffer in (0, 30, 3000))
    assert still == {"buffer": 0, "displacement": 0.0, "neighbours_kept": 1.0}
    assert 0.003 < small["displacement"] < 0.02 and 0.01 < small["neighbours_kept"] < 0.2
    assert 0.3 < full["displacement"] < 0.36 and full["neighbours_kept"] < 0.01


@pytest.mark.parametrize("name", REAL)
def test_without_shuffling_images_come_by_path(sets: dict[str, Made], tmp_path: Path, name: str) -> None:
    made = sets["folder"]
    loader = make_loader(name, made.context(tmp_path / "scratch", shuffle=False, workers=ENOUGH_WORKERS.get(name)))
    found, _ = _identify(_epoch(loader)[0], read_reference(made, (32, 32), Image.Resampling.NEAREST))
    assert found == list(range(13))


@pytest.mark.parametrize(("name", "kind"), READABLE)
def test_a_subset_is_the_same_for_all_loaders(sets: dict[str, Made], tmp_path: Path, name: str, kind: str) -> None:
    made = sets[kind]
    part = made.manifest.head_of_files(5) if kind == "tfrecord" else made.manifest.head(5)
    chosen = {"paths": part.paths, "labels": part.labels, "is_subset": True}
    context = made.context(tmp_path / "scratch", **chosen, workers=ENOUGH_WORKERS.get(name))
    images, labels = _epoch(make_loader(name, context))
    found, _ = _identify(images, read_reference(made, (32, 32), Image.Resampling.NEAREST))
    assert sorted(made.manifest.paths[index] for index in found) == sorted(part.paths)
    assert labels == [made.manifest.labels[index] for index in found]


def test_antialiased_bilinear_is_the_same_filter_in_both_decoders(sets: dict[str, Made], tmp_path: Path) -> None:
    made = sets["folder"]
    reference = read_reference(made, (32, 32), Image.Resampling.BILINEAR)
    for name in ("keras-idg", "tfdata"):
        context = made.context(tmp_path / name, interpolation="bilinear-antialias")
        assert _identify(_epoch(make_loader(name, context))[0], reference)[1] < 1.0
    plain = _epoch(make_loader("tfdata", made.context(tmp_path / "plain", interpolation="bilinear")))[0]
    assert _identify(plain, reference)[1] > 1.0


def test_nearest_takes_the_yardsticks_pixels_and_those_of_tensorflows_own_operation() -> None:
    sides = [1, 2, 3, 17, 31, 33, 128, 224, 255, 256, 257, 427, 480, 500, 639, 640, 1023, 3001]
    values = (np.arange(sides[-1] ** 2 * 3, dtype=np.int64) * 2654435761 >> 8).astype(np.uint8)  # neighbours differ
    for height, width in [*itertools.combinations(sides, 2), *((side, side) for side in sides)]:
        image = values[: height * width * 3].reshape(height, width, 3)
        for size in ((224, 224), (256, 128), (1, 7), (300, 299)):
            picked = decoding.pick_nearest(tf.constant(image), size)
            assert np.array_equal(picked, pixels.pick_nearest(image, size)), (height, width, size)
            if size == (256, 128):
                wanted = tf.image.resize(image, size, method="nearest")
                assert np.array_equal(picked, wanted), (height, width, size)


def test_native_pixels_are_tensorflows_default_decoding(sets: dict[str, Made], tmp_path: Path) -> None:
    made = sets["folder"]
    contexts = [made.context(tmp_path / "s", shuffle=False, is_native=native) for native in (False, True)]
    exact, native = (make_loader("tfdata", context) for context in contexts)
    assert "INTEGER_ACCURATE" in exact.decoder
    assert "default" in native.decoder
    assert np.abs(_epoch(exact)[0] - _epoch(native)[0]).max() > 0


def test_what_reads_files_alone_cannot_read_records() -> None:
    """`plan` folds them out; the payload refuses them too."""
    reading = [name for name in REAL if "tfrecord" in LOADERS[name].kinds]
    tfdata = ["tfdata-sequential", "tfdata", "tfdata-tuned"]
    assert reading == ["keras-pydataset", *tfdata, "grain", "grain-processes", "decoder"]
    with pytest.raises(BenchmarkFailure, match=r"cannot read data of kind tfrecord \(it reads: folder, coco\)"):
        check_kind("keras-idg", "tfrecord")


@pytest.mark.parametrize("cache", ["memory", "file", "save", "snapshot", "tfrecord", "tfrecord-resized"])
def test_a_cache_of_records_keeps_one_order(sets: dict[str, Made], tmp_path: Path, cache: str) -> None:
    made = sets["tfrecord"]
    element = {"tfrecord": "encoded", "tfrecord-resized": "uint8"}.get(cache, "float32")
    prefix = None if cache == "memory" else str(tmp_path / "images-0")
    loader = make_loader(
        "tfdata-tuned", made.context(tmp_path / "s", cache=cache, element=element, cache_prefix=prefix)
    )
    loader.fill()
    first, labels = _epoch(loader)
    again, labels_again = _epoch(loader)
    found, difference = _identify(first, read_reference(made, (32, 32), Image.Resampling.NEAREST))
    assert sorted(found) == list(range(13))
    assert labels == [made.manifest.labels[index] for index in found]
    assert difference < 0.01
    assert np.array_equal(first, again)
    assert labels == labels_again


@pytest.mark.parametrize("cache", ["memory", "file"])
def test_a_cache_keeps_decoded_images_in_one_order(tmp_path: Path, cache: str) -> None:
    made = make_images(tmp_path)
    prefix = str(tmp_path / "cache" / "images")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "images2_0.index").write_bytes(b"somebody else's")
    context = made.context(tmp_path / "scratch", cache=cache, cache_prefix=prefix if cache == "file" else None)
    loader = make_loader("tfdata", context)
    first, labels = _epoch(loader)
    loader.flush()
    if cache == "file":
        assert is_file_whole(prefix)
        held = sum(os.path.getsize(path) for path in loader.cache_files())
        assert held == pytest.approx(13 * 32 * 32 * 3 * 4, rel=0.02)
        assert str(tmp_path / "cache" / "images2_0.index") not in loader.cache_files()
    shutil.rmtree(made.folder)  # what is not kept cannot come again
    again, labels_again = _epoch(loader)
    assert np.array_equal(first, again)
    assert labels == labels_again
    assert sorted(labels) == sorted(made.manifest.labels)
    assert labels != list(made.manifest.labels)


def test_no_cache_reads_every_image_again(tmp_path: Path) -> None:
    made = make_images(tmp_path)
    loader = make_loader("tfdata", made.context(tmp_path / "scratch"))
    _epoch(loader)
    shutil.rmtree(made.folder)
    with pytest.raises(tf.errors.NotFoundError) as caught:
        _epoch(loader)
    assert classify(caught.value) == "data"


def test_the_ceiling_reads_one_batch_and_delivers_as_many_images_as_there_are(tmp_path: Path) -> None:
    made = make_images(tmp_path)
    loader = make_loader("ceiling", made.context(tmp_path / "scratch"))
    shutil.rmtree(made.folder)
    images, labels = _epoch(loader)
    assert len(images) == 13
    assert labels[:4] == list(made.manifest.labels[:4])
    assert np.array_equal(images[:4], images[4:8])
    assert np.array_equal(images[:1], images[12:])


@pytest.mark.parametrize("name", ["keras-idg", "keras-directory"])
def test_files_that_are_not_in_the_manifest_are_refused(tmp_path: Path, name: str) -> None:
    made = make_images(tmp_path)
    shutil.copy(made.folder / made.manifest.paths[0], made.folder / "dog" / "new.jpg")
    with pytest.raises(BenchmarkFailure, match=r"finds 14 images.*has 13") as caught:
        make_loader(name, made.context(tmp_path / "scratch"))
    assert caught.value.kind == "data"


def test_budgets_reach_tf_data(sets: dict[str, Made], tmp_path: Path) -> None:
    budgets = Budgets(123 * 2**20, 1, 3, 10**10, 2)
    for name in ("tfdata", "keras-directory", "ceiling"):
        options = make_loader(name, sets["folder"].context(tmp_path / name, budgets=budgets)).dataset.options()
        assert options.autotune.ram_budget == 123 * 2**20
        assert options.autotune.cpu_budget == 1
        assert options.threading.private_threadpool_size == 3
        assert options.deterministic is True
    unset = Budgets(None, None, None, 10**10, 2)
    options = make_loader("tfdata", sets["folder"].context(tmp_path / "none", budgets=unset)).dataset.options()
    assert options.autotune.ram_budget is None
    assert not make_loader("keras-idg", sets["folder"].context(tmp_path / "idg")).takes_budgets


def test_a_warm_page_cache_that_cannot_stay_is_refused_with_numbers(sets: dict[str, Made], tmp_path: Path) -> None:
    made = sets["folder"]
    case = {"data": "made", "loader": "tfdata", "page_cache": "warm", "cache": "memory", "image_size": [32, 32]}
    request = {
        "case": case,
        "data": {"kind": "folder"},
        "limits": {"memory_bytes": 2**40},
        "paths": {"data": str(made.folder), "dataset": str(made.dataset)},
    }
    (tmp_path / "request.json").write_text(json.dumps(request))
    asked = read_request(tmp_path)
    size = sum(made.manifest.sizes)
    loader = make_loader("tfdata", made.context(tmp_path / "scratch"))
    bench = Bench(asked, made.context(tmp_path / "scratch"), loader, None, made.manifest.sizes)
    warm_page_cache(bench)
    anon = read_anon_bytes()
    assert anon is not None
    bench.request = replace(asked, limit_bytes=anon)
    with pytest.raises(BenchmarkFailure, match=f"needs {size} bytes .* the limit is {anon} bytes") as caught:
        warm_page_cache(bench)
    assert caught.value.kind == "error"
    assert memory_cache_bytes(asked, made.manifest.sizes) == 13 * 32 * 32 * 3 * 4


def test_real_errors_of_tensorflow_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(tf.errors.ResourceExhaustedError) as memory:
        tf.zeros((2**21, 2**21))
    assert classify(memory.value) == "oom"
    with pytest.raises(tf.errors.InvalidArgumentError) as image:
        tf.io.decode_jpeg(b"\xff\xd8\xff nothing")
    assert classify(image.value) == "data"
    with pytest.raises(tf.errors.InvalidArgumentError) as unknown:
        tf.io.decode_image(b"GARBAGE")
    assert classify(unknown.value) == "data"
    (tmp_path / "x.jpg").write_bytes(b"GARBAGE")
    with pytest.raises(OSError) as other:
        Image.open(tmp_path / "x.jpg")
    assert classify(other.value) == "data"

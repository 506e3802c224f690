"""Code to paste, run beside the loader that it stands for: the same images, labels, pixels and order, on every kind of
data."""

from __future__ import annotations

import csv
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed here: extra `process-cpu`")

from PIL import Image  # noqa: E402

from harness.bench.data.dataset import list_path, prepare  # noqa: E402
from harness.bench.loaders.interface import LoaderContext  # noqa: E402
from harness.bench.loaders.keras_sequence import SequenceLoader  # noqa: E402
from harness.bench.loaders.manifest import Manifest, read_manifest  # noqa: E402
from harness.bench.loaders.tfrecords import Features  # noqa: E402
from harness.bench.measure.invocation import make_loader, size_buffer  # noqa: E402
from harness.bench.protocol.loader_registry import CACHES, LOADERS, is_on_disk, keeps_order  # noqa: E402
from harness.bench.protocol.specs import DECODINGS  # noqa: E402
from harness.report.recipes.recipe import Measured, add_main, write_recipe  # noqa: E402
from harness.values.case import APPLICATIONS, Case  # noqa: E402
from harness.values.data import DataPlace  # noqa: E402

pytestmark = pytest.mark.tensorflow
SIZE, BATCH, COUNT, EPOCHS = (32, 48), 4, 14, 2
FORMS = ("folder", "coco", "list", "tfrecord", "words")


@dataclass(frozen=True)
class MadeSet:
    """A data set as a session knows it: where it lies, and what its check found."""

    place: DataPlace
    manifest: Manifest
    features: Features | None
    links: str | None = None


def draw(number: Any) -> Any:
    """A smooth picture that can be told from the others; two are grey."""
    height, width = 97 + 2 * (number % 5), 130 + 3 * number
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(rows / (5 + number) + channel) + np.cos(columns / (9 + 2 * number)) for channel in range(3)]
    picture = Image.fromarray((np.stack(waves, axis=2) * 40 + 90 + number * 5).astype(np.uint8))
    return picture.convert("L") if number in (3, 4) else picture


def save(number: Any, path: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {} if path.suffix.lower() == ".png" else {"quality": 95, "subsampling": 2}
    draw(number).save(path, "PNG" if path.suffix.lower() == ".png" else "JPEG", **options)


def name_file(number: Any) -> str:
    return f"{number:02d}{('.jpg', '.JPG', '.png', '.jpeg', '.PNG')[number % 5]}"


def make_folder(root: Path) -> Any:
    """Mixed suffixes, a folder inside a class, a hidden folder, an empty class, and a file that is no image."""
    for number in range(COUNT):
        inner = "old/" if number % 4 == 1 else ""
        save(number, root / ("cat", "Dog", "zebra")[number % 3] / f"{inner}{name_file(number)}")
    save(0, root / ".thumbnails" / "00.jpg")
    (root / "empty").mkdir()
    (root / "cat" / "notes.txt").write_text("no image")
    return root, None


def make_coco(root: Path) -> Any:
    """Areas that are equal, one that is only a box, an image without annotation, categories out of order."""
    images, annotations = [], []
    for number in range(COUNT + 1):
        name = ("sub/" if number % 4 == 1 else "") + name_file(number)
        save(number, root / "images" / name)
        images.append({"id": 100 - number, "file_name": name})
        for place in range(3 if number < COUNT else 0):
            area: dict[str, Any] = (
                {"area": 5.0 + (place * number) % 4} if place != 1 else {"bbox": [0, 0, 2, number % 6]}
            )
            category = (7, 1, 12)[(place + number) % 3]
            area |= {"segmentation": [[1, 2, 3, 4]], "iscrowd": place}
            annotations.append({"id": 50 * place + number, "image_id": 100 - number, "category_id": category, **area})
    categories = [
        {"id": 12, "name": "zebra"},
        {"id": 1, "name": "dog"},
        {"id": 7, "name": "cat"},
        {"id": 3, "name": "x"},
    ]
    content = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(content))
    return root / "images", root / "instances.json"


def make_list(root: Path) -> Any:
    """Commas, a heading, a quoted path, and numbers as labels, which are sorted as numbers."""
    with (root / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "class"])
        for number in range(COUNT):
            name = f"a, b/{name_file(number)}" if number % 4 == 1 else f"a/{name_file(number)}"
            save(number, root / "images" / name)
            writer.writerow([name, (10, 9, 2)[number % 3]])
    return root / "images", root / "labels.csv"


def make_records(root: Path, labels: Any, pattern: str = "") -> Any:
    """Three files; images as JPEG and PNG."""
    root.mkdir(exist_ok=True)
    for shard in range(3):
        with tf.io.TFRecordWriter(str(root / f"set.tfrecord-{shard:05d}-of-00003")) as writer:
            for number in range(shard, COUNT, 3):
                path = root / "pictures" / name_file(number)
                save(number, path)
                label = labels[number % 3]
                feature = {
                    "jpeg": tf.train.Feature(bytes_list=tf.train.BytesList(value=[path.read_bytes()])),
                    "label": tf.train.Feature(bytes_list=tf.train.BytesList(value=[label.encode()]))
                    if isinstance(label, str)
                    else tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    (root / "set.txt").write_text("no record")
    return root / pattern if pattern else root, None


MAKERS: dict[str, Callable[[Path], Any]] = {
    "folder": make_folder,
    "coco": make_coco,
    "list": make_list,
    "tfrecord": lambda root: make_records(root, (3, 1, 7)),
    "words": lambda root: make_records(root, ("zebra", "cat", "dog"), "set*"),
}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each kind of data, checked as a session checks it."""
    made = {}
    for form, make in MAKERS.items():
        root = tmp_path_factory.mktemp(form)
        images, annotations = make(root)
        listing = list_path(images, annotations)
        kept = tmp_path_factory.mktemp(f"{form}-check")
        found = prepare(listing, kept).to_json()
        pattern = images.name if form == "words" else ""
        where = {"folder": str(listing.folder), "annotations": annotations and str(annotations), "pattern": pattern}
        made[form] = MadeSet(DataPlace.model_validate({**found, **where}), read_manifest(kept), listing.features)
    return made


def make_case(loader: Any, **changes: Any) -> Any:
    values = {"data": "images", "loader": loader, "image_size": SIZE, "batch_size": BATCH, **changes}
    if "interpolation" not in values and "nearest" not in LOADERS[loader].interpolations:
        values["interpolation"] = LOADERS[loader].interpolations[0]
    return Case.model_validate(values)


def run_loader(case: Any, made: Any, scratch: Any) -> Any:
    scratch.mkdir()
    is_native = case.interpolation == "native"
    kind = {"list": "coco"}.get(made.place.form, made.place.form)
    context = LoaderContext(
        kind=kind, folder=made.place.folder, paths=made.manifest.paths, labels=made.manifest.labels,
        classes=made.manifest.classes, scratch=str(scratch), image_size=case.image_size, batch_size=case.batch_size,
        interpolation=LOADERS[case.loader].native if is_native else case.interpolation, seed=1, is_native=is_native,
        shuffle=case.shuffle, deterministic=case.deterministic, cache=case.cache, element=case.element,
        cache_prefix=str(scratch / "cache") if is_on_disk(case.cache) else None, compression=case.cache_compression,
        decoding=case.decoding, augment=case.augment, features=made.features, links=made.links,
        deliver=case.deliver, workers=case.workers, shuffle_buffer=size_buffer(case.shuffle_buffer, COUNT),
    )  # fmt: skip
    loader = make_loader(case.loader, context)
    loader.fill()
    epochs = [read_epoch(loader) for _ in range(EPOCHS)]
    loader.close()
    return epochs


def run_recipe(code: Any, monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[Any]:
    """Two epochs of what a script makes that holds nothing but the recipe."""
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, "recipe.py", "exec"), names)
    dataset = as_fit_reads(names["dataset"])
    return [read_epoch(dataset) for _ in range(EPOCHS)]


def as_fit_reads(dataset: Any) -> Any:
    """A dataset of Keras, iterated as `fit` does it; one of tf.data as it is."""
    if isinstance(dataset, tf.data.Dataset):
        return dataset
    fields: dict[str, Any] = {"images": COUNT, "batch_size": BATCH, "element_spec": None, "order": "", "decoder": ""}
    return SequenceLoader(dataset=dataset, **fields)


def read_epoch(loader: Any) -> Any:
    batches = list(loader.batches() if hasattr(loader, "batches") else loader)
    images = [np.asarray(images) for images, _ in batches]
    assert len({one.dtype for one in images}) == 1
    assert [len(one) for one in images] == [BATCH] * (COUNT // BATCH) + [COUNT % BATCH]
    return np.concatenate(images), np.concatenate([np.asarray(labels) for _, labels in batches]).astype(int)


def put_in_order(epoch: Any) -> Any:
    """An epoch sorted by label and content: two shuffled ones are compared so."""
    images, labels = epoch
    keys = sorted(range(COUNT), key=lambda i: (labels[i], images[i].mean(), images[i].std()))
    return images[keys], labels[keys]


def assert_same(epoch: Any, other: Any) -> None:
    assert epoch[1].tolist() == other[1].tolist()
    assert epoch[0].dtype == other[0].dtype
    assert np.abs(epoch[0] - other[0]).max() < 1e-6


def cases() -> Iterator[Any]:
    """Every loader on every kind of data, and with ``tfdata-tuned`` or ``tfdata`` every cache, element and decoding."""
    for form in FORMS:
        kind = {"list": "coco", "words": "tfrecord"}.get(form, form)
        for name, spec in LOADERS.items():
            is_measured = kind in spec.kinds and bool(spec.recipe)
            if is_measured and (kind != "tfrecord" or name.startswith("tfdata")):
                yield form, name, {}
    for name, spec in LOADERS.items():
        for interpolation in spec.interpolations[1:] if spec.recipe else ():
            yield "folder", name, {"interpolation": interpolation}
    for name in ("keras-idg", "keras-directory", "keras-pydataset", "tfdata-tuned", "grain"):
        yield ("folder" if name == "keras-idg" else "coco"), name, {"shuffle": False}
    for loader, form in (("tfdata", "folder"), ("tfdata-tuned", "tfrecord")):
        for cache, kept in list(CACHES.items())[1:]:
            for element in kept.elements if (cache, form) != ("array", "tfrecord") else ():
                yield form, loader, {"cache": cache, "element": element}
    for name in ("keras-idg-threads", "keras-pydataset", "keras-directory", "tfdata", "tfdata-tuned", "grain"):
        yield "folder", name, {"workers": 3}
    for buffer in (5, "full"):
        yield "tfrecord", "tfdata-tuned", {"shuffle_buffer": buffer}
        for cache, element in (("none", "float32"), ("memory", "uint8"), ("file", "uint8")):
            yield "folder", "tfdata", {"shuffle_buffer": buffer, "cache": cache, "element": element}
    yield "coco", "tfdata-tuned", {"cache": "array", "element": "uint8", "augment": "flip-crop"}
    yield "folder", "tfdata-sequential", {"cache": "array", "element": "uint8", "shuffle": False}
    for name in ("keras-idg", "keras-directory", "keras-pydataset", "tfdata", "tfdata-tuned", "grain"):
        yield "folder", name, {"deliver": "uint8"}
    yield "folder", "keras-directory", {"deliver": "uint8", "interpolation": "bilinear"}
    yield "tfrecord", "tfdata-tuned", {"deliver": "uint8", "cache": "tfrecord", "element": "encoded"}
    yield "folder", "tfdata-tuned", {"deliver": "uint8", "cache": "array", "element": "uint8"}
    yield "tfrecord", "tfdata", {"shuffle": False}
    yield "coco", "tfdata-tuned", {"cache": "file", "element": "uint8", "interpolation": "bilinear"}
    yield "list", "tfdata-sequential", {"cache": "tfrecord-resized", "element": "uint8", "shuffle": False}
    yield "folder", "tfdata", {"cache": "save", "element": "uint8", "cache_compression": "gzip"}
    yield "folder", "tfdata", {"cache": "snapshot", "element": "uint8", "cache_compression": "snappy"}
    yield "folder", "tfdata", {"cache": "tfrecord-resized", "element": "uint8", "cache_compression": "gzip"}
    yield "words", "tfdata", {"augment": "flip-crop"}
    yield "folder", "tfdata-tuned", {"augment": "flip-crop", "cache": "file", "element": "uint8"}
    for name in ("keras-idg", "keras-directory", "tfdata-tuned"):
        yield "mixed", name, {}
    yield "flat", "keras-directory", {}
    yield "flat", "tfdata", {}
    for decoding in DECODINGS[1:]:
        yield ("jpegs" if decoding in ("scaled", "cropped") else "folder"), "tfdata", {"decoding": decoding}


def name_of(value: Any) -> Any:
    return "-".join(map(str, value.values())) if isinstance(value, dict) else value


def make_mixed(root: Path) -> None:
    """Bitmaps among JPEGs, what a NAS and macOS leave, and an image that cannot be read."""
    for number in range(COUNT):
        path = root / ("cat", "dog")[number % 2] / f"{number:02d}.jpg"
        save(number, path)
        if number % 3 == 0:
            path.unlink()
            draw(number).convert("RGB").save(path.with_suffix(".bmp"))
    save(1, root / "cat" / "@eaDir" / "1.jpg")
    save(1, root / "__MACOSX" / "1.jpg")
    (root / "dog" / "._1.jpg").write_bytes(b"no image")
    (root / "dog" / "broken.jpg").write_bytes(b"no image")


def make_flat(root: Path) -> None:
    for number in range(COUNT):
        save(number, root / f"{number:02d}.jpg")


def check_odd(make: Any, tmp_path_factory: pytest.TempPathFactory) -> MadeSet:
    """Make a folder that Keras' own functions would read otherwise, checked as a session checks it."""
    root, kept = tmp_path_factory.mktemp("odd"), tmp_path_factory.mktemp("odd-check")
    make(root)
    asked: dict[str, Any] = {"formats": ("BMP",), "skip_unreadable": True}
    found = prepare(list_path(root, **asked), kept, **asked).to_json()
    left_out = [path for path, _ in found["skipped"]]  # type: ignore[attr-defined]
    place = DataPlace.model_validate({**found, "folder": str(root), "left_out": left_out})
    return MadeSet(place, read_manifest(kept), None, str(kept / "links"))


@pytest.fixture(scope="module")
def every_set(sets: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Beside ``sets`` a folder of JPEGs alone, for what decodes nothing else, one with junk and one without classes."""
    mixed = check_odd(make_mixed, tmp_path_factory)
    flat = check_odd(make_flat, tmp_path_factory)
    root, kept = tmp_path_factory.mktemp("jpegs"), tmp_path_factory.mktemp("jpegs-check")
    for number in range(COUNT):
        save(number, root / ("cat", "dog")[number % 2] / f"{number}.jpg")
    found = prepare(list_path(root), kept).to_json()
    place = DataPlace.model_validate({**found, "folder": str(root)})
    return {**sets, "mixed": mixed, "flat": flat, "jpegs": MadeSet(place, read_manifest(kept), None)}


@pytest.mark.parametrize("form, name, changes", list(cases()), ids=name_of)
def test_a_recipe_delivers_what_its_loader_delivers(
    form: Any, name: Any, changes: Any, every_set: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, case = every_set[form], make_case(name, **changes)
    wanted = np.dtype(case.deliver)
    code = write_recipe(case, Measured(made.place, spare_bytes=0))  # no room: caches on disk keep their order
    pasted = run_recipe(code, monkeypatch, tmp_path / "pasted")
    own = run_loader(case, made, tmp_path / "scratch")
    is_reshuffled = case.cache == "memory" and case.shuffle and case.shuffle_buffer == "auto"
    has_workers = name in ("keras-idg-threads", "keras-idg-processes")  # they draw the second epoch's order in a race
    for number, (epoch, other) in enumerate(zip(pasted, own, strict=True)):
        assert epoch[0].dtype == wanted
        assert_same(put_in_order(epoch), put_in_order(other))
        if not is_reshuffled and not (has_workers and number):
            assert_same(epoch, other)
    orders = [epoch[0].mean(axis=(1, 2, 3)).tolist() for epoch in pasted]
    is_mixed = is_reshuffled or case.shuffle_buffer != "auto" or not keeps_order(case.cache)
    is_fixed = case.augment == "none" and (not case.shuffle or (case.cache != "none" and not is_mixed))
    assert (orders[0] == orders[1]) is is_fixed or case.augment != "none"
    assert ("same in every epoch" in code) is (case.shuffle and is_on_disk(case.cache) and not is_mixed)


@pytest.mark.parametrize("cache", ["file", "tfrecord"])
def test_images_are_shuffled_again_behind_a_cache_on_disk_where_memory_allows(
    cache: str, sets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    element = CACHES[cache].elements[-1]
    case = make_case("tfdata", cache=cache, element=element)
    code = write_recipe(case, Measured(sets["list"].place, spare_bytes=10**9))
    assert "dataset = dataset.shuffle(len(files), seed=SEED)\n" in code and f"buffer of {COUNT} images takes" in code
    pasted = run_recipe(code, monkeypatch, tmp_path / "pasted")
    own = run_loader(case, sets["list"], tmp_path / "scratch")
    for epoch, other in zip(pasted, own, strict=True):
        assert_same(put_in_order(epoch), put_in_order(other))
    assert pasted[0][1].tolist() != pasted[1][1].tolist()
    assert own[0][1].tolist() == own[1][1].tolist()


WRITTEN: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("folder", "keras-idg", {}),
    ("folder", "tfdata-tuned", {"cache": "memory", "element": "uint8"}),
    ("coco", "tfdata-tuned", {"cache": "array", "element": "uint8"}),
    ("coco", "tfdata", {"cache": "memory"}),
    ("list", "tfdata-tuned", {"cache": "array", "element": "uint8"}),
    ("list", "tfdata-tuned", {"cache": "memory", "element": "uint8"}),
    ("mixed", "tfdata-tuned", {"cache": "array", "element": "uint8"}),
    ("flat", "tfdata-tuned", {"cache": "memory", "element": "uint8"}),
)


@pytest.mark.parametrize(("form", "name", "changes"), WRITTEN, ids=name_of)
def test_a_file_that_is_written_runs_as_it_is_and_delivers_what_was_measured(
    form: str,
    name: str,
    changes: dict[str, str],
    every_set: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It reads all images once, which fills its cache; an epoch behind that is compared."""
    made, case = every_set[form], make_case(name, **changes)
    monkeypatch.chdir(tmp_path)
    Path("my pipeline.py").write_text(add_main(write_recipe(case, Measured(made.place))))
    dataset = runpy.run_path("my pipeline.py", run_name="__main__")["dataset"]
    assert f"{COUNT} images in " in capsys.readouterr().out
    epoch = read_epoch(as_fit_reads(dataset))
    for other in run_loader(case, made, tmp_path / "scratch"):
        assert_same(put_in_order(epoch), put_in_order(other))


def test_a_script_trains_in_a_process_of_its_own(sets: Any, tmp_path: Path) -> None:
    """With all that a training case has: a model, half precision, a cache that a second start reads again."""
    case = make_case(
        "tfdata-tuned", cache="file", element="uint8", mode="train", precision="mixed_float16", augment="flip-crop",
        model={"name": "mobile-net", "alpha": 0.25}, epochs=2,
    )  # fmt: skip
    script = tmp_path / "train.py"
    script.write_text(
        write_recipe(case, Measured(sets["coco"].place)) + "print('policy', model.layers[1].dtype_policy.name)\n"
    )
    run = [sys.executable, str(script)]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Epoch 2/2" in done.stdout and "4/4" in done.stdout and "policy mixed_float16" in done.stdout
    assert sorted(path.name for path in tmp_path.glob("images.cache*")) != []


def test_the_models_of_keras_are_known() -> None:
    import keras

    assert sorted(APPLICATIONS) == sorted(name for name in vars(keras.applications) if name[:1].isupper())

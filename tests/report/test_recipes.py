"""Code to paste is run: it delivers the images, labels and number that the loader itself delivers."""

import itertools
import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed here: extra `process-cpu`")

from PIL import Image  # noqa: E402

from harness.bench.invocation import make_loader  # noqa: E402
from harness.bench.loaders.interface import LoaderContext  # noqa: E402
from harness.bench.loaders.recipes import CACHES, write_recipe  # noqa: E402
from harness.bench.registry import LOADERS  # noqa: E402

pytestmark = pytest.mark.tensorflow
SIZE, BATCH, COUNT = (32, 32), 4, 10
CLASSES = ("cat", "dog", "zebra")
NAMES = [name for name in LOADERS if write_recipe(name) is not None]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with ``images/<class>/<n>.jpg``: smooth pictures that can be told from each other."""
    root = tmp_path_factory.mktemp("recipes")
    rows, columns = np.mgrid[0:96, 0:128]
    for number in range(COUNT):
        folder = root / "images" / CLASSES[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        waves = [np.sin(rows / (5 + number) + channel) + np.cos(columns / (9 + 2 * number)) for channel in range(3)]
        pixels = (np.stack(waves, axis=2) * 40 + 100 + number * 5).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.jpg", quality=95)
    return root


def run_recipe(code, place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").symlink_to(place / "images")
    names = {}
    exec(compile(code, "recipe", "exec"), names)
    dataset = names["dataset"]
    steps = -(-COUNT // BATCH)
    batches = [dataset[i] for i in range(len(dataset))] if hasattr(dataset, "__getitem__") else list(dataset)
    assert len(batches) == steps
    return collect(batches), dataset


def collect(batches):
    """Images by their content, so that order does not matter: sorted by label and mean."""
    images = np.concatenate([np.asarray(images) for images, _ in batches])
    labels = np.concatenate([np.asarray(labels) for _, labels in batches]).astype(int)
    assert images.dtype == np.float32 and images.shape == (COUNT, *SIZE, 3)
    order = sorted(range(COUNT), key=lambda i: (labels[i], float(images[i].mean())))
    return images[order], labels[order]


def run_loader(name, place, scratch, **changes):
    paths = sorted(str(path.relative_to(place / "images")) for path in (place / "images").glob("*/*.jpg"))
    scratch.mkdir()
    is_native = changes.get("interpolation") == "native"
    fields = {
        "kind": "folder", "folder": str(place / "images"), "paths": tuple(paths), "classes": CLASSES,
        "labels": tuple(CLASSES.index(path.split("/")[0]) for path in paths), "scratch": str(scratch),
        "image_size": SIZE, "batch_size": BATCH, "interpolation": "nearest", "seed": 5, "is_native": is_native,
        "cache_prefix": str(scratch / "cache") if changes.get("cache") == "file" else None, **changes,
    }  # fmt: skip
    if is_native:
        fields["interpolation"] = LOADERS[name].native
    loader = make_loader(name, LoaderContext(**fields))
    batches = [(np.asarray(images), np.asarray(labels)) for images, labels in loader.batches()]
    loader.close()
    return collect(batches)


def cases():
    for name in NAMES:
        spec = LOADERS[name]
        for interpolation in spec.interpolations:
            yield name, "none", "float32", interpolation
        for cache, element in itertools.product([c for c in spec.caches if c in CACHES and c != "none"], spec.elements):
            yield name, cache, element, "nearest"
            if element == "uint8":
                yield name, cache, element, "bilinear"


@pytest.mark.parametrize("name, cache, element, interpolation", list(cases()))
def test_a_recipe_delivers_what_its_loader_delivers(name, cache, element, interpolation, place, tmp_path, monkeypatch):
    wish = {"cache": cache, "element": element, "interpolation": interpolation}
    code = write_recipe(name, **wish, image_size=SIZE, batch_size=BATCH)
    (pasted, pasted_labels), dataset = run_recipe(code, place, monkeypatch, tmp_path)
    own, own_labels = run_loader(name, place, tmp_path / "scratch", **wish)
    assert pasted_labels.tolist() == own_labels.tolist() and sorted(set(pasted_labels)) == [0, 1, 2]
    assert np.abs(pasted - own).max() * 255 < 0.01
    if isinstance(dataset, tf.data.Dataset):
        again, _ = collect(list(dataset))
        assert np.abs(again - own).max() * 255 < 0.01


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_short_enough_to_be_read(name):
    lines = [line for line in write_recipe(name).splitlines() if line.strip()]
    assert 8 <= len(lines) <= 24
    assert max(map(len, lines)) <= 120


def test_what_has_no_recipe_says_so():
    assert write_recipe("ceiling") is None
    assert write_recipe("keras-idg", cache="memory") is None
    assert {"keras-idg", "keras-directory", "tfdata"} <= set(NAMES)

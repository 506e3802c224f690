"""Code to paste is made of the loaders' own source, and run: it delivers what the loader itself delivers."""

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
from harness.bench.registry import CACHES, LOADERS, is_on_disk  # noqa: E402
from harness.report.recipes.recipe import write_recipe  # noqa: E402
from harness.values.case import Case  # noqa: E402

pytestmark = pytest.mark.tensorflow
SIZE, BATCH, COUNT = (32, 32), 4, 10
CLASSES = ("cat", "dog", "zebra")


HEAD = ("folder =", "classes =", "files =", "labels =")


def make_case(loader, **changes):
    values = {"data": "images", "loader": loader, "image_size": SIZE, "batch_size": BATCH, **changes}
    if "interpolation" not in values and "nearest" not in LOADERS[loader].interpolations:
        values["interpolation"] = LOADERS[loader].interpolations[0]
    return Case.model_validate(values)


NAMES = [name for name in LOADERS if write_recipe(make_case(name)) is not None]


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
        "cache_prefix": str(scratch / "cache") if is_on_disk(changes.get("cache", "none")) else None, **changes,
    }  # fmt: skip
    if is_native:
        fields["interpolation"] = LOADERS[name].native
    loader = make_loader(name, LoaderContext(**fields))
    loader.fill()
    batches = [(np.asarray(images), np.asarray(labels)) for images, labels in loader.batches()]
    loader.close()
    return collect(batches)


def cases():
    for name in NAMES:
        spec = LOADERS[name]
        for interpolation in spec.interpolations:
            yield name, "none", "float32", {"interpolation": interpolation}
        for cache in spec.caches if name == "tfdata" else [c for c in spec.caches if c in ("memory", "file")]:
            for element in CACHES[cache].elements if cache != "none" else ():
                yield name, cache, element, {}
    yield "tfdata", "file", "uint8", {"interpolation": "bilinear"}
    yield "tfdata", "tfrecord-resized", "uint8", {"interpolation": "native"}
    for decoding in ("fast-dct", "plain-upscaling", "scaled", "cropped"):
        yield "tfdata", "none", "float32", {"decoding": decoding}


@pytest.mark.parametrize("name, cache, element, more", list(cases()))
def test_a_recipe_delivers_what_its_loader_delivers(name, cache, element, more, place, tmp_path, monkeypatch):
    wish = {"cache": cache, "element": element, **more}
    case = make_case(name, **wish)
    (pasted, pasted_labels), dataset = run_recipe(write_recipe(case), place, monkeypatch, tmp_path)
    own, own_labels = run_loader(name, place, tmp_path / "scratch", **wish, **({} if more else pixels_of(case)))
    assert pasted_labels.tolist() == own_labels.tolist() and sorted(set(pasted_labels)) == [0, 1, 2]
    assert np.abs(pasted - own).max() * 255 < 0.01
    if isinstance(dataset, tf.data.Dataset):
        again, _ = collect(list(dataset))
        assert np.abs(again - own).max() * 255 < 0.01


def pixels_of(case):
    return {"interpolation": case.interpolation}


def test_augmentation_is_in_the_recipe(place, tmp_path, monkeypatch):
    """Its random numbers are the case's: the recipe's own seed gives the same images at each run."""
    code = write_recipe(make_case("tfdata", augment="flip-crop"))
    assert "stateless_random_flip_left_right" in code
    (images, labels), _ = run_recipe(code, place, monkeypatch, tmp_path)
    own, own_labels = run_loader("tfdata", place, tmp_path / "scratch", augment="flip-crop", seed=0)
    assert labels.tolist() == own_labels.tolist()
    assert np.allclose(np.sort(images.mean(axis=(1, 2, 3))), np.sort(own.mean(axis=(1, 2, 3))), atol=0.03)


def test_a_recipe_follows_the_source(monkeypatch):
    """Another source gives another recipe: no text of it stands anywhere else."""
    from harness.report.recipes import modules

    before = write_recipe(make_case("tfdata"))
    read = modules.read_module("loaders.tfdata")
    source = (modules.resources.files("harness.bench") / "loaders" / "tfdata.py").read_text()
    changed = source.replace("prefetch(tf.data.AUTOTUNE)", "prefetch(7)")
    assert changed != source
    monkeypatch.setattr(modules, "read_module", modules.read_module)
    other = modules.parse_module(read.name, changed)
    monkeypatch.setattr(
        "harness.report.recipes.folding.read_module",
        lambda name: other if name == read.name else modules.read_module(name),
    )
    assert write_recipe(make_case("tfdata")) == before.replace("prefetch(tf.data.AUTOTUNE)", "prefetch(7)") != before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cache", ["none", "memory", "file"])
def test_a_recipe_is_short_enough_to_be_read(name, cache):
    if cache not in LOADERS[name].caches:
        return
    lines = [line for line in write_recipe(make_case(name, cache=cache)).splitlines() if line.strip()]
    head = [line for line in lines if line.startswith(("#", "import", "from", *HEAD))]
    assert 4 <= len(lines) - len(head) <= (20 if name in ("keras-idg", "tfdata") else 30)
    assert max(map(len, lines)) <= 124


def test_what_has_no_recipe_says_so():
    assert [name for name in LOADERS if name not in NAMES] == ["grain", "decoder", "ceiling"]
    assert write_recipe(make_case("tfdata").model_copy(update={"loader": "path/to/own.py:make"})) is None
    assert {name for name, *_ in itertools.islice(cases(), 500)} == set(NAMES)

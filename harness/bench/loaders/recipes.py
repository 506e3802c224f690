"""Recipes: each loader as some fifteen lines of plain tf.data or Keras to paste, doing what the loader itself does.

Standard library only, so that a report may print them. A test runs each text and compares images, labels
and their number with what the loader itself delivers: who changes a loader changes its recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

CACHES = ("none", "memory", "file")
"""Caches that recipes are written for."""

_FILES = """\
folder = pathlib.Path("images")  # one folder per class
classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
files = sorted(str(path) for path in folder.glob("*/*.jpg"))
"""
_LABELS = "labels = [classes.index(pathlib.Path(file).parent.name) for file in files]\n"
_AUTOTUNE = ", num_parallel_calls=tf.data.AUTOTUNE"
_KEEP = {
    "none": "",
    "memory": "dataset = dataset.cache()  # decoded images stay in memory",
    "file": 'dataset = dataset.cache("images.tfcache")  # on a fast disk; delete it when images change',
}


@dataclass(frozen=True)
class _Wish:
    loader: str
    cache: str
    element: str
    interpolation: str
    image_size: tuple[int, int]
    batch_size: int

    @property
    def pil_filter(self) -> str:
        """PIL's name; its bilinear is antialiased."""
        return "bilinear" if self.interpolation == "bilinear-antialias" else "nearest"


def write_recipe(
    loader: str,
    *,
    cache: str = "none",
    element: str = "float32",
    interpolation: str = "nearest",
    image_size: tuple[int, int] = (256, 256),
    batch_size: int = 32,
) -> str | None:
    """Python that makes ``dataset``, ready for ``model.fit``, of a folder with one folder per class.

    None for what has no recipe: an automatic loader, or a cache that no text is written for.
    """
    write = _RECIPES.get(loader)
    if write is None or cache not in CACHES or (cache != "none" and not loader.startswith("tfdata")):
        return None
    height, width = image_size
    return write(_Wish(loader, cache, element, interpolation, (height, width), batch_size))


def _write_tfdata(wish: _Wish) -> str:
    """read → [keep files] → decode → [keep images] → scale → batch, as the ladder of tf.data builds it."""
    parallel = "" if wish.loader == "tfdata-sequential" else _AUTOTUNE
    is_cached = wish.cache != "none"
    lines = ["import os, pathlib, random", "import tensorflow as tf", "", *_FILES.splitlines()]
    if is_cached:
        lines.append("random.Random(0).shuffle(files)  # once: a cache freezes the order")
    lines += [_LABELS.rstrip(), "", *_write_decode(wish), ""]
    lines.append("dataset = tf.data.Dataset.from_tensor_slices((files, labels))")
    if not is_cached:
        lines.append("dataset = dataset.shuffle(len(files), reshuffle_each_iteration=True)")
    lines += _write_reading(wish, parallel)
    if is_cached and wish.element == "encoded":
        lines.append(_KEEP[wish.cache].replace("decoded images stay", "the files as they are stay"))
    lines.append(f"dataset = dataset.map(decode{parallel})")
    is_whole = is_cached and wish.element == "float32"
    if is_whole:
        lines.append(f"dataset = dataset.map(scale{parallel})")
    if is_cached and wish.element != "encoded":
        lines.append(_KEEP[wish.cache])
    scales_late = wish.loader == "tfdata-tuned" and not is_whole
    if not is_whole and not scales_late:
        lines.append(f"dataset = dataset.map(scale{parallel})")
    lines.append(f"dataset = dataset.batch({wish.batch_size})")
    if scales_late:
        lines.append(f"dataset = dataset.map(scale{parallel})")
    if wish.loader != "tfdata-sequential":
        lines.append("dataset = dataset.prefetch(tf.data.AUTOTUNE)")
    return "\n".join(lines).replace("import os, pathlib, random", _imports(lines)) + "\n"


def _imports(lines: list[str]) -> str:
    body = "\n".join(lines[1:])
    return "import " + ", ".join(name for name in ("os", "pathlib", "random") if f"{name}." in body)


def _write_decode(wish: _Wish) -> list[str]:
    is_native = wish.interpolation == "native"
    method = "bilinear" if is_native or wish.interpolation == "bilinear-antialias" else wish.interpolation
    exact = "" if is_native else ', dct_method="INTEGER_ACCURATE"'
    antialias = ", antialias=True" if wish.interpolation == "bilinear-antialias" else ""
    lines = [
        "def decode(data, label):",
        f"    image = tf.io.decode_jpeg(data, channels=3{exact})",
        f'    image = tf.image.resize(image, {wish.image_size}, method="{method}"{antialias})',
    ]
    if wish.cache != "none" and wish.element == "uint8" and method != "nearest":
        lines.append("    image = tf.saturate_cast(tf.round(image), tf.uint8)")
    lines.append("    return image, label")
    return [*lines, "", "def scale(image, label):", "    return tf.cast(image, tf.float32) / 255.0, label"]


def _write_reading(wish: _Wish, parallel: str) -> list[str]:
    if wish.loader != "tfdata-tuned":
        return [f"dataset = dataset.map(lambda path, label: (tf.io.read_file(path), label){parallel})"]
    return [
        "dataset = dataset.batch(16).interleave(  # sixteen files by each reader",
        "    lambda paths, labels: tf.data.Dataset.from_tensor_slices((paths, labels)).map(",
        "        lambda path, label: (tf.io.read_file(path), label)",
        "    ),",
        f"    cycle_length=os.cpu_count(), block_length=16{parallel},",
        ")",
    ]


def _write_directory(wish: _Wish) -> str:
    method = "bilinear" if wish.interpolation == "native" else wish.interpolation
    return f"""\
import keras
import tensorflow as tf

dataset = keras.utils.image_dataset_from_directory(
    "images",  # one folder per class
    label_mode="int",
    image_size={wish.image_size},
    batch_size={wish.batch_size},
    interpolation="{method}",
    shuffle=True,
    seed=0,
)
dataset = dataset.map(
    lambda images, labels: (tf.cast(images, tf.float32) / 255.0, labels), num_parallel_calls=tf.data.AUTOTUNE
)
dataset = dataset.prefetch(tf.data.AUTOTUNE)
"""


def _write_idg(wish: _Wish) -> str:
    workers = "dataset.workers = os.cpu_count()\n" if wish.loader != "keras-idg" else ""
    if wish.loader == "keras-idg-processes":
        workers += "dataset.use_multiprocessing = True\n"
    return f"""\
{"import os" if workers else ""}
import tensorflow as tf

generator = tf.keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255.0)
dataset = generator.flow_from_directory(
    "images",  # one folder per class
    target_size={wish.image_size},
    batch_size={wish.batch_size},
    class_mode="sparse",
    interpolation="{wish.pil_filter}",
    shuffle=True,
    seed=0,
)
{workers}""".lstrip("\n")


def _write_pydataset(wish: _Wish) -> str:
    height, width = wish.image_size
    return f"""\
import math, os, pathlib, random
import keras
import numpy as np
from PIL import Image

{_FILES}{_LABELS}
class Images(keras.utils.PyDataset):
    order = list(range(len(files)))

    def __len__(self):
        return math.ceil(len(files) / {wish.batch_size})

    def __getitem__(self, index):
        chosen = self.order[index * {wish.batch_size} : (index + 1) * {wish.batch_size}]
        opened = (Image.open(files[number]).convert("RGB") for number in chosen)
        images = [image.resize(({width}, {height}), Image.Resampling.{wish.pil_filter.upper()}) for image in opened]
        return np.stack(images).astype("float32") / 255.0, np.array([labels[number] for number in chosen])

    def on_epoch_end(self):
        random.shuffle(self.order)

dataset = Images(workers=os.cpu_count())
"""


_RECIPES: dict[str, Callable[[_Wish], str]] = {
    "keras-idg": _write_idg,
    "keras-idg-threads": _write_idg,
    "keras-idg-processes": _write_idg,
    "keras-directory": _write_directory,
    "keras-pydataset": _write_pydataset,
    "tfdata-sequential": _write_tfdata,
    "tfdata": _write_tfdata,
    "tfdata-tuned": _write_tfdata,
}

"""Recipes: each loader as some fifteen lines of plain tf.data or Keras to paste, doing what the loader itself does.

Standard library only, so that a report may print them. A test runs each text and compares images, labels
and their number with what the loader itself delivers: who changes a loader changes its recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_PIL_NAMES = {"nearest": "nearest", "bilinear-antialias": "bilinear", "native": "nearest"}
_CACHES = {
    "none": "",
    "memory": "dataset = dataset.cache()  # decoded images stay in memory\n",
    "file": 'dataset = dataset.cache("images.tfcache")  # a file on a fast disk; delete it when the images change\n',
}


@dataclass(frozen=True)
class _Wish:
    cache: str
    interpolation: str
    image_size: tuple[int, int]
    batch_size: int


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

    None for what has no recipe: an automatic loader, a cache or an element that no text is written for.
    """
    write = _RECIPES.get(loader)
    if write is None or cache not in _CACHES or (cache != "none" and loader not in _CACHING):
        return None
    if cache != "none" and element not in _ELEMENTS:
        return None
    height, width = image_size
    return write(_Wish(cache, interpolation, (height, width), batch_size), element)


def _write_tfdata(wish: _Wish, element: str, parallel: str = "tf.data.AUTOTUNE") -> str:
    method, antialias = (
        ("bilinear", True) if wish.interpolation == "bilinear-antialias" else (wish.interpolation, False)
    )
    is_native = wish.interpolation == "native"
    method = "bilinear" if is_native else method
    exact = "" if is_native else ', dct_method="INTEGER_ACCURATE"'
    scaled = "tf.cast(image, tf.float32) / 255.0, label"
    shuffle = "dataset = dataset.shuffle(len(files), reshuffle_each_iteration=True)\n" if wish.cache == "none" else ""
    order = "" if wish.cache == "none" else "random.Random(0).shuffle(files)  # once: a cache freezes the order\n"
    held, late = scaled, ""
    if wish.cache != "none" and element == "uint8":
        held = "tf.cast(tf.round(tf.cast(image, tf.float32)), tf.uint8), label"
        late = f"dataset = dataset.map(lambda image, label: ({scaled}), num_parallel_calls={parallel})\n"
        late = late.replace("/ 255.0, label)", "/ 255.0, label)")
    workers = f", num_parallel_calls={parallel}" if parallel else ""
    late = late if parallel else late.replace(", num_parallel_calls=", "")
    prefetch = ".prefetch(tf.data.AUTOTUNE)" if parallel else ""
    return f"""\
import pathlib, random
import tensorflow as tf

folder = pathlib.Path("images")  # one folder per class
classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
files = sorted(str(path) for path in folder.glob("*/*.jpg"))
{order}labels = [classes.index(pathlib.Path(file).parent.name) for file in files]

def decode(path, label):
    image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3{exact})
    image = tf.image.resize(image, {wish.image_size}, method="{method}", antialias={antialias})
    return {held}

dataset = tf.data.Dataset.from_tensor_slices((files, labels))
{shuffle}dataset = dataset.map(decode{workers})
{_CACHES[wish.cache]}{late}dataset = dataset.batch({wish.batch_size}){prefetch}
"""


def _write_sequential(wish: _Wish, element: str) -> str:
    return _write_tfdata(wish, element, parallel="")


def _write_directory(wish: _Wish, element: str) -> str:
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


def _write_idg(wish: _Wish, element: str) -> str:
    return f"""\
import tensorflow as tf

generator = tf.keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255.0)
dataset = generator.flow_from_directory(
    "images",  # one folder per class
    target_size={wish.image_size},
    batch_size={wish.batch_size},
    class_mode="sparse",
    interpolation="{_PIL_NAMES.get(wish.interpolation, "nearest")}",
    shuffle=True,
    seed=0,
)
"""


_RECIPES: dict[str, Callable[[_Wish, str], str]] = {
    "keras-idg": _write_idg,
    "keras-directory": _write_directory,
    "tfdata": _write_tfdata,
    "tfdata-sequential": _write_sequential,
}
_CACHING = frozenset({"tfdata", "tfdata-sequential"})
_ELEMENTS = frozenset({"float32"})

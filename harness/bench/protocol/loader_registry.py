"""The registry of loaders and caches: what each supports, and its purpose. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .own_loader import find_own_loader
from .plugins import load_constants
from .specs import CacheSpec, Loaders, LoaderSpec


class _Loaders(dict[str, LoaderSpec]):
    """Loaders by name; a name like ``path/to/my_loader.py:make`` is a user's own (``own_loader.py``)."""

    def __missing__(self, name: str) -> LoaderSpec:
        return find_own_loader(name)


def _find() -> _Loaders:
    """Return the loaders of all files in ``loader_specs``, in the order of lists and tables."""
    files = sorted(
        load_constants(f"{__package__.rpartition('.')[0]}.loader_specs", "LOADERS", Loaders), key=lambda file: file.rank
    )
    return _Loaders((spec.name, spec) for file in files for spec in file.specs)


LOADERS: _Loaders = _find()

CEILING = next(name for name, spec in LOADERS.items() if spec.is_automatic)
"""The loader of the cases that measure the model limit."""

CACHES: dict[str, CacheSpec] = {
    spec.name: spec
    for spec in (
        CacheSpec(
            "none",
            "every epoch reads and decodes every image",
            "hosts without spare memory or disk space",
            keeps_order=False,
        ),
        CacheSpec("memory", "tf.data cache(): images stay in memory", "sets that fit: fastest from epoch 2 on"),
        CacheSpec(
            "file",
            "tf.data cache(path): one file, one reader; uint8 takes a quarter of float32",
            "sets that do not fit in memory, with spare disk space",
            is_on_disk=True,
        ),
        CacheSpec(
            "array",
            "one raw file of pixels, read by several readers in another order in each epoch",
            "sets of any size, with spare disk space: the page cache keeps what fits, each epoch is shuffled anew",
            elements=("float32", "uint8"),
            is_on_disk=True,
            keeps_order=False,
        ),
        CacheSpec(
            "save",
            "Dataset.save and load: shards, written before the first epoch, read in parallel",
            "a set prepared once for many trainings; fast disks that one reader cannot saturate",
            is_on_disk=True,
            compressions=("none", "gzip"),
            is_built_first=True,
        ),
        CacheSpec(
            "snapshot",
            "Dataset.snapshot: shards, filled while the first epoch runs, read in parallel",
            "the same as `file`, if one reader is too slow",
            is_on_disk=True,
            compressions=("none", "gzip", "snappy"),
        ),
        CacheSpec(
            "tfrecord",
            "the JPEGs themselves in a few large TFRecord files, decoded in every epoch",
            "hard disks and network disks, where small files are slow",
            elements=("encoded",),
            is_on_disk=True,
            is_built_first=True,
        ),
        CacheSpec(
            "tfrecord-resized",
            "resized images in TFRecord files: uint8 pixels, or JPEGs of quality 95 (encoded: approximate)",
            "the least disk space and decoding for one image size",
            elements=("uint8", "encoded"),
            is_on_disk=True,
            compressions=("none", "gzip"),
            is_built_first=True,
        ),
    )
}


SUPPORTED: Mapping[str, object] = {
    "cache": "none",
    "element": "float32",
    "deliver": "float32",
    "interpolation": "nearest",
    "decoding": "exact",
    "augment": "none",
    "cache_compression": "none",
    "workers": None,
    "shuffle_buffer": "auto",
}
"""Parameters that not every loader or cache supports, with the values of a request that does not have them."""


def find_unsupported(spec: LoaderSpec, values: Mapping[str, object]) -> Iterator[str]:
    """Yield why a loader cannot run with the values of the parameters in ``SUPPORTED``."""
    if values["cache"] not in spec.caches:
        is_alone = spec.caches == ("none",)
        yield f"{spec.name} does not cache" if is_alone else _refuse(spec.name, "cache", values["cache"], spec.caches)
    for parameter, possible in (
        ("element", spec.elements),
        ("deliver", spec.delivers),
        ("interpolation", spec.interpolations),
        ("decoding", spec.decodings),
    ):
        if values[parameter] not in possible:
            yield _refuse(spec.name, parameter, values[parameter], possible)
    if values["augment"] not in spec.augments:
        has_cache = spec.caches != ("none",)
        why = "its cache would always return the same crops" if has_cache else "it has no augmentation"
        yield f"{spec.name} does not support augment {values['augment']}: {why}"
    if values["deliver"] == "uint8" and values["cache"] != "none" and values["element"] == "float32":
        yield "a cache with element float32 holds scaled pixels: it cannot deliver uint8"
    cache = CACHES[str(values["cache"])]
    for parameter, possible in (("element", cache.elements), ("cache_compression", cache.compressions)):
        if values[parameter] not in possible:
            yield _refuse(f"cache {cache.name}", parameter, values[parameter], possible)
    workers = values["workers"]
    if isinstance(workers, int) and not spec.workers:
        yield f"the number of workers of {spec.name} cannot be set"
    elif isinstance(workers, int) and workers < spec.least_workers:
        least = f"{spec.least_workers} worker{'' if spec.least_workers == 1 else 's'}"
        yield f"{spec.name} needs at least {least}, not {workers}"
    if values["shuffle_buffer"] != "auto" and not spec.takes_buffer:
        yield f"the size of the shuffle buffer of {spec.name} cannot be set"


def _refuse(name: str, parameter: str, value: object, possible: tuple[str, ...]) -> str:
    return f"{name} does not support {parameter} {value} (it supports: {', '.join(possible)})"


def keeps_order(cache: str) -> bool:
    """Return whether every epoch has the order in which a cache was filled."""
    return CACHES[cache].keeps_order


def is_on_disk(cache: str) -> bool:
    """Return whether a cache has files."""
    return CACHES[cache].is_on_disk


def native_interpolation(loader: str) -> str:
    """Return the interpolation that ``native`` means for a loader."""
    return LOADERS[loader].native


def is_own(loader: str) -> bool:
    """Return whether a name is a user's own loader, ``path/to/file.py:function``, or one of an installed package."""
    return loader not in LOADERS


def is_automatic(loader: str) -> bool:
    """Return whether a loader is added automatically; false for a user's own, whose file is not read."""
    spec = LOADERS.get(loader)
    return spec is not None and spec.is_automatic


def is_yardstick(loader: str) -> bool:
    """Return whether a loader is the yardstick; false for a user's own, whose file is not read."""
    spec = LOADERS.get(loader)
    return spec is not None and spec.is_yardstick

"""Loaders and caches: what each can make, what it is for. Standard library only: a controller reads it too."""

from __future__ import annotations

from .own import find_own_loader
from .specs import ALL_KINDS, DECODINGS, ELEMENTS, CacheSpec, LoaderSpec

_PIXELS = ("nearest", "bilinear", "bilinear-antialias", "native")
_ALL_CACHES = ("none", "memory", "file", "save", "snapshot", "tfrecord", "tfrecord-resized")


class _Loaders(dict[str, LoaderSpec]):
    """The loaders by name; a name like ``path/to/my_loader.py:make`` is a user's own (``own.py``)."""

    def __missing__(self, name: str) -> LoaderSpec:
        return find_own_loader(name)


def _keras_idg(
    name: str, function: str, summary: str, for_what: str, *, is_single_threaded: bool = False
) -> LoaderSpec:
    return LoaderSpec(
        name=name,
        maker=f"loaders.keras_idg:{function}",
        summary=summary,
        for_what=for_what,
        caches=("none",),
        interpolations=("nearest", "bilinear-antialias", "native"),
        native="nearest",
        is_single_threaded=is_single_threaded,
        frames_for_lists=True,
    )


def _tfdata(name: str, function: str, summary: str, for_what: str, *, can_reorder: bool) -> LoaderSpec:
    return LoaderSpec(
        name=name,
        maker=f"loaders.tfdata:{function}",
        summary=summary,
        for_what=for_what,
        caches=_ALL_CACHES,
        interpolations=_PIXELS,
        native="bilinear",
        elements=ELEMENTS,
        kinds=ALL_KINDS,
        augments=("none", "flip-crop"),
        decodings=DECODINGS,
        can_reorder=can_reorder,
        is_single_threaded=not can_reorder,
    )


LOADERS: _Loaders = _Loaders(
    (spec.name, spec)
    for spec in (
        _keras_idg(
            "keras-idg",
            "make",
            "Keras ImageDataGenerator (deprecated by Keras) as it comes: PIL, one thread",
            "what many existing projects run; the usual baseline",
            is_single_threaded=True,
        ),
        _keras_idg(
            "keras-idg-threads",
            "make_threads",
            "Keras ImageDataGenerator (deprecated by Keras) with `workers` = CPUs: threads of one process",
            "one line changed in an existing project",
        ),
        _keras_idg(
            "keras-idg-processes",
            "make_processes",
            "Keras ImageDataGenerator (deprecated by Keras) with `workers` = CPUs and `use_multiprocessing=True`",
            "one line changed, memory to spare: each process is a copy, and its batches pass through pipes",
        ),
        LoaderSpec(
            name="keras-directory",
            maker="loaders.keras_directory:make",
            summary="keras.utils.image_dataset_from_directory: tf.data behind one call",
            for_what="what Keras names in place of ImageDataGenerator, with preprocessing layers to augment",
            caches=("none",),
            interpolations=("nearest", "bilinear", "native"),
            native="bilinear",
        ),
        LoaderSpec(
            name="keras-pydataset",
            maker="loaders.keras_pydataset:make",
            summary="a keras.utils.PyDataset with `workers` = CPUs: PIL in threads, one class of twenty lines",
            for_what="Python code of one's own for each image, without tf.data",
            caches=("none",),
            interpolations=("nearest", "bilinear-antialias", "native"),
            native="nearest",
            kinds=ALL_KINDS,
        ),
        _tfdata(
            "tfdata-sequential",
            "make_sequential",
            "tf.data as a first try writes it: map and batch, nothing parallel, no prefetching",
            "to see what AUTOTUNE and prefetching are worth",
            can_reorder=False,
        ),
        _tfdata(
            "tfdata",
            "make",
            "tf.data with AUTOTUNE: parallel map, batch, prefetch",
            "new code",
            can_reorder=True,
        ),
        _tfdata(
            "tfdata-tuned",
            "make_tuned",
            "tf.data with interleaved reading, scaling after batching, one thread an operation",
            "new code that should be as fast as tf.data can be",
            can_reorder=True,
        ),
        LoaderSpec(
            name="grain",
            maker="loaders.grain_dataset:make",
            summary="Google's Grain: random access, PIL, read ahead by its threads (its processes are not used)",
            for_what="projects with JAX beside TensorFlow; exact restarts",
            caches=("none",),
            interpolations=("nearest", "bilinear-antialias", "native"),
            native="nearest",
            kinds=ALL_KINDS,
            packages=("grain",),
        ),
        LoaderSpec(
            name="decoder",
            maker="loaders.decoder:make",
            summary="libjpeg-turbo through simplejpeg in plain threads: read, decode, pick pixels, nothing else",
            for_what="the yardstick: how many images a CPU second can give at equal pixels",
            caches=("none",),
            interpolations=("nearest", "native"),
            native="nearest",
            kinds=ALL_KINDS,
            decodings=("exact", "fast-dct", "plain-upscaling"),
            packages=("simplejpeg",),
            is_yardstick=True,
        ),
        LoaderSpec(
            name="ceiling",
            maker="loaders.ceiling:make",
            summary="one batch, decoded once and repeated: what the model alone can eat",
            for_what="added to every training experiment by itself; no loader can be faster",
            caches=("none",),
            interpolations=_PIXELS,
            native="bilinear",
            kinds=ALL_KINDS,
            is_automatic=True,
        ),
    )
)

CACHES: dict[str, CacheSpec] = {
    spec.name: spec
    for spec in (
        CacheSpec("none", "every epoch reads and decodes every image", "no memory and no disk to spare"),
        CacheSpec("memory", "tf.data cache(): images stay in memory", "sets that fit: the fastest from epoch 2 on"),
        CacheSpec(
            "file",
            "tf.data cache(path): one file, one reader; uint8 takes a quarter of float32",
            "sets that do not fit in memory, with disk to spare",
            is_on_disk=True,
        ),
        CacheSpec(
            "save",
            "Dataset.save and load: shards, written first, read in parallel",
            "a set prepared once for many trainings; fast disks that one reader does not fill",
            is_on_disk=True,
            compressions=("none", "gzip"),
            is_built_first=True,
        ),
        CacheSpec(
            "snapshot",
            "Dataset.snapshot: shards, filled while the first epoch runs, read in parallel",
            "as file, where one reader is too slow",
            is_on_disk=True,
            compressions=("none", "gzip", "snappy"),
        ),
        CacheSpec(
            "tfrecord",
            "the JPEGs themselves in a few large TFRecord files, decoded every epoch",
            "hard disks and network disks, where small files are slow",
            elements=("encoded",),
            is_on_disk=True,
            is_built_first=True,
        ),
        CacheSpec(
            "tfrecord-resized",
            "resized images in TFRecord files: uint8 pixels, or JPEGs of quality 95 (encoded: approximate)",
            "the least disk and the least decoding for one image size",
            elements=("uint8", "encoded"),
            is_on_disk=True,
            compressions=("none", "gzip"),
            is_built_first=True,
        ),
    )
}


def is_on_disk(cache: str) -> bool:
    """Whether a cache has files."""
    return CACHES[cache].is_on_disk


def native_interpolation(loader: str) -> str:
    """The interpolation that ``native`` means for a loader."""
    return LOADERS[loader].native


def is_own(loader: str) -> bool:
    """Whether a name is a user's own loader, ``path/to/file.py:function``, or one of an installed package."""
    return loader not in LOADERS

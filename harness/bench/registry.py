"""Loaders and caches: what each can make, what it is for. Standard library only: a controller reads it too."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LoaderSpec:
    """A loader: ``maker`` is ``module:function`` inside this package, imported where it runs.

    ``native`` is the interpolation that its users get by default.
    """

    name: str
    maker: str
    summary: str
    for_what: str
    caches: tuple[str, ...]
    interpolations: tuple[str, ...]
    native: str
    elements: tuple[str, ...] = ("float32",)
    kinds: tuple[str, ...] = ("folder", "coco")
    augments: tuple[str, ...] = ("none",)
    is_automatic: bool = False


@dataclass(frozen=True)
class CacheSpec:
    """A cache: where decoded images are kept between epochs."""

    name: str
    summary: str
    for_what: str


LOADERS: dict[str, LoaderSpec] = {
    spec.name: spec
    for spec in (
        LoaderSpec(
            name="keras-idg",
            maker="loaders.keras_idg:make",
            summary="Keras ImageDataGenerator as it comes: PIL, one thread",
            for_what="what many existing projects run; the usual baseline",
            caches=("none",),
            interpolations=("nearest", "bilinear-antialias", "native"),
            native="nearest",
        ),
        LoaderSpec(
            name="keras-directory",
            maker="loaders.keras_directory:make",
            summary="keras.utils.image_dataset_from_directory: tf.data behind one call",
            for_what="the documented successor of ImageDataGenerator",
            caches=("none",),
            interpolations=("nearest", "bilinear", "native"),
            native="bilinear",
        ),
        LoaderSpec(
            name="tfdata",
            maker="loaders.tfdata:make",
            summary="tf.data with AUTOTUNE: parallel map, batch, prefetch",
            for_what="new code; the only one here that caches",
            caches=("none", "memory", "file"),
            interpolations=("nearest", "bilinear", "bilinear-antialias", "native"),
            native="bilinear",
        ),
        LoaderSpec(
            name="ceiling",
            maker="loaders.ceiling:make",
            summary="one batch, decoded once and repeated: what the model alone can eat",
            for_what="added to every training experiment by itself; no loader can be faster",
            caches=("none",),
            interpolations=("nearest", "bilinear", "bilinear-antialias", "native"),
            native="bilinear",
            is_automatic=True,
        ),
    )
}

CACHES: dict[str, CacheSpec] = {
    spec.name: spec
    for spec in (
        CacheSpec("none", "every epoch reads and decodes every image", "no memory and no disk to spare"),
        CacheSpec(
            "memory", "tf.data cache(): decoded images stay in memory", "sets that fit: the fastest from epoch 2 on"
        ),
        CacheSpec(
            "file",
            "tf.data cache(path): decoded images in one file",
            "sets that do not fit in memory, with disk to spare",
        ),
    )
}


def native_interpolation(loader: str) -> str:
    """The interpolation that ``native`` means for a loader."""
    return LOADERS[loader].native

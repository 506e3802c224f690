"""Specifications of loaders and caches. Standard library only: a controller reads them too."""

from __future__ import annotations

from dataclasses import dataclass

ELEMENTS = ("float32", "uint8", "encoded")
DECODINGS = ("exact", "fast-dct", "plain-upscaling", "scaled", "cropped")
"""How JPEGs are decoded; see ``loaders/decoding.py``. All but ``exact`` are approximate."""

DELIVERS = ("float32", "uint8")
"""Types of batches: float32 from 0 to 1, or uint8 from 0 to 255."""
INTERPOLATIONS = ("nearest", "bilinear", "bilinear-antialias", "native")
ALL_CACHES = ("none", "memory", "file", "array", "save", "snapshot", "tfrecord", "tfrecord-resized")
NEW_ORDER = "a new permutation of all images each epoch"
OWN_ORDER = "as the loader says"
"""Descriptions of a loader's order of images: a full permutation, and an unknown order of a user's own loader."""

STAGES = ("read", "decode", "resize", "scale", "cache", "augment", "batch")
"""The stages of a pipeline; each loader has its own order of them. ``scale``: to float32 from 0 to 1."""

FILE_KINDS = ("folder", "coco")
"""Kinds of data sets with one file per image."""
ALL_KINDS = (*FILE_KINDS, "tfrecord")
ALL_FORMATS = ("BMP", "GIF", "WEBP")
"""Image formats besides JPEG and PNG, by Pillow's names."""


@dataclass(frozen=True)
class LoaderSpec:
    """The properties of a loader: ``maker`` is ``module:function`` inside this package, imported where it runs.

    ``native`` is the interpolation that its users get by default. ``elements`` is what its caches can hold,
    ``delivers`` the types of its batches, ``kinds`` the data sets that it reads, ``formats`` the images that it reads
    besides JPEG and PNG (of BMP, GIF and WEBP, Pillow's names) with Pillow's pixels, ``augments`` the augmentation that
    it can do *after* its cache (before the cache it would be frozen, and is refused), ``decodings`` its ways of
    decoding JPEGs. ``can_reorder``: ``deterministic: false`` has an effect. ``packages`` are imported besides
    TensorFlow and Pillow. ``is_yardstick``: others are compared with it, per CPU second. ``is_single_threaded``: it
    decodes in one thread. ``workers`` says what prepares its images, ``threads`` or ``processes``, if their number can
    be set, to at least ``least_workers``; up to ``inline_workers`` the caller's own thread does it. ``takes_buffer``:
    its images can pass a shuffle buffer of a given size. ``frames_for_lists``, ``links_for_lists``: it reads anything
    but a folder of classes through a pandas data frame, or through a tree of links. ``recipe`` is the template of its
    code to paste in ``report/recipes/templates`` (empty: there is none), ``variant`` which of that template's loaders
    it is.
    """

    name: str
    maker: str
    summary: str
    for_what: str
    caches: tuple[str, ...]
    interpolations: tuple[str, ...]
    native: str
    elements: tuple[str, ...] = ("float32",)
    delivers: tuple[str, ...] = DELIVERS
    kinds: tuple[str, ...] = FILE_KINDS
    formats: tuple[str, ...] = ()
    augments: tuple[str, ...] = ("none",)
    decodings: tuple[str, ...] = ("exact",)
    can_reorder: bool = False
    packages: tuple[str, ...] = ()
    is_automatic: bool = False
    is_single_threaded: bool = False
    frames_for_lists: bool = False
    links_for_lists: bool = False
    is_yardstick: bool = False
    workers: str = ""
    least_workers: int = 0
    inline_workers: int = 0
    takes_buffer: bool = False
    recipe: str = ""
    variant: str = ""

    def needs_pandas(self, kind: str) -> bool:
        """Return whether data of a kind is read through a pandas data frame."""
        return self.frames_for_lists and kind != "folder"


@dataclass(frozen=True)
class Loaders:
    """The loaders of one file of ``loader_specs``; ``rank`` is their position in lists and tables."""

    rank: int
    specs: tuple[LoaderSpec, ...]


@dataclass(frozen=True)
class CacheSpec:
    """The properties of a cache: where images are kept between epochs.

    ``elements`` is what it can hold; ``is_on_disk``: it has files, in the job's own cache folder, that can be written
    with ``compressions``. ``is_built_first``: it is written completely before its first epoch delivers an image (the
    time counts in that epoch); other caches fill during the first epoch. ``keeps_order``: each epoch has the order in
    which the first one filled it.
    """

    name: str
    summary: str
    for_what: str
    elements: tuple[str, ...] = ELEMENTS
    is_on_disk: bool = False
    compressions: tuple[str, ...] = ("none",)
    is_built_first: bool = False
    keeps_order: bool = True

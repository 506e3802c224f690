"""What a loader and a cache say of themselves. Standard library only: a controller reads it too."""

from __future__ import annotations

from dataclasses import dataclass

ELEMENTS = ("float32", "uint8", "encoded")
DECODINGS = ("exact", "fast-dct", "plain-upscaling", "scaled", "cropped")
"""How JPEGs are decoded; see ``loaders/decoding.py``. All but ``exact`` are approximate."""

DELIVERS = ("float32", "uint8")
"""Types of batches: from 0 to 1, or grey levels."""
INTERPOLATIONS = ("nearest", "bilinear", "bilinear-antialias", "native")
ALL_CACHES = ("none", "memory", "file", "array", "save", "snapshot", "tfrecord", "tfrecord-resized")
NEW_ORDER = "a new permutation of all images each epoch"
OWN_ORDER = "as the loader says"
"""How images are ordered, as a loader says it: what ``shuffle`` means, and what nobody knows."""

STAGES = ("read", "decode", "resize", "scale", "cache", "augment", "batch")
"""What a pipeline does with an image, in which order is each loader's own. ``scale``: to float32 from 0 to 1."""

FILE_KINDS = ("folder", "coco")
"""Data sets of a file an image."""
ALL_KINDS = (*FILE_KINDS, "tfrecord")
ALL_FORMATS = ("BMP", "GIF", "WEBP")
"""Formats of images beside JPEG and PNG, as Pillow calls them."""


@dataclass(frozen=True)
class LoaderSpec:
    """A loader: ``maker`` is ``module:function`` inside this package, imported where it runs.

    ``native`` is the interpolation that its users get by default. ``elements`` is what its caches can hold,
    ``delivers`` the types of its batches,
    ``kinds`` which data sets it reads, ``formats`` which images beside JPEG and PNG (of BMP, GIF and WEBP, as Pillow
    calls them), with Pillow's pixels, ``augments`` what it can do *after* its cache (a loader that could only do it
    before would freeze it, and is refused), ``decodings`` ways of decoding JPEGs. ``can_reorder``: ``deterministic:
    false`` changes something. ``packages`` are imported beyond TensorFlow and Pillow. ``is_yardstick``: what others
    are held against, per CPU second. ``is_single_threaded``: it decodes in one thread;
    ``workers`` is what prepares its images, ``threads`` or ``processes``, where their number can be set; at least
    ``least_workers`` of them; up to ``inline_workers`` there are none, and the caller's own thread does it.
    ``takes_buffer``: its images can pass a shuffle buffer of a given size.
    ``frames_for_lists``, ``links_for_lists``: it reads anything but a folder of classes through a data frame of pandas,
    or a tree of links. ``recipe`` is the template of its code to paste in ``report/recipes/templates`` (empty: it is
    made for measuring alone), ``variant`` which of the loaders of that template it is.
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
        """Return whether data of a kind is read through a data frame."""
        return self.frames_for_lists and kind != "folder"


@dataclass(frozen=True)
class Loaders:
    """The loaders of one file of ``loader_specs``; ``rank`` is their place in lists and tables."""

    rank: int
    specs: tuple[LoaderSpec, ...]


@dataclass(frozen=True)
class CacheSpec:
    """A cache: where images are kept between epochs.

    ``elements`` is what it can hold; ``is_on_disk``: it has files, in the job's own cache folder; ``compressions``
    how these can be written. ``is_built_first``: it is written whole before its first epoch delivers an image (the
    time counts in that epoch); others fill while the first epoch runs. ``keeps_order``: each epoch has the order in
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

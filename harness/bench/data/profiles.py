"""Profiles that generated data sets imitate: sizes, encoder settings, classes. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, replace

GENERATOR = 1
"""The version of the generator; to be raised with every change that gives other bytes."""


@dataclass(frozen=True)
class Profile:
    """A kind of data set that can be generated. Weights are relative.

    ``sizes`` are (weight, width, height) in pixels. ``other_sizes`` is the weight of all other sizes: their longer side
    is drawn from ``long_sides`` (weight, pixels), their shorter side from ``shortest`` to the longer one. ``qualities``
    are (weight, JPEG quality); ``subsampling`` is Pillow's number (0 = 4:4:4, 2 = 4:2:0). ``texture`` and ``grain`` are
    the largest strengths of either; a larger ``smoothness`` gives fewer regions (see ``synthesis.Scene``).
    ``grey_of_10000`` of 10,000 pictures have one channel. ``progressive``: the JPEGs are progressive, else baseline.
    ``class_weights`` belong to ``classes``; ``mean_bytes`` is the expected size of a file.
    """

    name: str
    kind: str
    summary: str
    sizes: tuple[tuple[int, int, int], ...]
    other_sizes: int
    long_sides: tuple[tuple[int, int], ...]
    shortest: int
    qualities: tuple[tuple[int, int], ...]
    subsampling: int
    texture: int
    grain: int
    smoothness: int
    grey_of_10000: int
    classes: tuple[tuple[int, str], ...]
    class_weights: tuple[int, ...]
    mean_bytes: int
    progressive: bool = False


@dataclass(frozen=True)
class Control:
    """What all images of a controlled set have in common; None leaves a property to the profile.

    ``size`` is the side of square images in pixels, ``quality`` the JPEG quality, ``progressive`` the coding. The same
    seed gives the same scenes at each quality, as baseline and as progressive JPEGs.
    """

    size: int | None = None
    quality: int | None = None
    progressive: bool = False

    @property
    def key(self) -> str:
        """The part that it adds to a folder's name: ``1024px-q75-progressive``; empty if nothing is controlled."""
        said = [f"{self.size}px"] if self.size is not None else []
        said += [f"q{self.quality}"] if self.quality is not None else []
        return "-".join([*said, *(["progressive"] if self.progressive else [])])

    def apply(self, profile: Profile) -> Profile:
        """Return the profile with the controlled properties replaced."""
        found = replace(profile, progressive=self.progressive)
        if self.quality is not None:
            found = replace(found, qualities=((1, self.quality),))
        if self.size is not None:
            (_, width, height), pixels = profile.sizes[0], self.size * self.size
            mean_bytes = max(1, profile.mean_bytes * pixels // (width * height))
            found = replace(found, sizes=((1, self.size, self.size),), other_sizes=0, mean_bytes=mean_bytes)
        return found


QUALITIES = (1, 100)
SIZES = (16, 8192)
"""Bounds of a controlled set; one image larger than that takes gigabytes of memory to generate."""


_COCO_NAMES = (  # in the order of their ids, from 1; an id without a name is not used
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,,stop sign,parking meter,"
    "bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,,backpack,umbrella,,,handbag,tie,suitcase,frisbee,"
    "skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,,wine glass,"
    "cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,,dining table,,,toilet,,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,"
    "refrigerator,,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
)
_COCO_CLASSES = tuple((number, name) for number, name in enumerate(_COCO_NAMES.split(","), start=1) if name)

_COCO = Profile(
    name="coco",
    kind="coco",
    summary="COCO 2017: photographs of at most 640 pixels a side, about 160 kB each, 80 classes",
    # The commonest sizes of train2017, rounded from its first images; checked against what is known of the whole:
    # a mean of 278,000 pixels, 90 % between 167,500 and 355,840, heights of 0.6 to 1.5 widths.
    sizes=(
        (260, 640, 480),
        (140, 640, 427),
        (80, 480, 640),
        (50, 427, 640),
        (40, 640, 426),
        (30, 640, 428),
        (27, 500, 375),
        (25, 640, 425),
        (24, 640, 360),
        (22, 500, 333),
        (18, 612, 612),
        (14, 375, 500),
        (14, 640, 640),
        (12, 426, 640),
        (10, 428, 640),
        (9, 333, 500),
        (9, 640, 424),
        (9, 500, 334),
        (7, 640, 512),
    ),
    other_sizes=200,
    long_sides=((75, 640), (25, 500)),
    shortest=240,
    qualities=((69, 96), (29, 90), (2, 80)),
    subsampling=0,
    texture=68,
    grain=2,
    smoothness=5,
    grey_of_10000=20,
    classes=_COCO_CLASSES,
    class_weights=tuple(2000 // (index + 4) for index in range(len(_COCO_CLASSES))),
    mean_bytes=163_000,
)

_DOGS_AND_CATS = Profile(
    name="dogs-and-cats",
    kind="folder",
    summary="Kaggle's dogs and cats: photographs of at most 500 pixels a side, about 22 kB each, 2 classes",
    # The two commonest sizes (a quarter of the set) and anything around its mean of about 404 × 360.
    sizes=((12, 499, 375), (13, 500, 374), (4, 320, 240), (3, 375, 499)),
    other_sizes=68,
    long_sides=((45, 499), (20, 400), (20, 350), (15, 300)),
    shortest=220,
    qualities=((1, 80),),
    subsampling=2,
    texture=17,
    grain=2,
    smoothness=5,
    grey_of_10000=10,
    classes=((1, "cat"), (2, "dog")),
    class_weights=(1, 1),
    mean_bytes=22_000,
)

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (_COCO, _DOGS_AND_CATS)}

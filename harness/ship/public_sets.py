"""Public data sets: URLs, sizes and checksums of their files, and how they are unpacked.

URLs, sizes and SHA-256 of data sets are those of the package tensorflow-datasets 4.9.10, files
``url_checksums/coco.txt`` and ``url_checksums/cats_vs_dogs.txt``. Keras publishes no checksum for MobileNet's weights
(URLs: ``keras/src/applications/mobilenet.py``); the checksum of the first download is stored beside the file.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "tensorflow-datasets 4.9.10"


@dataclass(frozen=True)
class PublicFile:
    """A file to download; ``bytes`` and ``sha256`` are None where they are not published.

    ``members`` are prefixes of the paths in an archive to unpack (empty: all); ``strip`` is removed from these paths.
    """

    url: str
    bytes: int | None = None
    sha256: str | None = None
    members: tuple[str, ...] = ()
    strip: str = ""

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def is_archive(self) -> bool:
        """Return whether the file is an archive that is unpacked."""
        return self.name.endswith(".zip")


@dataclass(frozen=True)
class PublicSet:
    """A public data set. ``inventory`` has the keys of its inventory entry with paths relative to its folder.

    ``only_jfif``: JPEGs without a JFIF header are left out as damaged, as tensorflow-datasets does.
    """

    name: str
    summary: str
    files: tuple[PublicFile, ...]
    inventory_name: str | None
    inventory: dict[str, str]
    only_jfif: bool = False
    source: str = SOURCE


_COCO = "http://images.cocodataset.org"
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet"
_ANNOTATIONS_2017 = (
    f"{_COCO}/annotations/annotations_trainval2017.zip",
    252907541,
    "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
)


def _coco(name: str, part: str, size: int, sha256: str, summary: str) -> PublicSet:
    images = PublicFile(f"{_COCO}/zips/{part}.zip", size, sha256)
    labels = PublicFile(*_ANNOTATIONS_2017, members=(f"annotations/instances_{part}.json",))
    entry = {"images": part, "annotations": f"annotations/instances_{part}.json"}
    return PublicSet(name, summary, (images, labels), "coco", entry)


def _mobilenet(alpha: str, width: str) -> PublicSet:
    file = PublicFile(f"{_KERAS}/mobilenet_{alpha}_224_tf_no_top.h5")
    name = f"mobilenet-{width}-weights"
    summary = f"ImageNet weights of MobileNet's base, alpha {width}: `weights: PATH` of a model"
    return PublicSet(
        name, summary, (file,), None, {}, source="keras/src/applications/mobilenet.py; no checksum published"
    )


PUBLIC_SETS: dict[str, PublicSet] = {
    each.name: each
    for each in (
        _coco(
            "coco2017",
            "train2017",
            19336861798,
            "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
            "COCO 2017 train: the article's 117,266 images with annotations",
        ),
        _coco(
            "coco2017-val",
            "val2017",
            815585330,
            "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
            "COCO 2017 validation: 5,000 images, to try things out",
        ),
        PublicSet(
            "dogs-and-cats",
            "Microsoft's cats and dogs (Kaggle): 2 classes, one folder each; damaged JPEGs left out",
            (
                PublicFile(
                    "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"
                    "kagglecatsanddogs_5340.zip",
                    824887076,
                    "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
                    members=("PetImages/",),
                ),
            ),
            "dogs-and-cats",
            {"folder": "PetImages"},
            only_jfif=True,
        ),
        _mobilenet("1_0", "1.0"),
        _mobilenet("2_5", "0.25"),
    )
}

"""Formats of image files by the suffixes of their names, and how others are converted. Standard library only."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

TAKEN = (".jpeg", ".jpg", ".png")
"""Suffixes that every loader takes from a folder."""

REFUSED = (".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp")
"""Suffixes that some loader takes and another leaves out, so that they would not do the same work."""

SOME_READ = {"BMP": ".bmp", "GIF": ".gif", "WEBP": ".webp"}
"""Formats, as Pillow calls them, that are read where every loader of an experiment reads them; their suffix."""

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "MPO": (".jpg", ".jpeg", ".mpo"), "PNG": (".png",),
    "BMP": (".bmp",), "GIF": (".gif",), "WEBP": (".webp",),
}  # fmt: skip
"""Suffixes that fit a format; records of TFRecord files have their own."""

PASSED_OVER = (".avif", ".cr2", ".dng", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jxl", ".nef")
"""Suffixes of images that no loader takes from a folder: they are left out by all alike, and named."""

NAMES = {
    ".avif": "AVIF", ".bmp": "BMP", ".cr2": "raw", ".dng": "raw", ".gif": "GIF", ".heic": "HEIC", ".heif": "HEIC",
    ".jfif": "JFIF", ".jp2": "JPEG 2000", ".jpe": "JPE", ".jxl": "JPEG XL", ".nef": "raw", ".ppm": "PPM",
    ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WebP",
}  # fmt: skip
"""What a suffix that not every loader takes stands for, in words."""

LEAVE_OUT = "`--skip-unreadable` (in an inventory `skip_unreadable: true`)"
"""What leaves files out that cannot be read by every loader."""


def taken_with(formats: Iterable[str]) -> tuple[str, ...]:
    """Return the suffixes that are taken where every loader of an experiment reads some formats more."""
    return (*TAKEN, *(SOME_READ[name] for name in formats if name in SOME_READ))


def command_to_convert(folder: object, suffixes: Iterable[str]) -> str:
    """Return a line for a shell that converts files of some suffixes to JPEG; each original goes when that worked."""
    tests = " -o ".join(f"-iname '*{suffix}'" for suffix in sorted(suffixes))
    script = 'convert "$1[0]" -quality 95 "$1.jpg" && rm "$1"'
    return f"find {shlex.quote(str(folder))} -type f \\( {tests} \\) -exec sh -c '{script}' - {{}} \\;"

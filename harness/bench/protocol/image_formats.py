"""Formats of image files by suffix, and the conversion of others. Standard library only."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

TAKEN = (".jpeg", ".jpg", ".png")
"""Suffixes that every loader reads from a folder."""

REFUSED = (".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp")
"""Suffixes that some loaders read and others ignore, so that loaders would not do the same work."""

SOME_READ = {"BMP": ".bmp", "GIF": ".gif", "WEBP": ".webp"}
"""Formats by Pillow's names, with their suffix, that are read if every loader of an experiment reads them."""

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "MPO": (".jpg", ".jpeg", ".mpo"), "PNG": (".png",),
    "BMP": (".bmp",), "GIF": (".gif",), "WEBP": (".webp",),
}  # fmt: skip
"""Suffixes that belong to a format; records of TFRecord files have their own."""

PASSED_OVER = (".avif", ".cr2", ".dng", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jxl", ".nef")
"""Suffixes of images that no loader reads from a folder; they are left out and named."""

NAMES = {
    ".avif": "AVIF", ".bmp": "BMP", ".cr2": "raw", ".dng": "raw", ".gif": "GIF", ".heic": "HEIC", ".heif": "HEIC",
    ".jfif": "JFIF", ".jp2": "JPEG 2000", ".jpe": "JPE", ".jxl": "JPEG XL", ".nef": "raw", ".ppm": "PPM",
    ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WebP",
}  # fmt: skip
"""The formats of suffixes that not every loader reads, in words."""

LEAVE_OUT = "`--skip-unreadable` (in an inventory `skip_unreadable: true`)"
"""The option that leaves out files that not every loader can read."""


def taken_with(formats: Iterable[str]) -> tuple[str, ...]:
    """Return the suffixes that are read if every loader of an experiment also reads ``formats``."""
    return (*TAKEN, *(SOME_READ[name] for name in formats if name in SOME_READ))


def command_to_convert(folder: object, suffixes: Iterable[str]) -> str:
    """Return a shell command that converts files with some suffixes to JPEG and removes each converted original."""
    tests = " -o ".join(f"-iname '*{suffix}'" for suffix in sorted(suffixes))
    script = 'convert "$1[0]" -quality 95 "$1.jpg" && rm "$1"'
    return f"find {shlex.quote(str(folder))} -type f \\( {tests} \\) -exec sh -c '{script}' - {{}} \\;"

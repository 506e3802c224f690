"""One image file: can every loader read it, and do all of them see the same pixels in it?

What is accepted was tried on Pillow (which IDG uses) and TensorFlow's decoders (the others):
JPEG (RGB, grey, and CMYK as Adobe writes it) and PNG of 8 bits or fewer a channel decode to equal pixels.
What they read differently, or only some of them read, is refused with the reason:
16-bit PNG (Pillow clips, TensorFlow scales), CMYK without Adobe's marker (read inverted by one of them), BMP and GIF
(``decode_jpeg`` takes no BMP, ``flow_from_directory`` no GIF), TIFF, WebP and the like.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from ..loaders import jpeg
from ..loaders.tfrecords import split_place
from ..protocol.unusual_files import OUTCOMES

TAKEN = (".jpeg", ".jpg", ".png")
"""Suffixes that every loader takes from a folder."""

REFUSED = (".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp")
"""Suffixes that some loader takes and another leaves out, so that they would not do the same work."""

ODD = tuple(OUTCOMES)

_CAN_LOOK = jpeg.can_look()

_TINY, _HUGE = 32, 25_000_000
_MOST_BYTES = 512 << 20
"""Of one image file, which is held whole; Pillow opens 179 million pixels at the most, 537 MB as they are."""
_PNG_END = b"IEND\xaeB`\x82"
_EXIF_ORIENTATION = 274
_NOTES = {"L": "greyscale", "1": "greyscale", "LA": "greyscale", "CMYK": "cmyk", "P": "palette"}


@dataclass(frozen=True)
class Inspection:
    """What one file is. ``problem`` is None where every loader can read it; ``notes`` are of ``ODD``.

    ``cause`` is a word for counting problems: missing, unreadable, zero_bytes,
    not_an_image, truncated, other_format, differs.
    """

    size: int
    mtime_ns: int
    sha256: str
    width: int = 0
    height: int = 0
    mode: str = ""
    notes: tuple[str, ...] = ()
    cause: str | None = None
    problem: str | None = None


def inspect_file(path: str) -> Inspection:
    """Read a file, or an image's place in a TFRecord file, once; hash it, and decode it whole."""
    place = split_place(path)
    name, first, length = (path, 0, -1) if place is None else place
    try:
        with open(name, "rb") as stream:
            status = os.fstat(stream.fileno())
            if (status.st_size if length < 0 else length) > _MOST_BYTES:
                large = f"it is larger than {_MOST_BYTES >> 20} MiB, which no image is"
                return Inspection(status.st_size, status.st_mtime_ns, "", cause="not_an_image", problem=large)
            stream.seek(first)
            content = stream.read(length)
    except FileNotFoundError:
        return Inspection(0, 0, "", cause="missing", problem="there is no such file")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return Inspection(0, 0, "", cause="unreadable", problem=why)
    digest = hashlib.sha256(content).hexdigest()
    facts, cause, problem = _decode(content, os.path.splitext(path)[1].lower())
    width, height, mode, notes = facts
    return Inspection(len(content), status.st_mtime_ns, digest, width, height, mode, notes, cause, problem)


_Facts = tuple[int, int, str, tuple[str, ...]]
_NOTHING: _Facts = (0, 0, "", ())


def _decode(content: bytes, suffix: str) -> tuple[_Facts, str | None, str | None]:
    if not content:
        return _NOTHING, "zero_bytes", "it is empty (zero bytes)"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's advice on large images and odd EXIF: counted instead
            with Image.open(io.BytesIO(content)) as image:
                return _examine(image, content, suffix)
    except UnidentifiedImageError:
        return _NOTHING, "not_an_image", "it is not an image"
    except Image.DecompressionBombError:
        return _NOTHING, "other_format", "it has more pixels than Pillow opens"
    except MemoryError:
        raise  # of this machine, not of the file
    except Exception as error:  # Pillow's plug-ins raise what damaged bytes lead them to
        return _NOTHING, "truncated", f"it is truncated or damaged ({str(error)[:200]})"


def _examine(image: Image.Image, content: bytes, suffix: str) -> tuple[_Facts, str | None, str | None]:
    width, height, mode, kind = *image.size, image.mode, image.format
    facts: _Facts = (width, height, mode, _notes(image, suffix))
    if kind not in {"JPEG", "MPO", "PNG"}:
        return facts, "other_format", f"it is a {kind} file, which not every loader reads: convert it to JPEG or PNG"
    if kind == "PNG" and (mode.startswith("I") or content[24:25] == b"\x10"):
        problem = "it is a 16-bit PNG, which Pillow and TensorFlow read differently: convert it to 8 bits"
        return facts, "differs", problem
    if mode == "CMYK" and "adobe" not in image.info:
        return facts, "differs", "it is CMYK without Adobe's marker, which loaders read differently: convert it to RGB"
    if kind in {"JPEG", "MPO"}:
        fault = jpeg.find_fault(content) if _CAN_LOOK else ""
        if fault is None and mode in {"RGB", "L"}:
            return facts, None, None  # decoded without a warning: the same library as Pillow's
        if fault:
            facts = (width, height, mode, (*facts[3], fault))
        if mode == "RGB":
            # One eighth of the size, grey: all of the entropy-coded data is decoded, the rest of the work is not done.
            image.draft("L", (max(1, width // 8), max(1, height // 8)))
    image.load()
    if kind == "PNG" and _PNG_END not in content[-4096:]:
        return facts, "truncated", "it is truncated (a PNG without its end)"
    return facts, None, None


def _notes(image: Image.Image, suffix: str) -> tuple[str, ...]:
    width, height = image.size
    notes = [_NOTES[image.mode]] if image.mode in _NOTES else []
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        notes.append("alpha")
    if "exif" in image.info and image.getexif().get(_EXIF_ORIENTATION, 1) not in {0, 1}:
        notes.append("exif_rotated")
    if min(width, height) < _TINY:
        notes.append("tiny")
    if width * height > _HUGE:
        notes.append("huge")
    if (image.format == "PNG") != (suffix == ".png"):
        notes.append("wrong_suffix")
    return tuple(notes)

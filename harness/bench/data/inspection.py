"""Inspect one image file: can every loader read it, and do all loaders get the same pixels from it?

The rules were found by trying Pillow (which ImageDataGenerator uses) and TensorFlow's decoders (the other loaders):
JPEG (RGB, grey, and CMYK as Adobe writes it) and PNG of 8 bits or fewer per channel decode to equal pixels. Files that
they read differently, or that only some of them read, are refused with the reason: 16-bit PNG (Pillow clips,
TensorFlow scales), CMYK without Adobe's marker (one of them inverts it), TIFF and others. BMP, GIF and WebP are read if
every loader of an experiment reads them (``accept``).
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Collection
from dataclasses import dataclass, replace

from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from ..loaders import jpeg
from ..loaders.tfrecords import split_place
from ..protocol.bounded_json import open_plain
from ..protocol.dataset_errors import NO_FILE
from ..protocol.image_formats import SOME_READ, SUFFIXES
from ..protocol.unusual_files import OUTCOMES

ODD = tuple(OUTCOMES)

_CAN_LOOK = jpeg.can_look()

_TINY, _HUGE = 32, 25_000_000
_MOST_BYTES = 512 << 20
"""Most bytes of one image file, which is read as a whole; Pillow opens at most 179 million pixels, 537 MB decoded."""
_PNG_END = b"IEND\xaeB`\x82"
_EXIF_ORIENTATION = 274
_BMP_BITS = (b"\x08\x00", b"\x18\x00", b"\x20\x00")
"""Bits per pixel of the bitmaps that TensorFlow decodes."""
_NOTES = {"L": "greyscale", "1": "greyscale", "LA": "greyscale", "CMYK": "cmyk", "P": "palette"}


@dataclass(frozen=True)
class Inspection:
    """The result of inspecting one file. ``problem`` is None if every loader can read it; ``notes`` are of ``ODD``.

    ``cause`` is a word by which problems are counted: missing, unreadable, zero_bytes, not_an_image, truncated,
    other_format, differs. ``kind`` is Pillow's name of the format. For a JPEG, ``quality`` is the libjpeg setting that
    gives its luminance table (0: not known), ``sampling`` is the chroma subsampling, and ``is_progressive`` says that
    it is coded in several scans.
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
    kind: str = ""
    quality: int = 0
    sampling: str = ""
    is_progressive: bool = False


def accept(found: Inspection, formats: Collection[str]) -> Inspection:
    """Return the inspection, with a problem if not every loader reads the file's format.

    ``formats``: those of BMP, GIF and WEBP that every loader of the experiment reads if the suffix is right.
    """
    is_read = found.kind in formats and "wrong_suffix" not in found.notes
    if found.problem is not None or found.kind not in SOME_READ or is_read:
        return found
    problem = f"it is a {found.kind} file, which not every loader reads: convert it to JPEG or PNG"
    return replace(found, cause="other_format", problem=problem)


def inspect_file(path: str) -> Inspection:
    """Read a file, or an image inside a TFRecord file, once; hash it and decode it completely."""
    place = split_place(path)
    name, first, length = (path, 0, -1) if place is None else place
    try:
        with open_plain(name, follow=True) as stream:
            status = os.fstat(stream.fileno())
            if (status.st_size if length < 0 else length) > _MOST_BYTES:
                large = f"it is larger than {_MOST_BYTES >> 20} MiB, the most that an image file may have"
                return Inspection(status.st_size, status.st_mtime_ns, "", cause="not_an_image", problem=large)
            stream.seek(first)
            content = stream.read(_MOST_BYTES if length < 0 else length)
    except FileNotFoundError:
        return Inspection(0, 0, "", cause="missing", problem=NO_FILE)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return Inspection(0, 0, "", cause="unreadable", problem=why)
    digest = hashlib.sha256(content).hexdigest()
    found = Inspection(len(content), status.st_mtime_ns, digest)
    return _decode(found, content, os.path.splitext(path)[1].lower())


def _decode(found: Inspection, content: bytes, suffix: str) -> Inspection:
    if not content:
        return replace(found, cause="zero_bytes", problem="it is empty (zero bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's advice on large images and odd EXIF: counted instead
            with Image.open(io.BytesIO(content)) as image:
                return _examine(found, image, content, suffix)
    except UnidentifiedImageError:
        return replace(found, cause="not_an_image", problem="it is not an image")
    except Image.DecompressionBombError:
        return replace(found, cause="other_format", problem="it has more pixels than Pillow opens")
    except MemoryError:
        raise  # a fault of this machine, not of the file
    except Exception as error:  # Pillow's plug-ins raise anything on damaged bytes
        return replace(found, cause="truncated", problem=f"it is truncated or damaged ({str(error)[:200]})")


def _examine(found: Inspection, image: Image.Image, content: bytes, suffix: str) -> Inspection:
    width, height, mode, kind = *image.size, image.mode, image.format or ""
    notes = _notes(image, suffix)
    found = replace(found, width=width, height=height, mode=mode, notes=notes, kind="JPEG" if kind == "MPO" else kind)
    if found.kind not in {"JPEG", "PNG", *SOME_READ}:
        problem = f"it is a {kind} file, which not every loader reads: convert it to JPEG or PNG"
        return replace(found, cause="other_format", problem=problem)
    if kind == "PNG" and (mode.startswith("I") or content[24:25] == b"\x10"):
        cure = "convert it to 8 bits (`mogrify -depth 8 FILE`)"
        problem = f"it is a 16-bit PNG, which Pillow and TensorFlow read differently: {cure}"
        return replace(found, cause="differs", problem=problem)
    if getattr(image, "n_frames", 1) > 1 and kind in SOME_READ:
        problem = f"it is a {kind} with several frames, which loaders read differently: keep one of them"
        return replace(found, cause="differs", problem=problem)
    if kind == "BMP" and (mode not in {"RGB", "RGBA", "L"} or content[28:30] not in _BMP_BITS):
        problem = "it is a BMP with a palette or of few bits, which loaders read differently: convert it to RGB"
        return replace(found, cause="differs", problem=problem)
    if mode == "CMYK" and "adobe" not in image.info:
        problem = "it is CMYK without Adobe's marker, which loaders read differently: convert it to RGB"
        return replace(found, cause="differs", problem=problem)
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        found = _describe_jpeg(found, image)
        fault = jpeg.find_fault(content) if _CAN_LOOK else ""
        if fault is None and mode in {"RGB", "L"}:
            return found  # decoded without a warning by the library that Pillow uses
        if fault:
            found = replace(found, notes=(*notes, fault))
        if mode == "RGB":
            # At one eighth of the size, in grey, all entropy-coded data is decoded; the rest is skipped.
            image.draft("L", (max(1, width // 8), max(1, height // 8)))
    image.load()
    if kind == "PNG" and _PNG_END not in content[-4096:]:
        return replace(found, cause="truncated", problem="it is truncated (a PNG without its end marker)")
    return found


_SAMPLINGS = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
_STANDARD_SUM = 3688
"""Sum of the luminance table that the JPEG standard proposes; libjpeg scales that table by its quality setting."""


def _describe_jpeg(found: Inspection, image: JpegImagePlugin.JpegImageFile) -> Inspection:
    """Add the properties of a JPEG, other than its size, that decide how long it takes to decode."""
    tables = image.quantization
    table = tables.get(0) or next(iter(tables.values()), [])
    percent = 100 * sum(table) / _STANDARD_SUM
    quality = (200 - percent) / 2 if percent <= 100 else 5000 / percent
    sampling = "grey" if image.mode == "L" else _SAMPLINGS.get(JpegImagePlugin.get_sampling(image), "other")
    return replace(
        found,
        quality=max(1, min(100, round(quality))) if table else 0,
        sampling=sampling,
        is_progressive=bool(image.info.get("progressive") or image.info.get("progression")),
    )


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
    if suffix not in (".bin", *SUFFIXES.get(image.format or "", (suffix,))):
        notes.append("wrong_suffix")
    return tuple(notes)

"""Detect faults of a JPEG that libjpeg tolerates: every loader reads such a file, the yardstick with another decoder.

simplejpeg, the yardstick's decoder, is strict: it refuses what libjpeg only warns of. If it is installed, the check of
a data set uses it, too.
"""

from __future__ import annotations

try:
    import simplejpeg
except ImportError:  # optional on a controller
    simplejpeg = None

BYTES_BEFORE_END, FAULTS = "bytes_before_end", "jpeg_faults"
NOTES = (BYTES_BEFORE_END, FAULTS)
"""Notes on such files, used in counts of unusual files and of images that another decoder read."""


def can_look() -> bool:
    """Return whether such faults can be detected here."""
    return simplejpeg is not None


def name_fault(message: str) -> str:
    """Return the note for simplejpeg's message on a file that it refuses."""
    return BYTES_BEFORE_END if "extraneous bytes before marker 0xd9" in message else FAULTS


def find_fault(content: bytes) -> str | None:
    """Return the note for a JPEG that simplejpeg refuses, None for one that it reads. Needs simplejpeg."""
    try:  # decodes all entropy-coded data; the rest of the work is done at an eighth of the size
        simplejpeg.decode_jpeg(content, "GRAY", min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        return name_fault(str(error))
    return None

"""Odd images that can be read, and what becomes of them. Standard library only: a console reads it too."""

from __future__ import annotations

OUTCOMES = {
    "greyscale": "every loader reads them as RGB, its three channels equal",
    "cmyk": "every loader reads them as RGB (they have Adobe's marker)",
    "palette": "every loader reads them as RGB",
    "alpha": "every loader leaves transparency out",
    "exif_rotated": "every loader reads them as they are stored: none turns them upright",
    "tiny": "a side below 32 pixels: every loader reads them like any other",
    "huge": "above 25 million pixels: every loader decodes them whole, which takes time and memory",
    "wrong_suffix": "every loader goes by their content, not by their name",
    "bytes_before_end": "bytes before the end marker: every loader reads them, `decoder` (the yardstick) with Pillow",
    "jpeg_faults": "damaged in places: every loader reads what is left, `decoder` (the yardstick) with Pillow",
}
"""Notes on files that can be read, and what each loader does with them: the same, or it would not be the same work."""

OTHER_DECODER_REASONS = {
    "png": "PNG files",
    "other_formats": "BMP, GIF or WebP files",
    "bytes_before_end": "JPEGs with bytes before the end marker",
    "jpeg_faults": "damaged JPEGs",
}
"""Why the yardstick has an image read by another decoder."""

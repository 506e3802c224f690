"""Unusual images that can be read, and their treatment. Standard library only: the console reads it too."""

from __future__ import annotations

OUTCOMES = {
    "greyscale": "every loader reads them as RGB, its three channels equal",
    "cmyk": "every loader reads them as RGB (they have Adobe's marker)",
    "palette": "every loader reads them as RGB",
    "alpha": "every loader ignores transparency",
    "exif_rotated": "every loader reads them as they are stored, without rotating them",
    "tiny": "a side below 32 pixels: every loader reads them like any other",
    "huge": "above 25 million pixels: every loader decodes them whole, which takes time and memory",
    "wrong_suffix": "every loader uses their content, not their name",
    "bytes_before_end": "bytes before the end marker: every loader reads them, `decoder` (the yardstick) with Pillow",
    "jpeg_faults": "damaged in places: every loader reads what is left, `decoder` (the yardstick) with Pillow",
}
"""Notes on files that can be read, and how loaders treat them: all in the same way, else it would not be equal work."""

OTHER_DECODER_REASONS = {
    "png": "PNG files",
    "other_formats": "BMP, GIF or WebP files",
    "bytes_before_end": "JPEGs with bytes before the end marker",
    "jpeg_faults": "damaged JPEGs",
}
"""Reasons why another decoder reads an image for the yardstick."""

"""Sizes and durations as users write them. GB is 10^9 bytes and GiB is 2^30: never mixed."""

from __future__ import annotations

import re

from harness.values.text import NOTHING

_SIZE_UNITS = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "pb": 10**15,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50,
}  # fmt: skip
_DURATION_UNITS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*\Z")


def parse_bytes(text: str | int) -> int:
    """Bytes of ``16GB``, ``1.5 GiB``, ``500MB`` or a plain number of bytes.

    Raises ValueError, saying what would be understood, for anything else; ``16G``
    is refused because Docker reads it as GiB and most people as GB.
    """
    if isinstance(text, bool):
        raise ValueError("a size is wanted, like 16GB or 1.5GiB, not true or false")
    if isinstance(text, int):
        if text < 0:
            raise ValueError("a size cannot be negative")
        return text
    match = _NUMBER.match(str(text))
    if match is None or match[2].lower() not in _SIZE_UNITS:
        raise ValueError(f"{text!r} is not a size: write it like 16GB (10^9 bytes) or 16GiB (2^30 bytes)")
    return round(float(match[1]) * _SIZE_UNITS[match[2].lower()])


def format_bytes(count: int | None) -> str:
    """``1.87 GB`` and the like, decimal units, three significant digits; ``–`` for None."""
    if count is None:
        return NOTHING
    value, units = float(count), ["B", "kB", "MB", "GB", "TB", "PB"]
    index = 0
    while abs(value) >= 999.5 and index < len(units) - 1:
        value, index = value / 1000, index + 1
    return f"{count} B" if index == 0 else f"{value:.3g} {units[index]}"


def parse_duration_s(text: str | int | float) -> float:
    """Seconds of ``90``, ``90s``, ``15min``, ``2h`` or ``1.5d``. Raises ValueError otherwise."""
    if isinstance(text, bool):
        raise ValueError("a duration is wanted, like 90s, 15min or 2h, not true or false")
    if isinstance(text, int | float):
        if text < 0:
            raise ValueError("a duration cannot be negative")
        return float(text)
    match = _NUMBER.match(text)
    if match is None or (match[2] or "s").lower() not in _DURATION_UNITS:
        raise ValueError(f"{text!r} is not a duration: write it like 90s, 15min or 2h")
    return float(match[1]) * _DURATION_UNITS[(match[2] or "s").lower()]


def format_duration(seconds: float | None) -> str:
    """``4.2 s``, ``3 min 20 s``, ``2 h 5 min``; ``–`` for None."""
    if seconds is None:
        return NOTHING
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

"""Parsing and formatting of bounded numbers, sizes and durations. GB is 10^9 bytes and GiB is 2^30 bytes."""

from __future__ import annotations

import re

from harness.values.text import NOTHING

_SIZE_UNITS = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "pb": 10**15,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50,
}  # fmt: skip
_DURATION_UNITS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"\s*0*([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([A-Za-z]{0,3})\s*\Z")
_WHOLE = re.compile(r"\s*0*([0-9]{1,20})\s*\Z")
MOST_SIZE = 10**18
"""Bytes at most: a million terabytes, more than any machine has; computing with it cannot overflow."""
MOST_DURATION_S = 366 * 86400.0
"""Seconds at most: a year."""


def parse_whole(text: str, most: int) -> int | None:
    """Parse decimal digits; None if the text is not a whole number, or the number is larger than ``most``."""
    match = _WHOLE.match(text)
    number = int(match[1]) if match else most + 1
    return number if number <= most else None


def parse_bytes(text: str | int) -> int:
    """Parse ``16GB``, ``1.5 GiB``, ``500MB`` or a plain number of bytes. Returns bytes.

    Raises ValueError, with the accepted forms, for anything else. ``16G`` is refused because Docker reads it as GiB and
    most people as GB.
    """
    if isinstance(text, bool):
        raise ValueError("expected a size like 16GB or 1.5GiB, not true or false")
    if isinstance(text, int):
        if text < 0:
            raise ValueError("a size cannot be negative: write it like 16GB or 16GiB")
        size = text
    else:
        match = _NUMBER.match(text)
        if match is None or match[2].lower() not in _SIZE_UNITS:
            raise ValueError(f"{_short(text)} is not a size: write it like 16GB (10^9 bytes) or 16GiB (2^30 bytes)")
        size = round(float(match[1]) * _SIZE_UNITS[match[2].lower()])
    if size > MOST_SIZE:
        raise ValueError(f"{_short(text)} is more than any machine has: write it like 16GB or 16GiB, at most 1000PB")
    return size


def _short(text: object) -> str:
    """Return what the user wrote, shortened for a message."""
    if isinstance(text, int):  # Python refuses to convert very long ones
        return str(text) if abs(text) < 10**30 else f"a number of {text.bit_length() * 3 // 10} digits or more"
    return repr(text if len(shown := str(text)) <= 40 else f"{shown[:37]}…")


def format_bytes(count: int | None) -> str:
    """Return a size like ``1.87 GB``, in decimal units with three significant digits; ``–`` for None."""
    if count is None:
        return NOTHING
    value, units = float(count), ["B", "kB", "MB", "GB", "TB", "PB"]
    index = 0
    while abs(value) >= 999.5 and index < len(units) - 1:
        value, index = value / 1000, index + 1
    return f"{count} B" if index == 0 else f"{value:.3g} {units[index]}"


def parse_duration_s(text: str | int | float) -> float:
    """Parse ``90``, ``90s``, ``15min``, ``2h`` or ``1.5d``. Returns seconds. Raises ValueError otherwise."""
    if isinstance(text, bool):
        raise ValueError("expected a duration like 90s, 15min or 2h, not true or false")
    if isinstance(text, int | float):
        if text < 0:
            raise ValueError("a duration cannot be negative: write it like 90s, 15min or 2h")
        seconds = text
    else:
        match = _NUMBER.match(text)
        if match is None or (match[2] or "s").lower() not in _DURATION_UNITS:
            raise ValueError(f"{_short(text)} is not a duration: write it like 90s, 15min or 2h")
        seconds = float(match[1]) * _DURATION_UNITS[(match[2] or "s").lower()]
    if not seconds <= MOST_DURATION_S:
        raise ValueError(f"{_short(text)} is longer than a year: write a shorter duration, like 90s, 15min or 2h")
    return float(seconds)


def format_duration(seconds: float | None) -> str:
    """Return a duration like ``4.2 s``, ``3 min 20 s`` or ``2 h 5 min``; ``–`` for None."""
    if seconds is None:
        return NOTHING
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

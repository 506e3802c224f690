"""Parse JSON from hosts, jobs and files in one place and within bounds. Standard library only.

Values are plain JSON: numbers are finite and of 64 bits, text can be encoded as UTF-8, nesting is limited. Anything
else raises ``Unreadable`` with the reason in a few words. Text that is not UTF-8, or a lone surrogate, is shown as �.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
from collections.abc import Iterator
from io import BufferedReader

MOST_BYTES = 4 * 2**20
"""Of one text. Hosts and jobs send some kilobytes; what is stored of a large lab has some hundred."""

MOST_VALUES = 200_000
"""In one text: Python takes up to 250 bytes for a value of three characters, 2.3 GB for 64 MiB of them."""

MOST_DEPTH = 32
"""Our own values are nested at most ten deep; copying, checking and writing a value is recursive."""

MOST_LINE_BYTES = 256 * 1024
"""Of one line of many; the lines of an epoch are a hundred times smaller."""

MOST_LINES_BYTES = 64 * 2**20
"""Of a file of lines, which is read line by line: two lines per second give half of it in a day."""

INTEGERS = 2**63
"""Bound of the absolute value of integers: tables (Parquet, pandas) store them in 64 bits."""

_HALVES = re.compile("[\ud800-\udfff]")


class Unreadable(ValueError):
    """Raised for text that is not JSON or exceeds the bounds; the message says why."""


class NotJson(Unreadable):
    """Raised for text that is not JSON at all, or is truncated."""


def parse(text: bytes | str, *, most_bytes: int = MOST_BYTES, most_values: int = MOST_VALUES) -> object:
    """Return the value of a JSON text. Raises Unreadable."""
    raw = text.encode(errors="replace") if isinstance(text, str) else text
    check_size(raw, most_bytes=most_bytes, most_values=most_values)
    try:
        value = json.loads(
            raw.decode(errors="replace"),
            parse_int=_parse_int,
            parse_float=_parse_float,
            parse_constant=_refuse_constant,
        )
        return _bounded(value, MOST_DEPTH)
    except Unreadable:
        raise
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise NotJson(f"it is not JSON: {error}") from None


def check_size(raw: bytes, *, most_bytes: int = MOST_BYTES, most_values: int = MOST_VALUES) -> None:
    """Raise Unreadable for a text whose value would take too much memory in any parser."""
    if len(raw) > most_bytes:
        raise Unreadable(f"it is larger than {most_bytes} bytes")
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > most_values:
        raise Unreadable(f"it contains more than {most_values} values")


def parse_object(text: bytes | str, *, most_bytes: int = MOST_BYTES) -> dict[str, object]:
    """Return the JSON object of a text. Raises Unreadable."""
    value = parse(text, most_bytes=most_bytes)
    if not isinstance(value, dict):
        raise Unreadable("it is not a JSON object")
    return value


def read(path: str | os.PathLike[str], *, most_bytes: int = MOST_BYTES, most_values: int = MOST_VALUES) -> object:
    """Return the value of a regular file; links are not followed. Raises Unreadable, OSError (FileNotFoundError)."""
    with open_plain(path) as stream:
        return parse(stream.read(most_bytes + 1), most_bytes=most_bytes, most_values=most_values)


def read_lines(path: str | os.PathLike[str]) -> Iterator[dict[str, object]]:
    """Yield the objects of a file of JSON lines; a line that is not JSON (a truncated last one) is skipped.

    Raises Unreadable at a line that exceeds the bounds, and OSError (FileNotFoundError).
    """
    with open_plain(path) as stream:
        number = left = 0
        while line := stream.readline(MOST_LINE_BYTES + 1):
            number, left = number + 1, left + len(line)
            if left > MOST_LINES_BYTES:
                raise Unreadable(f"it is larger than {MOST_LINES_BYTES} bytes")
            try:
                value = parse(line, most_bytes=MOST_LINE_BYTES)
            except NotJson:
                continue
            except Unreadable as error:
                raise Unreadable(f"line {number}: {error}") from None
            if isinstance(value, dict):
                yield value


def open_plain(path: str | os.PathLike[str], *, follow: bool = False) -> BufferedReader:
    """Open a regular file for reading: no pipe, device or folder, and a link only with ``follow``.

    Raises Unreadable, and OSError.
    """
    links = 0 if follow else os.O_NOFOLLOW
    try:
        descriptor = os.open(path, os.O_RDONLY | links | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        raise Unreadable("it is not a regular file") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unreadable("it is not a regular file")
    return open(descriptor, "rb")


def clean_halves(text: str) -> str:
    """Return text that can be encoded as UTF-8: lone surrogates become �."""
    return text if text.isascii() else _HALVES.sub("�", text)


def _bounded(value: object, depth: int) -> object:
    if isinstance(value, str):
        return clean_halves(value)
    if not isinstance(value, (dict, list)):
        return value
    if not depth:
        raise _too_deep()
    if isinstance(value, list):
        return [_bounded(item, depth - 1) for item in value]
    return {clean_halves(key): _bounded(item, depth - 1) for key, item in value.items()}


def _too_deep() -> Unreadable:
    return Unreadable(f"it is nested deeper than {MOST_DEPTH} levels")


def _parse_int(text: str) -> int:
    number = int(text) if len(text) <= 20 else INTEGERS
    if not -INTEGERS < number < INTEGERS:
        raise Unreadable(f"it contains a number of {len(text)} digits")
    return number


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Unreadable("it contains a number that is too large")
    return number


def _refuse_constant(text: str) -> float:
    raise Unreadable(f"it contains {text}, which is not a number in JSON")

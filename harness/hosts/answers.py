"""What a host said, read into values: whatever cannot be read is an error of that host alone, with its first line.

Parsers here and above expect good answers and may raise as they like on others; ``reading`` stands around them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from harness.values.errors import HostError, HostNotReady
from harness.values.text import clean_text

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What code raises that gets another text, type or size than it expects; pydantic's and JSON's are ValueErrors."""


class Unreadable(ValueError):
    """An answer that makes no sense, and what it was."""

    def __init__(self, message: str, said: object) -> None:
        super().__init__(message)
        self.said = said if isinstance(said, bytes | str) else json.dumps(said, default=str)[:4000]


_HINT = "see what answers there in its place: a shell that greets, another program of that name, a disk that is full"


def first_line(said: bytes | str) -> str:
    """Return the first line of an answer in quotation marks, cut and without control characters; or ``nothing``."""
    text = said[:4000].decode(errors="replace") if isinstance(said, bytes) else said[:4000]
    lines = [line for line in text.splitlines() if line.strip()]
    return f"“{clean_text(lines[0], 160)}”" if lines else "nothing"


@contextmanager
def reading(
    host: str | None, what: str, said: bytes | str | None, *, kind: type[HostError] = HostNotReady, hint: str = _HINT
) -> Iterator[None]:
    """Turn what parsing ``said`` raises into one error of the host: what cannot be understood, and how it begins.

    ``said`` None: the answer is too long ago, or made of several.
    """
    try:
        yield
    except UNREADABLE as error:
        raise not_understood(host, what + _place_in(error), said, kind=kind, hint=hint) from error


def not_understood(
    host: str | None, what: str, said: bytes | str | None, *, kind: type[HostError] = HostNotReady, hint: str = _HINT
) -> HostError:
    """Build the error for an answer that makes no sense."""
    heard = "" if said is None else f": the host said {first_line(said)}"
    return kind(f"{what} cannot be understood{heard}", where=host, hint=hint)


def _place_in(error: Exception) -> str:
    """Return what pydantic finds wrong where, in brackets; nothing for other errors."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return ""
    fault = error.errors(include_url=False, include_context=False)[0]
    return f" ({'.'.join(map(str, fault['loc'])) or 'all of it'}: {fault['msg']})"


def parse_int(text: str, *, most: int = 2**63) -> int | None:
    """A whole number that is not negative and at most ``most``, or None."""
    text = text.strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    return None if number is None or number > most else number

"""Turn parsing failures of a host's answers into one error of that host, with the first line of the answer.

Parsers assume a well-formed answer and may raise any of ``UNREADABLE`` otherwise; ``reading`` wraps them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from harness.values.errors import HostError, HostNotReady
from harness.values.text import clean_text

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""Exceptions that parsers raise for an unexpected text, type or size; pydantic's and JSON's errors are ValueErrors."""


class Unreadable(ValueError):
    """Raised when an answer cannot be parsed; ``said`` is the answer as text or bytes."""

    def __init__(self, message: str, said: object) -> None:
        super().__init__(message)
        self.said = said if isinstance(said, bytes | str) else json.dumps(said, default=str)[:4000]


_HINT = "check for a login shell that prints something, another program of the same name, or a full disk on the host"


def first_line(said: bytes | str) -> str:
    """Return the first line of an answer in quotation marks, cut and without control characters; or ``nothing``."""
    text = said[:4000].decode(errors="replace") if isinstance(said, bytes) else said[:4000]
    lines = [line for line in text.splitlines() if line.strip()]
    return f"“{clean_text(lines[0], 160)}”" if lines else "nothing"


@contextmanager
def reading(
    host: str | None, what: str, said: bytes | str | None, *, kind: type[HostError] = HostNotReady, hint: str = _HINT
) -> Iterator[None]:
    """Context manager: turn an exception while parsing ``said`` into one error of the host.

    ``what`` names the answer in the message, which also quotes its first line. ``said`` None: there is no single
    answer to quote.
    """
    try:
        yield
    except UNREADABLE as error:
        raise not_understood(host, what + _place_in(error), said, kind=kind, hint=hint) from error


def not_understood(
    host: str | None, what: str, said: bytes | str | None, *, kind: type[HostError] = HostNotReady, hint: str = _HINT
) -> HostError:
    """Build the error for an answer that cannot be parsed."""
    heard = "" if said is None else f": the host answered {first_line(said)}"
    return kind(f"{what} cannot be understood{heard}", where=host, hint=hint)


def _place_in(error: Exception) -> str:
    """Return the field and the fault of a pydantic error, in brackets; an empty text for other errors."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return ""
    fault = error.errors(include_url=False, include_context=False)[0]
    return f" ({'.'.join(map(str, fault['loc'])) or 'the whole answer'}: {fault['msg']})"


def parse_int(text: str, *, most: int = 2**63) -> int | None:
    """Parse a whole number from 0 to ``most``; return None for anything else."""
    text = text.strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    return None if number is None or number > most else number

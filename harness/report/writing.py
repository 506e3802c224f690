"""Writes what a user asked for: a page, a table, code."""

from __future__ import annotations

from pathlib import Path

from harness.bench.protocol.atomic import write_file
from harness.values.errors import SessionError

_MODE = 0o644


def write_result(content: str | bytes, output: Path, *, what: str, option: str = "--output") -> Path:
    """Write a file whole or not at all, and through to the disk; text as UTF-8. Raises SessionError.

    ``what`` it is and the ``option`` that names its place are for the error.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_file(output, content, mode=_MODE)
    except OSError as error:
        hint = f"make room there, or choose another place with {option}"
        raise SessionError(f"the {what} cannot be written: {error.strerror}", where=str(output), hint=hint) from error
    return output

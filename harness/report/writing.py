"""Writing of what a user asked for: a page, a table, code."""

from __future__ import annotations

from pathlib import Path

from harness.bench.protocol.atomic import write_file
from harness.values.errors import SessionError

_MODE = 0o644


def write_result(content: str | bytes, output: Path, *, what: str, option: str = "--output") -> Path:
    """Write a file whole or not at all, flushed to the disk; text as UTF-8. Raises SessionError.

    The error names ``what`` is written and the ``option`` that chooses its place.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_file(output, content, mode=_MODE)
    except OSError as error:
        hint = f"free space there, or choose another place with {option}"
        raise SessionError(f"the {what} cannot be written: {error.strerror}", where=str(output), hint=hint) from error
    return output

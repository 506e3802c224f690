"""Paths that users write."""

from __future__ import annotations

import contextlib
from pathlib import Path


def expand_home(text: str | Path) -> Path:
    """Return a path with a leading ``~`` replaced; that of a user who is not known stays as it is."""
    path = Path(text)
    with contextlib.suppress(RuntimeError):
        return path.expanduser()
    return path


def is_file(path: Path) -> bool:
    """Whether a file is there; a path that no system takes (too long, with a NUL) is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False

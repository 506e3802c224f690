"""Paths in what users write."""

from __future__ import annotations

import contextlib
from pathlib import Path


def expand_home(text: str | Path) -> Path:
    """Return a path with a leading ``~`` replaced by the home folder; ``~`` of an unknown user stays."""
    path = Path(text)
    with contextlib.suppress(RuntimeError):
        return path.expanduser()
    return path


def is_file(path: Path) -> bool:
    """Whether a path is a file; impossible paths (too long, with a NUL) are not."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False

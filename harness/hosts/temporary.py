"""Temporary folders on the controller's machine, which the next controller removes where one was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.bench.protocol.bounded_json import Unreadable, open_plain

_PREFIX = "harness-work-"
_MARK = ".lock"
_CONTENT = "content"


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Context manager: yield an empty folder, and remove it at the end.

    The folder has a lock file that is held with flock, which ends with the process. The next controller removes folders
    whose lock file is not held: their controllers were killed.
    """
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        with (folder / f"{_MARK}.new").open("x") as mark:
            fcntl.flock(mark, fcntl.LOCK_EX)
            Path(mark.name).rename(folder / _MARK)  # under its final name the file is locked from the beginning
            content = folder / _CONTENT
            content.mkdir()
            yield content
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Remove the folders of this user's killed controllers; folders without a lock file are left alone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, Unreadable):
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            with open_plain(folder / _MARK) as mark:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)

"""Temporary folders on the controller's own machine: what a killed controller left there is swept by the next."""

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
    """Yield an empty folder that is removed when the block ends, and by the next controller where it never does.

    A folder whose mark nobody holds (flock, which ends with its process) is one of a controller that was killed.
    """
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        with (folder / f"{_MARK}.new").open("x") as mark:
            fcntl.flock(mark, fcntl.LOCK_EX)
            Path(mark.name).rename(folder / _MARK)  # a mark is held from its first moment
            content = folder / _CONTENT
            content.mkdir()
            yield content
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Remove folders of controllers of this user that were killed; what carries no mark of ours is somebody else's."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, Unreadable):
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            with open_plain(folder / _MARK) as mark:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)

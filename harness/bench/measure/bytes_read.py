"""What an epoch must have read, from wherever: what stands beside the bytes that storage delivered."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..protocol.loader_registry import is_automatic
from .pagecache import file_system_of, why_unproven

if TYPE_CHECKING:
    from ..loaders.interface import Loader
    from .measure_request import MeasureRequest


def needed_bytes(request: MeasureRequest, loader: Loader, sizes: Sequence[int], index: int) -> int | None:
    """Bytes of the files that epoch ``index`` (from 1) must go through; None where the loader reads no files at all.

    Without a cache that is the data set. A cache in memory reads it once. One on disk reads it once while it
    fills, and then itself; one that is written before the first epoch, or reused, reads itself from the start.
    """
    if is_automatic(request.loader):
        return None
    if request.cache == "none":
        return sum(sizes)
    if request.cache == "memory":
        return sum(sizes) if index == 1 else 0
    store = loader.store
    is_filling = index == 1 and not request.is_reused and (store is None or store.write is None)
    return sum(sizes) if is_filling else sum(os.stat(path).st_size for path in loader.cache_files())


def is_counted(paths: Sequence[str]) -> bool:
    """Whether the kernel counts what is read below these paths as coming from storage.

    On file systems that keep a cache of their own (NFS, ZFS, FUSE, tmpfs, 9p) its count is not about storage.
    """
    return all(why_unproven(file_system_of(path)) is None for path in paths)

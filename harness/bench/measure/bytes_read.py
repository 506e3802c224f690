"""Compute the bytes that an epoch must have read, to compare with the bytes that storage delivered."""

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
    """Return the bytes of the files that epoch ``index`` (from 1) must read; None if the loader reads no files.

    Without a cache that is the data set. With a memory cache the data set is read once. With a cache on disk it is read
    once while the cache fills, and then the cache; a cache written in advance, or reused, is read from the first epoch.
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
    """Return whether the kernel counts reads below these paths as coming from storage.

    On file systems that have their own cache (NFS, ZFS, FUSE, tmpfs, 9p) its count is not about storage.
    """
    return all(why_unproven(file_system_of(path)) is None for path in paths)

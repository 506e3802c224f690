"""Set the state of the page cache and verify it: drop the pages of files, or read the files once.

Standard library only. ``python -m bench.measure.pagecache drop|warm PATH…`` does it in its own process and prints the
result as one JSON object.

Dropping does not need root: ``posix_fadvise(POSIX_FADV_DONTNEED)`` on a file open for reading, after its dirty pages
were written (a dirty page is not dropped). It is verified by the process's own ``/proc/self/io``: a byte of a dropped
file must come from storage. ``mincore`` does not help: it gives wrong answers to users who do not own the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_ELSEWHERE = {
    "nfs": "the NFS server has its own cache",
    "nfs4": "the NFS server has its own cache",
    "cifs": "the SMB server has its own cache",
    "smb3": "the SMB server has its own cache",
    "ceph": "the Ceph servers have their own caches",
    "lustre": "the Lustre servers have their own caches",
    "beegfs": "the BeeGFS servers have their own caches",
    "gpfs": "GPFS has its own page pool",
    "zfs": "ZFS has its own cache (ARC), which posix_fadvise does not reach",
    "9p": "the host machine has its own cache",
    "virtiofs": "the host machine has its own cache",
    "tmpfs": "tmpfs lives in memory: nothing is ever read from storage",
    "ramfs": "ramfs lives in memory: nothing is ever read from storage",
}
_PROBES = 8
_PIECE = 2**20


class Dropped(NamedTuple):
    """What was dropped; ``unproven`` says why pages may remain in a cache, None if it is verified that none does."""

    files: int
    bytes: int
    seconds: float
    unproven: str | None = None


class Warmed(NamedTuple):
    """The files and bytes that were read into the page cache."""

    files: int
    bytes: int
    seconds: float


def drop(paths: Iterable[str | os.PathLike[str]], *, prove: bool = True) -> Dropped:
    """Drop the pages of files and of all files below folders. Links are followed, each file is visited once.

    ``unproven`` says why later reads may not come from storage: a file system with its own cache, or sampled files
    whose bytes did not come from storage afterwards. ``prove=False`` skips the sampling.
    """
    begun = time.monotonic()
    places = [os.fspath(path) for path in paths]
    _write_dirty(places)
    files = total = failed = 0
    sample: list[str] = []
    stride = 1
    for path, size in walk(places):
        if not _drop_one(path):
            failed += 1
            continue
        files, total = files + 1, total + size
        if size and files % stride == 0:
            sample.append(path)
            if len(sample) == 2 * _PROBES:  # keep the sample spread over all files
                sample, stride = sample[1::2], 2 * stride
    reason = _reason_of(places)
    if reason is None and failed:
        reason = f"{failed} files could not be opened"
    if reason is None and prove and sample:
        reason = _find_kept(sample[:_PROBES])
    return Dropped(files, total, time.monotonic() - begun, reason)


def warm(paths: Iterable[str | os.PathLike[str]]) -> Warmed:
    """Read files, and all files below folders, once completely."""
    begun = time.monotonic()
    files = total = 0
    buffer = bytearray(_PIECE)
    for path, _ in walk([os.fspath(path) for path in paths]):
        with contextlib.suppress(OSError), open(path, "rb", buffering=0) as stream:
            files += 1
            while count := stream.readinto(buffer):
                total += count
    return Warmed(files, total, time.monotonic() - begun)


def walk(places: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield (path, bytes) of every regular file, each once even if several links lead to it; loops are not followed."""
    seen: set[tuple[int, int]] = set()
    waiting = list(places)
    while waiting:
        path = waiting.pop()
        try:
            found = os.stat(path)
        except OSError:
            continue
        key = (found.st_dev, found.st_ino)
        if key in seen:
            continue
        seen.add(key)
        if stat.S_ISREG(found.st_mode):
            yield path, found.st_size
        elif stat.S_ISDIR(found.st_mode):
            with contextlib.suppress(OSError):
                waiting += [os.path.join(path, name) for name in os.listdir(path)]


def file_system_of(path: str, mountinfo: str = "/proc/self/mountinfo") -> str | None:
    """Return the type of the file system that holds a path: the last one mounted at its longest mount point."""
    place, best, kind = os.path.realpath(path), "", None
    try:
        with open(mountinfo, encoding="utf-8", errors="replace") as stream:
            lines = stream.read().splitlines()
    except OSError:
        return None
    for line in lines:
        left, _, right = line.partition(" - ")
        fields, words = left.split(), right.split()
        if len(fields) < 5 or not words:
            continue
        point = fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, words[0]
    return kind


def why_unproven(kind: str | None) -> str | None:
    """Return why dropping pages cannot be verified on a type of file system; None if it can."""
    if kind is None:
        return "the file system is not known"
    if kind == "fuse" or kind.startswith("fuse."):
        return f"{kind}: the program behind a FUSE file system may have its own cache"
    reason = _ELSEWHERE.get(kind)
    return None if reason is None else f"{kind}: {reason}"


def _reason_of(places: Sequence[str]) -> str | None:
    """Return why pages of one of the places cannot be verified, or None. An overlay's files are sampled like others."""
    reasons = (why_unproven(file_system_of(place)) for place in places if os.path.exists(place))
    return next((reason for reason in reasons if reason), None)


def _write_dirty(places: Sequence[str]) -> None:
    """Write dirty pages, once per file system, which is cheaper than fsync of a hundred thousand clean files."""
    import ctypes  # imported only here, in a separate process

    libc = ctypes.CDLL(None)
    devices: set[int] = set()
    for place in places:
        with contextlib.suppress(OSError):
            descriptor = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
            try:
                device = os.fstat(descriptor).st_dev
                if device not in devices:
                    devices.add(device)
                    libc.syncfs(descriptor)
            finally:
                os.close(descriptor)


def _drop_one(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _find_kept(sample: Sequence[str]) -> str | None:
    """Read one byte of each file and return how many did not come from storage, as text; pages are dropped again."""
    kept = 0
    for path in sample:
        before = storage_bytes()
        if before is None:
            return "the kernel does not count what a process reads from storage (/proc/self/io)"
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
            os.pread(descriptor, 1, 0)
            kept += storage_bytes() == before
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    return f"{kept} of {len(sample)} sampled files were still in memory afterwards" if kept else None


def storage_bytes(path: str = "/proc/self/io") -> int | None:
    """Return the bytes that this process has read from storage; None if the kernel does not count them."""
    try:
        with open(path, encoding="ascii") as stream:
            for line in stream:
                if line.startswith("read_bytes:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return None


def main(arguments: Sequence[str]) -> int:
    """Run ``drop PATH…`` or ``warm PATH…``, print the result, and return the exit code."""
    verb, places = (arguments[0], arguments[1:]) if arguments else ("", [])
    if verb not in ("drop", "warm"):
        sys.stderr.write("usage: python -m bench.measure.pagecache drop|warm PATH…\n")
        return 2
    result = drop(places) if verb == "drop" else warm(places)
    sys.stdout.write(json.dumps(result._asdict()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

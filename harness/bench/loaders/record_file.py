"""A cache in one raw file: records of equal size, each at its number, written and read in any order.

``<prefix>.array`` holds the records and nothing else. ``<prefix>.seal``, written when all records are complete, states
their number, their type and their checksums; without a matching seal the cache does not count. Records that another
process has written are verified against the checksums when they are first read.

Records are read with ``preadv``, one by one. With a memory-mapped file, each page would also bring its neighbours from
storage, and truncating the file would kill the process (SIGBUS).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import mmap
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..protocol.atomic import replace_file
from ..protocol.failure import DAMAGED_CACHE, BenchmarkFailure

FORMAT = 1
DATA, SEAL = ".array", ".seal"
SUM_BYTES = 8
"""Bytes of each record's checksum in the seal."""
_MOST_HEAD = 4096
_HUGE_PAGE = 2 * 2**20

Records = NDArray[Any]
Sums = NDArray[np.uint64]


class RecordFile:
    """``count`` arrays of one shape and type, read and written by their numbers, from 0.

    Several threads may read and write at once. A written record is never changed: if several epochs fill the file at
    once (Keras reads the first batches of an epoch in advance), the first one writes a record.
    """

    def __init__(self, prefix: str, count: int, shape: tuple[int, ...], dtype: str) -> None:
        self.path, self._seal_path = prefix + DATA, prefix + SEAL
        self._count, self._shape, self._dtype = count, shape, np.dtype(dtype)
        self._size = math.prod(shape) * self._dtype.itemsize
        self._made_for = os.path.basename(prefix)
        self._mutex = threading.Lock()
        self._descriptor: int | None = None
        self._sums: Sums = np.zeros(count, np.uint64)
        self._is_written = np.zeros(count, bool)
        self._missing = count
        self._is_unproven: NDArray[np.bool_] | None = None

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self._descriptor is not None:
            close(self._descriptor)  # ``os`` may be unloaded when the interpreter ends

    def is_whole(self) -> bool:
        """Return whether all records exist and match their seal."""
        return self._read_seal() is not None

    def open(self) -> bool:
        """Open the file for an epoch; return True if it is complete and can be read, False if it is to be written."""
        with self._mutex:
            sums = self._read_seal()
            if sums is None:
                if self._missing == 0:
                    raise self._damage("it was truncated or removed while in use")
                self._open(os.O_RDWR | os.O_CREAT)
                return False
            if self._missing:
                self._open(os.O_RDONLY)
                self._sums, self._missing, self._is_unproven = sums, 0, np.ones(self._count, bool)
            return True

    def _open(self, flags: int) -> None:
        if self._descriptor is not None:
            return
        self._descriptor = os.open(self.path, flags | os.O_CLOEXEC, 0o666)
        if flags & os.O_CREAT:
            remove_file(self._seal_path)
            os.ftruncate(self._descriptor, self._count * self._size)
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_RANDOM)  # no readahead

    def write(self, records: Records, numbers: NDArray[Any]) -> NDArray[Any]:
        """Write records at their numbers, and return the numbers; seal the file once no record is missing."""
        assert self._descriptor is not None
        sums = sum_records(records)
        for number, record, total in zip(numbers.tolist(), records, sums, strict=True):
            if self._is_written[number]:
                continue
            _write_whole(self._descriptor, np.ascontiguousarray(record).data.cast("B"), number * self._size)
            with self._mutex:
                self._missing -= not self._is_written[number]
                self._is_written[number] = True
                self._sums[number] = total
        with self._mutex:
            if not self._missing and not os.path.exists(self._seal_path):
                self._seal()
        return numbers

    def read_into(self, records: Records, numbers: NDArray[Any]) -> None:
        """Read the records with these numbers into a contiguous array."""
        assert self._descriptor is not None
        flat, listed, size = records.data.cast("B"), numbers.tolist(), self._size
        if listed == list(range(listed[0], listed[0] + len(listed))):
            self._read_whole(flat, listed[0] * size)  # in the order of the file
        else:
            for number, begin in zip(listed, range(0, len(flat), size), strict=True):
                self._read_whole(flat[begin : begin + size], number * size)
        if self._is_unproven is not None:
            self._prove(records, numbers)

    def _read_whole(self, part: memoryview, offset: int) -> None:
        assert self._descriptor is not None
        got = os.preadv(self._descriptor, [part], offset)
        while got < len(part):
            more = os.preadv(self._descriptor, [part[got:]], offset + got)
            if not more:
                raise self._damage(f"it ends within the record at byte {offset}")
            got += more

    def _prove(self, records: Records, numbers: NDArray[Any]) -> None:
        """Verify the checksums of records that another process has written, each when it is first read."""
        is_unproven = self._is_unproven
        assert is_unproven is not None
        if not is_unproven[numbers].any():
            return
        is_wrong = sum_records(records) != self._sums[numbers]
        if is_wrong.any():
            raise self._damage(f"record {numbers[is_wrong.argmax()]} differs from what was written")
        is_unproven[numbers] = False
        if not is_unproven.any():
            self._is_unproven = None

    def _seal(self) -> None:
        with replace_file(self._seal_path, sync=False) as stream:  # after a power failure the checksums do not match
            stream.write(self._make_head(self._sums.tobytes()) + b"\n" + self._sums.tobytes())

    def _read_seal(self) -> Sums | None:
        """Return the checksums of a file that is complete and of this kind; None for any other."""
        try:
            with open(self._seal_path, "rb") as stream:
                head, _, sums = stream.read(_MOST_HEAD + (self._count + 1) * SUM_BYTES).partition(b"\n")
            size = os.stat(self.path).st_size
        except FileNotFoundError:
            return None
        if len(sums) != self._count * SUM_BYTES or head != self._make_head(sums) or size != self._count * self._size:
            return None
        return np.frombuffer(sums, np.uint64)

    def _make_head(self, sums: bytes) -> bytes:
        """Return the first line of the seal: type and purpose of the records, and a digest of all."""
        fields = {
            "format": FORMAT,
            "made_for": self._made_for,
            "records": self._count,
            "shape": list(self._shape),
            "type": self._dtype.name,
        }
        text = json.dumps(fields, sort_keys=True)
        return json.dumps({**fields, "digest": hashlib.sha256(text.encode() + sums).hexdigest()}).encode()

    def _damage(self, words: str) -> BenchmarkFailure:
        return BenchmarkFailure("data", f"{DAMAGED_CACHE} {self.path}: {words}; remove the file, and it is made again")


def sum_records(records: Records) -> Sums:
    """Return the sum of each record's bytes, eight at a time: exchanged or truncated records give other sums."""
    rows = np.ascontiguousarray(records).reshape(len(records), -1).view(np.uint8)
    whole = rows.shape[1] // SUM_BYTES * SUM_BYTES
    words = np.ascontiguousarray(rows[:, :whole]).view(np.uint64)
    sums: Sums = words.sum(axis=1, dtype=np.uint64) + rows[:, whole:].sum(axis=1, dtype=np.uint64)
    return sums


def _write_whole(descriptor: int, part: memoryview, offset: int) -> None:
    done = 0
    while done < len(part):
        done += os.pwrite(descriptor, part[done:], offset + done)


def remove_file(path: str) -> None:
    """Remove a file if it exists."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


class Blocks:
    """A pool of memory for batches of at most ``size`` bytes, reused when no reference to a batch or its parts is left.

    Memory returned to the kernel comes back as zeroed pages, with one page fault each; for batches of megabytes that
    costs more than reading them.
    """

    def __init__(self, size: int) -> None:
        self._size = -(-size // _HUGE_PAGE) * _HUGE_PAGE if size >= _HUGE_PAGE else size
        self._free: deque[mmap.mmap] = deque()

    def take(self, shape: tuple[int, ...], dtype: str) -> Records:
        """Return an array that shares memory with no other; its values are undefined."""
        try:
            block = self._free.pop()
        except IndexError:
            block = mmap.mmap(-1, self._size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            if self._size >= _HUGE_PAGE:
                with contextlib.suppress(OSError):  # a kernel without huge pages
                    block.madvise(mmap.MADV_HUGEPAGE)
        flat = np.frombuffer(block, dtype, math.prod(shape))
        # All views keep a reference to this array, the base of all others, so it is freed last.
        weakref.finalize(flat, self._free.append, block).atexit = False
        return flat.reshape(shape)

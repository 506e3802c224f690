"""A log file that cannot fill a disk: its head and its tail are kept. Standard library only."""

from __future__ import annotations

import os

HEAD_BYTES = 512 * 1024
TAIL_BYTES = 512 * 1024


class CappedLog:
    """What a program writes, through a pipe, into one file of at most ``head + 2 × tail`` bytes.

    The file on the disk is complete at every moment: when it is full, its middle is
    replaced by one line that says how much was left out. A disk without room loses
    output, never the caller.
    """

    def __init__(self, path: str, head: int = HEAD_BYTES, tail: int = TAIL_BYTES) -> None:
        self._head = head
        self._tail = tail
        self._left_out = 0
        self._written = 0
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)

    def write(self, data: bytes) -> None:
        """Append; never raises for want of room."""
        try:
            for start in range(0, len(data), self._tail):
                piece = data[start : start + self._tail]
                if self._written + len(piece) > self._head + 2 * self._tail:
                    self._compact()
                os.pwrite(self._descriptor, piece, self._written)
                self._written += len(piece)
        except OSError:
            self._left_out += len(data)

    def close(self) -> None:
        """Through to the disk."""
        try:
            os.fsync(self._descriptor)
        except OSError:
            pass
        finally:
            os.close(self._descriptor)

    def _compact(self) -> None:
        """Keep the head and the last ``tail`` bytes."""
        tail = os.pread(self._descriptor, self._tail, self._written - self._tail)
        self._left_out += self._written - self._tail - self._head
        line = f"\n… {self._left_out} bytes left out …\n".encode()
        os.ftruncate(self._descriptor, self._head)
        self._written = self._head
        self._written += os.pwrite(self._descriptor, line + tail, self._head)
        self._left_out -= len(line)  # the line itself goes out with the next cut

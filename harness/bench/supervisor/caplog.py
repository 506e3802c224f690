"""Write a log file of bounded size, of which head and tail are kept. Standard library only."""

from __future__ import annotations

import os

HEAD_BYTES = 512 * 1024
TAIL_BYTES = 512 * 1024


class CappedLog:
    """A log file of at most ``head + 2 × tail`` bytes for a program's output.

    The file on disk is complete at every moment: when it is full, its middle is replaced by one line that says how much
    was left out. If the disk is full, output is lost, but the caller continues.
    """

    def __init__(self, path: str, head: int = HEAD_BYTES, tail: int = TAIL_BYTES) -> None:
        self._head = head
        self._tail = tail
        self._left_out = 0
        self._written = 0
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)

    def write(self, data: bytes) -> None:
        """Append data; never raises if the disk is full."""
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
        """Flush, fsync and close the log."""
        try:
            os.fsync(self._descriptor)
        except OSError:
            pass
        finally:
            os.close(self._descriptor)

    def _compact(self) -> None:
        """Remove the middle: keep the head and the last ``tail`` bytes."""
        tail = os.pread(self._descriptor, self._tail, self._written - self._tail)
        self._left_out += self._written - self._tail - self._head
        line = f"\n… {self._left_out} bytes left out …\n".encode()
        os.ftruncate(self._descriptor, self._head)
        self._written = self._head
        self._written += os.pwrite(self._descriptor, line + tail, self._head)
        self._left_out -= len(line)  # the next compaction removes the line itself

"""A connection: how one host is reached. Commands are lists, quoted once, at the edge."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from harness.values.errors import HostNotReady, HostUnreachable
from harness.values.text import clean_text

MOST_OUTPUT_BYTES = 32 * 2**20
"""Of a command's stdout. Answers are some kilobytes, the list of a hundred thousand files is ten million bytes; a file
of a host that anybody there may write, read with ``cat``, has no end. A command that may write more is given ``most``.
"""

MOST_ERROR_BYTES = 8 * 2**20
"""The end of a command's stderr that is kept: the reason stands in its last line."""

MOST_FETCHED_BYTES = 256 * 2**20
"""Of a file that is fetched: the hashes of a million files are half of it."""

_LAST_BYTES = 64 * 1024


class OutputTooLong(HostNotReady):
    """A command wrote more than anybody wants of it, and was ended."""


@dataclass(frozen=True)
class Completed:
    """What a command left: its exit code, what it wrote to stdout (nothing where a sink took it), stderr's end."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """stdout as text, undecodable bytes replaced."""
        return self.stdout.decode(errors="replace")


class Connection(Protocol):
    """One host. Every call has a deadline and raises ``HostUnreachable`` when it passes or the link is gone."""

    host: str

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        timeout_s: float = 60.0,
        most_bytes: int = MOST_OUTPUT_BYTES,
        sink: IO[bytes] | None = None,
    ) -> Completed:
        """Run one command to its end; a nonzero exit code is returned, not raised; 127: there is no such program.

        ``sink`` takes what it writes to stdout, in place of memory. Raises OutputTooLong beyond ``most_bytes``.
        """
        ...

    def put(self, source: Path | bytes, target: str, *, mode: int = 0o644) -> None:
        """Write a file on the host, atomically."""
        ...

    def get(self, source: str, target: Path) -> None:
        """Fetch one file. Raises FileNotFoundError; OutputTooLong beyond ``MOST_FETCHED_BYTES``."""
        ...

    def close(self) -> None:
        """Let the connection go; what runs on the host goes on."""
        ...


class Output:
    """What comes out of a host, kept in memory or passed on to ``sink``, up to a limit."""

    def __init__(self, host: str, what: str, most_bytes: int, sink: IO[bytes] | None = None) -> None:
        self._host = host
        self._what = what
        self._most_bytes = most_bytes
        self._sink = sink
        self._taken = 0
        self._kept = bytearray()

    def take(self, piece: bytes) -> None:
        """Take the next bytes. Raises OutputTooLong."""
        self._taken += len(piece)
        if self._taken > self._most_bytes:
            message = f"{self._what} gives more than {self._most_bytes} bytes, which is none of its answers"
            hint = "see what it reads there: a file or a program of that host is not what it should be"
            raise OutputTooLong(message, where=self._host, hint=hint)
        if self._sink is None:
            self._kept += piece
        else:
            self._sink.write(piece)

    @property
    def content(self) -> bytes:
        """All that was kept in memory."""
        return bytes(self._kept)


def no_answer(host: str, program: str, timeout_s: float) -> HostUnreachable:
    """Build the error for a command that outlived its deadline."""
    message = f"{program} gave no answer within {timeout_s:g} s and was ended"
    hint = "see whether the machine or one of its disks hangs, then run the same command again"
    return HostUnreachable(message, where=host, hint=hint)


def not_written(host: str, target: str, reason: str) -> HostNotReady:
    """Build the error for a file that could not be written."""
    hint = f"see that {posixpath.dirname(target)} is there, may be written by this user and has room"
    return HostNotReady(f"{target} could not be written: {reason}", where=host, hint=hint)


def last_line(text: bytes, otherwise: str = "no reason given") -> str:
    """Return the last line of what a command wrote, for a message; ``otherwise`` where it wrote nothing."""
    lines = text[-_LAST_BYTES:].decode(errors="replace").strip().splitlines()
    return clean_text(lines[-1]) if lines else otherwise

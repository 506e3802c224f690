"""The interface of a connection to one host. Commands are lists of words, which only the connection quotes."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from harness.values.errors import HostNotReady, HostUnreachable
from harness.values.text import clean_text

MOST_OUTPUT_BYTES = 32 * 2**20
"""The default limit of a command's stdout. Most answers have some kilobytes, a list of 100,000 files has 10 MB. The
limit protects against endless output, for example of ``cat`` on a file that another user of the host made. A command
that may write more is given ``most_bytes``.
"""

MOST_ERROR_BYTES = 8 * 2**20
"""How many bytes from the end of a command's stderr are kept: its last line has the reason of a failure."""

MOST_FETCHED_BYTES = 256 * 2**20
"""The most bytes of a fetched file; a list of the hashes of a million files has half of that."""

_LAST_BYTES = 64 * 1024


class OutputTooLong(HostNotReady):
    """Raised when a command's output exceeds its limit; the command has been ended."""


@dataclass(frozen=True)
class Completed:
    """The result of a command: exit code, stdout (empty where a sink took it), and the end of stderr."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Return stdout as text, with undecodable bytes replaced."""
        return self.stdout.decode(errors="replace")


class Connection(Protocol):
    """A connection to one host. Calls raise HostUnreachable when their deadline passes or the connection is lost."""

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
        """Run one command to its end and return its result, whatever its exit code (127: there is no such program).

        ``sink`` receives stdout instead of memory. Raises OutputTooLong above ``most_bytes``.
        """
        ...

    def put(self, source: Path | bytes, target: str, *, mode: int = 0o644) -> None:
        """Write a file on the host, atomically. Raises HostNotReady where it cannot be written."""
        ...

    def get(self, source: str, target: Path) -> None:
        """Fetch one file. Raises FileNotFoundError, and OutputTooLong above ``MOST_FETCHED_BYTES``."""
        ...

    def close(self) -> None:
        """Close the connection; programs on the host continue."""
        ...


class Output:
    """The output of a command or file, kept in memory or passed to ``sink``, up to a limit."""

    def __init__(self, host: str, what: str, most_bytes: int, sink: IO[bytes] | None = None) -> None:
        self._host = host
        self._what = what
        self._most_bytes = most_bytes
        self._sink = sink
        self._taken = 0
        self._kept = bytearray()

    def take(self, piece: bytes) -> None:
        """Add the next bytes. Raises OutputTooLong above the limit."""
        self._taken += len(piece)
        if self._taken > self._most_bytes:
            message = f"the output of {self._what} exceeds {self._most_bytes} bytes"
            hint = "check what it reads on the host: a file or a program is not what it should be"
            raise OutputTooLong(message, where=self._host, hint=hint)
        if self._sink is None:
            self._kept += piece
        else:
            self._sink.write(piece)

    @property
    def content(self) -> bytes:
        """Return the bytes that were kept in memory."""
        return bytes(self._kept)


def no_answer(host: str, program: str, timeout_s: float) -> HostUnreachable:
    """Build the error for a command that did not end before its deadline."""
    message = f"{program} gave no answer within {timeout_s:g} s and was ended"
    hint = "check whether the machine or one of its disks hangs, then run the same command again"
    return HostUnreachable(message, where=host, hint=hint)


def not_written(host: str, target: str, reason: str) -> HostNotReady:
    """Build the error for a file that could not be written."""
    hint = f"check that {posixpath.dirname(target)} exists, that this user may write it, and that its disk is not full"
    return HostNotReady(f"{target} could not be written: {reason}", where=host, hint=hint)


def last_line(text: bytes, otherwise: str = "no reason given") -> str:
    """Return the last line of a command's output for a message; ``otherwise`` where there is none."""
    lines = text[-_LAST_BYTES:].decode(errors="replace").strip().splitlines()
    return clean_text(lines[-1]) if lines else otherwise

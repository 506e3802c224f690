"""A connection: how one host is reached. Commands are lists, quoted once, at the edge."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.values.errors import HostNotReady, HostUnreachable


@dataclass(frozen=True)
class Completed:
    """What a command left: its exit code, and what it wrote."""

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

    def run(self, argv: Sequence[str], *, input: bytes | None = None, timeout_s: float = 60.0) -> Completed:
        """Run one command to its end; a nonzero exit code is returned, not raised; 127: there is no such program."""
        ...

    def put(self, source: Path | bytes, target: str, *, mode: int = 0o644) -> None:
        """Write a file on the host, atomically."""
        ...

    def get(self, source: str, target: Path) -> None:
        """Fetch one file. Raises FileNotFoundError."""
        ...

    def close(self) -> None:
        """Let the connection go; what runs on the host goes on."""
        ...


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
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else otherwise

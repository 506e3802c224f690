"""A connection: how one host is reached. Commands are lists, quoted once, at the edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


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

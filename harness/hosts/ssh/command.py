"""Build remote command lines: the one text for a login shell from a list of words. Pure.

A user's shell may be bash, zsh, csh or fish, and its start-up files may print. The text therefore uses only syntax that
these shells share (single quotes without ``!``, backslash, quote or line end in them), starts ``/bin/sh`` at once, and
the command's own output begins after ``MARK``.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

MARK = b"--harness-process-"
"""Printed before a command's own output, followed by its process id and a line end. Output before it comes from the
login shell; the process id is used to kill a command that hangs."""

MOST_BYTES = 120_000
"""The longest command line; the kernel's limit for one word is 128 KiB (MAX_ARG_STRLEN, execve(2))."""

_START = f'exec /bin/sh -c \'echo {MARK.decode()}$$; eval "exec $(printf %b "$0")"\' '
_UNEQUAL = {"\\": "\\0134", "\n": "\\0012", "!": "\\0041", "'": "\\0047", "\r": "\\0015"}


def build_command(argv: Sequence[str]) -> str:
    """Return the text that runs ``argv`` under any login shell, without a terminal. Raises ValueError if too long."""
    if any("\0" in word for word in argv):
        raise ValueError("a command line cannot hold a null byte")
    words = shlex.join(argv)
    text = _START + "'" + "".join(_UNEQUAL.get(letter, letter) for letter in words) + "'"
    if len(text.encode(errors="surrogateescape")) > MOST_BYTES:
        raise ValueError(f"a command line of {len(text)} characters exceeds the limit of {MOST_BYTES} bytes")
    return text


def split_greeting(output: bytes) -> tuple[bytes, int, bytes] | None:
    """Split output into the login shell's text, the command's process id and its own output; None without ``MARK``."""
    greeting, found, rest = output.partition(MARK)
    number, line_end, rest = rest.partition(b"\n")
    if not found or not line_end or not number.isdigit():
        return None
    return greeting, int(number), rest


def kill_command(process: int) -> list[str]:
    """Return the command that kills another command with its process group, which sshd makes for each command."""
    return ["sh", "-c", 'kill -s KILL -- "-$1" 2>/dev/null || kill -s KILL "$1"', "sh", str(process)]

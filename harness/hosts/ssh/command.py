"""Remote command lines: from a list of words to the one text that a login shell gets. Pure.

The shell of a user may be bash, zsh, csh or fish, and what it reads at its start may print: so the text
uses nothing in which they differ (single quotes without ``!``, backslash, quote or line end in them), hands over to
``/bin/sh`` at once, and what counts begins after ``MARK``.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

MARK = b"--harness-process-"
"""Printed before a command's own output, with its process number and a line end behind it: what stands before it
is what the login shell said, and the number is what a command that hangs is ended by."""

MOST_BYTES = 120_000
"""The kernel's limit for one word of a command line is 128 KiB (MAX_ARG_STRLEN, execve(2))."""

_START = f'exec /bin/sh -c \'echo {MARK.decode()}$$; eval "exec $(printf %b "$0")"\' '
_UNEQUAL = {"\\": "\\0134", "\n": "\\0012", "!": "\\0041", "'": "\\0047", "\r": "\\0015"}


def build_command(argv: Sequence[str]) -> str:
    """The text that runs ``argv`` under any login shell, without a terminal. Raises ValueError where it is too long."""
    if any("\0" in word for word in argv):
        raise ValueError("a command line cannot hold a null byte")
    words = shlex.join(argv)
    text = _START + "'" + "".join(_UNEQUAL.get(letter, letter) for letter in words) + "'"
    if len(text.encode(errors="surrogateescape")) > MOST_BYTES:
        raise ValueError(f"a command line of {len(text)} characters is longer than a host takes")
    return text


def split_greeting(output: bytes) -> tuple[bytes, int, bytes] | None:
    """What the login shell said, the command's process number, and what it wrote; None where ``MARK`` is not whole."""
    greeting, found, rest = output.partition(MARK)
    number, line_end, rest = rest.partition(b"\n")
    if not found or not line_end or not number.isdigit():
        return None
    return greeting, int(number), rest


def kill_command(process: int) -> list[str]:
    """End a command with all that it started, as far as that stayed in its group: sshd begins a new one for each."""
    return ["sh", "-c", 'kill -s KILL -- "-$1" 2>/dev/null || kill -s KILL "$1"', "sh", str(process)]

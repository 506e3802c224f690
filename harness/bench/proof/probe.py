"""Task ``probe``: take more memory than the limit allows, and be killed for it. Standard library only.

A limit that is only written down proves nothing. This process fills memory page by page until the
kernel ends it; the supervisor's ``outcome.json`` then holds an OOM kill and signal 9.
Where it survives, it stops a little above the limit, so that no host is harmed,
and says so in ``failure.json``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..protocol import protocol

STEP_BYTES = 8 * 2**20
BEYOND_BYTES = 64 * 2**20
"""As far above its limit it goes before it believes that there is none."""


def exceed(limit: int) -> None:
    """Fill ``limit`` + 64 MiB of memory; returning means that no limit held."""
    held: list[bytearray] = []
    page = b"\x55" * STEP_BYTES
    for _ in range((limit + BEYOND_BYTES) // STEP_BYTES + 1):
        held.append(bytearray(page))  # noqa: PERF401 - each piece is written at once: a page that is not does not count
    held.clear()


def main(arguments: Sequence[str]) -> int:
    """``JOB_FOLDER``; returns, with 1, only where the limit is not enforced."""
    folder = Path(arguments[0])
    limit = protocol.read_request(folder).limits.memory_bytes
    if limit is None:
        message = "no memory limit was asked for: there is nothing to prove"
    else:
        exceed(limit)
        message = f"{limit + BEYOND_BYTES} bytes could be used under a limit of {limit} bytes: it is not enforced"
    failure = protocol.make_failure("error", message, phase="probe")
    protocol.write_json(folder / protocol.RESULTS / protocol.FAILURE, failure)
    sys.stderr.write(message + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

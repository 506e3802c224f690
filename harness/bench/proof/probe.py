"""Run task ``probe``: use more memory than the limit allows, and be killed for it. Standard library only.

A limit that is only configured proves nothing. This process fills memory page by page until the kernel kills it; the
supervisor's ``outcome.json`` then has an OOM kill and signal 9. If it survives, it stops a little above the limit, so
that no host is harmed, and writes ``failure.json``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..protocol import protocol

STEP_BYTES = 8 * 2**20
BEYOND_BYTES = 64 * 2**20
"""Bytes above the limit at which the limit counts as not enforced."""


def exceed(limit: int) -> None:
    """Fill ``limit`` + 64 MiB of memory; a return means that no limit was enforced."""
    held: list[bytearray] = []
    page = b"\x55" * STEP_BYTES
    for _ in range((limit + BEYOND_BYTES) // STEP_BYTES + 1):
        held.append(bytearray(page))  # noqa: PERF401 - each piece is written at once: a page that is not does not count
    held.clear()


def main(arguments: Sequence[str]) -> int:
    """Run the probe for ``JOB_FOLDER``; return 1, which happens only if the limit is not enforced."""
    folder = Path(arguments[0])
    limit = protocol.read_request(folder).limits.memory_bytes
    if limit is None:
        message = "no memory limit was requested: there is nothing to test"
    else:
        exceed(limit)
        message = f"{limit + BEYOND_BYTES} bytes could be used: the limit of {limit} bytes is not enforced"
    failure = protocol.make_failure("error", message, phase="probe")
    protocol.write_json(folder / protocol.RESULTS / protocol.FAILURE, failure)
    sys.stderr.write(message + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

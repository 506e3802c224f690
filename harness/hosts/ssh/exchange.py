"""What is exchanged with one command: its input and output, or a file's content."""

from __future__ import annotations

import io
import time
from pathlib import Path

from harness.hosts.connection import Completed, Output
from harness.hosts.ssh.stream import SLICE_BYTES, Silent, Stream

GONE = 44
"""Exit code of ``get_command`` where there is no such file."""

_CUT = 45
_FULL_PAUSE_S = 0.01

_PUT = f"""
set -f
t=$(mktemp "$(dirname -- "$1")/.$(basename -- "$1").part.XXXXXX") || exit 1
trap 'rm -f -- "$t"' EXIT
trap 'exit 1' HUP INT TERM
trap '' PIPE
cat > "$t" || exit 1
[ "$(wc -c < "$t")" -eq "$3" ] || {{ echo "not all of it came" >&2; exit {_CUT}; }}
[ ! -d "$1" ] || {{ echo "it is a folder" >&2; exit 1; }}
chmod "$2" -- "$t" || exit 1
sync -- "$t" 2>/dev/null
mv -f -- "$t" "$1"
"""
_GET = f'[ -e "$1" ] || exit {GONE}; exec cat -- "$1"'


def put_command(target: str, mode: int, size: int) -> list[str]:
    """Write what comes, atomically and through to the disk; a cut link's part takes nobody's place."""
    return ["sh", "-c", _PUT, "sh", target, f"{mode:o}", str(size)]


def get_command(source: str) -> list[str]:
    """Write a file's content to stdout."""
    return ["sh", "-c", _GET, "sh", source]


def communicate(stream: Stream, input_bytes: bytes, output: Output, deadline: float) -> Completed:
    """Feed a command and take all that it says, until it has ended. Raises OutputTooLong."""
    rest, is_fed = memoryview(input_bytes), False
    while True:
        sent = 0
        if rest:
            try:
                sent = stream.send_some(rest)
                rest = rest[sent:]
            except OSError:
                rest = memoryview(b"")  # it wants no more, or the link is cut, as reading will tell
        if not rest and not is_fed:
            is_fed = True
            stream.finish()
        found = stream.recv_some()
        if found:
            output.take(found)
            continue
        if found is None:
            stream.timeout_s = max(0.1, deadline - time.monotonic())
            code = stream.wait_exit()
            return Completed(code, output.content, stream.errors)
        if time.monotonic() > deadline:
            raise Silent("no answer")
        if not sent:
            stream.wait(_FULL_PAUSE_S if rest else deadline - time.monotonic())


def send_file(stream: Stream, source: Path | bytes) -> None:
    """Send a file's content; where the far end takes no more, its exit code will say why."""
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        try:
            while piece := file.read(SLICE_BYTES):
                stream.send(piece)
        except ConnectionError:
            if stream.is_cut:
                raise
    stream.finish()

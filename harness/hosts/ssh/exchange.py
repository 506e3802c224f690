"""Exchange input and output with one remote command, or the content of a file."""

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
[ "$(wc -c < "$t")" -eq "$3" ] || {{ echo "the content is incomplete" >&2; exit {_CUT}; }}
[ ! -d "$1" ] || {{ echo "it is a folder" >&2; exit 1; }}
chmod "$2" -- "$t" || exit 1
sync -- "$t" 2>/dev/null
mv -f -- "$t" "$1"
"""
_GET = f'[ -e "$1" ] || exit {GONE}; exec cat -- "$1"'


def put_command(target: str, mode: int, size: int) -> list[str]:
    """Return the command that writes its stdin to a file, atomically and flushed; incomplete input changes nothing."""
    return ["sh", "-c", _PUT, "sh", target, f"{mode:o}", str(size)]


def get_command(source: str) -> list[str]:
    """Return the command that writes a file's content to stdout."""
    return ["sh", "-c", _GET, "sh", source]


def communicate(stream: Stream, input_bytes: bytes, output: Output, deadline: float) -> Completed:
    """Send a command's input and read its output until it ends. Raises OutputTooLong, and Silent after the deadline."""
    rest, is_fed = memoryview(input_bytes), False
    while True:
        sent = 0
        if rest:
            try:
                sent = stream.send_some(rest)
                rest = rest[sent:]
            except OSError:
                rest = memoryview(b"")  # it closed its input, or the connection is lost, which reading will reveal
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
    """Send a file's content; where the command stops reading, its exit code tells why."""
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        try:
            while piece := file.read(SLICE_BYTES):
                stream.send(piece)
        except ConnectionError:
            if stream.is_cut:
                raise
    stream.finish()

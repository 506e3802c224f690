"""The connection to this machine, which needs no network."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, cast

from harness.bench.protocol.atomic import replace_file
from harness.hosts.connection import (
    MOST_ERROR_BYTES,
    MOST_FETCHED_BYTES,
    MOST_OUTPUT_BYTES,
    Completed,
    Output,
    no_answer,
    not_written,
)

NO_SUCH_PROGRAM = 127
NOT_EXECUTABLE = 126
_REAP_S = 2.0
_PIECE_BYTES = 128 * 1024


class LocalConnection:
    """A ``Connection`` to the machine that the controller runs on.

    Each command runs in a new process group. A Ctrl-C for the controller therefore does not reach it, and a command
    that exceeds its deadline is killed with all that it started.
    """

    def __init__(self, host: str = "localhost") -> None:
        self.host = host

    @property
    def home(self) -> str:
        """Return the user's home folder, absolute."""
        return str(Path("~").expanduser())

    def expand(self, path: str) -> str:
        """Return ``path`` as an absolute path with ``~`` expanded; links are not resolved."""
        return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - resolve() would follow links

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        timeout_s: float = 60.0,
        most_bytes: int = MOST_OUTPUT_BYTES,
        sink: IO[bytes] | None = None,
    ) -> Completed:
        """Run one command to its end. Raises HostUnreachable when the deadline passes; see ``Connection.run``."""
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
        except FileNotFoundError as error:
            return Completed(NO_SUCH_PROGRAM, b"", f"{error.filename or argv[0]}: not found\n".encode())
        except PermissionError as error:
            return Completed(NOT_EXECUTABLE, b"", f"{error.filename or argv[0]}: may not be run\n".encode())
        except OSError as error:
            return Completed(NOT_EXECUTABLE, b"", f"{argv[0]}: {error.strerror}\n".encode())
        output, errors = Output(self.host, argv[0], most_bytes, sink), bytearray()
        deadline = time.monotonic() + timeout_s
        try:
            _exchange(process, input or b"", output.take, lambda piece: _keep_end(errors, piece), deadline)
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _end(process)
            raise no_answer(self.host, argv[0], timeout_s) from None
        except BaseException:
            _end(process)
            raise
        return Completed(process.returncode, output.content, bytes(errors))

    def put(self, source: Path | bytes, target: str, *, mode: int = 0o644) -> None:
        """Write a file atomically and flush it to the disk. Raises HostNotReady where it cannot be written."""
        try:
            with replace_file(target, mode=mode) as stream:
                if isinstance(source, bytes):
                    stream.write(source)
                else:
                    with source.open("rb") as origin:
                        shutil.copyfileobj(origin, stream, 2**20)
        except OSError as error:
            raise not_written(self.host, target, error.strerror or str(error)) from error

    def get(self, source: str, target: Path) -> None:
        """Copy one file, atomically. Raises FileNotFoundError, and OutputTooLong above ``MOST_FETCHED_BYTES``."""
        with Path(source).open("rb") as origin, replace_file(target, mode=0o644) as stream:
            output = Output(self.host, source, MOST_FETCHED_BYTES, stream)
            while piece := origin.read(_PIECE_BYTES):
                output.take(piece)

    def close(self) -> None:
        """Do nothing: a local connection has nothing to close."""


def _exchange(
    process: subprocess.Popen[bytes],
    input_bytes: bytes,
    take: Callable[[bytes], None],
    take_error: Callable[[bytes], None],
    deadline: float,
) -> None:
    """Write a command's input and read its output at the same time, until it closes both. Raises TimeoutExpired."""
    rest = memoryview(input_bytes)
    with selectors.DefaultSelector() as selector:
        for pipe, taker in ((process.stdout, take), (process.stderr, take_error)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, taker)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise subprocess.TimeoutExpired(process.args, 0.0)
            for key, _ in selector.select(left_s):
                if key.data is None:
                    rest = _feed(key.fd, rest)
                    is_over = not rest
                else:
                    piece = os.read(key.fd, _PIECE_BYTES)
                    key.data(piece)
                    is_over = not piece
                if is_over:
                    selector.unregister(key.fileobj)
                    cast(IO[bytes], key.fileobj).close()


def _feed(pipe: int, rest: memoryview) -> memoryview:
    """Write as much as fits into a pipe and return the rest; nothing where the command has closed the pipe."""
    try:
        return rest[os.write(pipe, rest[:_PIECE_BYTES]) :] if rest else rest
    except BlockingIOError:
        return rest
    except OSError:
        return rest[:0]


def _keep_end(kept: bytearray, piece: bytes) -> None:
    kept += piece
    del kept[:-MOST_ERROR_BYTES]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a command with its whole process group, and close the pipes, which a process outside the group may hold."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_REAP_S)

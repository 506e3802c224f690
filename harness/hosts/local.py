"""This machine as a host: the connection that needs no network."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.bench.protocol.atomic import replace_file
from harness.hosts.connection import Completed, no_answer, not_written

NO_SUCH_PROGRAM = 127
NOT_EXECUTABLE = 126
_REAP_S = 2.0


class LocalConnection:
    """A ``Connection`` to the machine that the controller runs on.

    Commands run in a process group of their own, so that a Ctrl-C meant for the
    controller does not reach them, and so that a command that outlives its
    deadline is killed with everything that it started.
    """

    def __init__(self, host: str = "localhost") -> None:
        self.host = host

    @property
    def home(self) -> str:
        """The user's home folder, absolute."""
        return str(Path("~").expanduser())

    def expand(self, path: str) -> str:
        """``path`` absolute, with ``~`` expanded; links are left as they are."""
        return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - resolve() would follow links

    def run(self, argv: Sequence[str], *, input: bytes | None = None, timeout_s: float = 60.0) -> Completed:
        """Run one command to its end. Raises HostUnreachable when the deadline passes; see ``Connection.run``."""
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            return Completed(NO_SUCH_PROGRAM, b"", f"{error.filename or argv[0]}: not found\n".encode())
        except PermissionError as error:
            return Completed(NOT_EXECUTABLE, b"", f"{error.filename or argv[0]}: may not be run\n".encode())
        except OSError as error:
            return Completed(NOT_EXECUTABLE, b"", f"{argv[0]}: {error.strerror}\n".encode())
        try:
            stdout, stderr = process.communicate(input, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _end(process)
            raise no_answer(self.host, argv[0], timeout_s) from None
        except BaseException:
            _end(process)
            raise
        return Completed(process.returncode, stdout, stderr)

    def put(self, source: Path | bytes, target: str, *, mode: int = 0o644) -> None:
        """Write a file, atomically and through to the disk. Raises HostNotReady where that cannot be."""
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
        """Copy one file, whole or not at all. Raises FileNotFoundError where there is no such file."""
        with Path(source).open("rb") as origin, replace_file(target, mode=0o644) as stream:
            shutil.copyfileobj(origin, stream, 2**20)

    def close(self) -> None:
        """Nothing is held open."""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a command with its whole group, and wait no longer than a moment for its pipes."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.communicate(timeout=_REAP_S)
    except (subprocess.TimeoutExpired, ValueError):
        # Somebody who left the group still holds a pipe: let go of it.
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

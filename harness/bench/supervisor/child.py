"""Run a child of the supervisor: in its own session, the first victim of the OOM killer, reaped, ended completely.

Standard library only. It uses ``os.fork`` and ``exec`` directly, because a supervisor that is PID 1 reaps every process
itself, and because each imported module takes memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import time
from collections.abc import Mapping, Sequence

from ..launcher.cgroup import Cgroup

PIPE_BYTES = 2**20
"""Bytes that a child may write between two reads before it blocks."""

_PR_SET_PDEATHSIG = 1
_CANNOT_EXEC = 127


class Child:
    """A running program. ``output`` is the non-blocking read end of its stdout and stderr."""

    def __init__(self, argv: Sequence[str], *, environment: Mapping[str, str], oom_score_adj: int | None) -> None:
        self.output, writer = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.output, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self.output, False)
        self.exit_code: int | None = None
        self.signal: int | None = None
        self.usage: resource.struct_rusage | None = None
        self.started = time.monotonic()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _become(argv, environment, writer, parent, oom_score_adj)
        os.close(writer)

    @property
    def is_done(self) -> bool:
        """Whether it has ended and was reaped."""
        return self.usage is not None

    def read(self) -> bytes:
        """Return what it wrote since the last read."""
        pieces: list[bytes] = []
        size = 0
        with contextlib.suppress(BlockingIOError):
            while size < 2 * PIPE_BYTES and (piece := os.read(self.output, 65536)):
                pieces.append(piece)
                size += len(piece)
        return b"".join(pieces)

    def send(self, number: int) -> None:
        """Send a signal to its whole process group."""
        if not self.is_done:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def close(self) -> None:
        """Close its output."""
        os.close(self.output)


def reap(child: Child | None) -> bool:
    """Reap all processes that have ended, including orphans; return whether ``child`` was among them."""
    found = False
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if child is not None and pid == child.pid:
            code = os.waitstatus_to_exitcode(status)
            child.exit_code, child.signal = (code, None) if code >= 0 else (None, -code)
            child.usage = usage
            found = True


def end(child: Child, patience_s: float = 3.0) -> None:
    """Ask a child to end (SIGTERM) and wait for it; send SIGKILL after ``patience_s``."""
    deadline = time.monotonic() + patience_s
    child.send(signal.SIGTERM)
    while not child.is_done and os.path.exists(f"/proc/{child.pid}"):
        if time.monotonic() > deadline:
            child.send(signal.SIGKILL)
        reap(child)
        time.sleep(0.02)
    child.close()


def end_others(cgroup: Cgroup | None, patience_s: float = 5.0) -> int:
    """Kill and reap every other process of the job; return how many are left (normally 0).

    These are the processes of the job's cgroup, or for PID 1 all processes; without either, this process's descendants,
    including orphans if the launcher made this process their reaper.
    """
    deadline = time.monotonic() + patience_s
    while True:
        reap(None)
        others = _others(cgroup)
        if not others or time.monotonic() > deadline:
            return len(others)
        for pid in others:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _others(cgroup: Cgroup | None) -> list[int]:
    me = os.getpid()
    if me == 1:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"]
    if cgroup is not None:
        return [pid for pid in cgroup.processes() if pid != me]
    below = _children_by_parent()
    found: list[int] = []
    waiting = [me]
    while waiting:
        children = below.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def _children_by_parent() -> dict[int, list[int]]:
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as stream:
                parent = int(stream.read().rpartition(b")")[2].split()[1])
                below.setdefault(parent, []).append(int(name))
    return below


def _become(
    argv: Sequence[str], environment: Mapping[str, str], writer: int, parent: int, oom_score_adj: int | None
) -> None:
    """Set up the new process and execute the program; never returns."""
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        if oom_score_adj is not None:
            with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as stream:
                stream.write(str(oom_score_adj))
        if parent != 1:
            _follow(parent)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.execve(argv[0], list(argv), dict(environment))  # noqa: S606 - a list, no shell wanted
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(writer, f"{argv[0]} could not be started: {error}\n".encode())
    finally:
        os._exit(_CANNOT_EXEC)


def _follow(parent: int) -> None:
    """Let this process die with the supervisor: nothing must go on measuring without it."""
    with contextlib.suppress(Exception):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(_CANNOT_EXEC)

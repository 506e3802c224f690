"""End a job of the ``process`` engine without leftovers: processes, cgroup, ephemeral folders, its own folder.

Standard library only. Only files and cgroups with one of the prefixes below are removed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from ..protocol.atomic import read_text
from .jobs import JOB_VARIABLE, Trouble, locked, names_in, read_object, start_time

CGROUP_PREFIX = "harness-"
CACHE_PREFIX = "harness-cache-"
STAGING = ".staging-"
TRASH = ".trash-"

REMOVE = (
    "sh",
    "-c",
    'rm -rf -- "$1" 2>/dev/null || { find "$1" -type d ! -perm -u=rwx -exec chmod u+rwx -- {} \\; ; rm -rf -- "$1"; }',
    "sh",
)
"""Command that removes the folder named after it, even if a job took away its own permission to enter it."""

_KILL_PATIENCE_S = 15.0


def sweep(jobs: str) -> None:
    """Remove what killed submissions and removals left behind."""
    for name in names_in(jobs):
        if name.startswith(STAGING):
            pid, _, start = name.rpartition("-")[0].rpartition("-")[2], "", name.rpartition("-")[2]
            if pid.isdigit() and start_time(int(pid)) == start:
                continue
        elif not name.startswith(TRASH):
            continue
        _is_removed(os.path.join(jobs, name))


def end(folder: str) -> None:
    """Kill all processes of a job and remove its cgroup, its ephemeral folders and its folder. Idempotent.

    What cannot be removed is reported after the job itself is gone, so that a job is not found again because of that.
    """
    if not os.path.isdir(folder):
        return
    with locked(folder) as is_there:
        if not is_there:
            return
        kill(folder)
        left = [path for path in ephemeral_folders(folder) if not _is_removed_ephemeral(path)]
        trash = os.path.join(os.path.dirname(folder), f"{TRASH}{os.path.basename(folder)}-{time.time_ns()}")
        os.rename(folder, trash)
    if not _is_removed(trash):
        left.append(trash)
    if left:
        raise Trouble(f"{', '.join(left)} could not be removed completely", "remove it by hand")


def clear(folder: str) -> None:
    """Remove everything of a job except its folder: processes, cgroup, ephemeral folders."""
    kill(folder)
    for path in ephemeral_folders(folder):
        remove_ephemeral(path)


def kill(folder: str) -> None:
    """Kill all processes of a job, and remove its cgroup."""
    group = read_text(os.path.join(folder, "cgroup")).strip()
    if os.path.basename(group).startswith(CGROUP_PREFIX) or os.path.basename(os.path.dirname(group)).startswith(
        CGROUP_PREFIX
    ):
        remove_cgroup(group)
    _kill_marked(folder)


def ephemeral_folders(folder: str) -> list[str]:
    """Return the folders that are removed with a job, if its description can be read."""
    paths = read_object(os.path.join(folder, "job.json")).get("ephemeral")
    return [path for path in paths if isinstance(path, str)] if isinstance(paths, list) else []


def remove_cgroup(group: str) -> None:
    """Kill the processes in a cgroup until none is left, and remove it. Raises Trouble on timeout."""
    deadline = time.monotonic() + _KILL_PATIENCE_S
    while os.path.isdir(group):
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError), open(os.path.join(folder, "cgroup.kill"), "r+") as stream:
                stream.write("1")
            for word in read_text(os.path.join(folder, "cgroup.procs")).split():
                _kill(int(word))
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        if os.path.isdir(group):
            if time.monotonic() > deadline:
                raise Trouble(f"processes in {group} cannot be killed", "check what they wait for (ps -o stat,wchan)")
            time.sleep(0.02)


def remove_ephemeral(path: str) -> None:
    """Remove the ephemeral folder of one run; a folder without the prefix, or a link, is kept. Raises Trouble."""
    if not _is_removed_ephemeral(path):
        raise Trouble(f"the cache folder {path} could not be removed completely", "remove it by hand")


def _is_removed_ephemeral(path: str) -> bool:
    is_ours = os.path.basename(path).startswith(CACHE_PREFIX) and not os.path.islink(path)
    return not is_ours or _is_removed(path)


def _is_removed(path: str) -> bool:
    if os.path.lexists(path):
        import subprocess

        subprocess.run([*REMOVE, path], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return not os.path.lexists(path)


def _kill_marked(folder: str) -> None:
    """Kill every process that has the job's folder in its environment. Raises Trouble on timeout."""
    mark = f"{JOB_VARIABLE}={folder}".encode()
    deadline = time.monotonic() + _KILL_PATIENCE_S
    while True:
        marked = []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid():
                with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as stream:
                    if mark in stream.read().split(b"\0") and start_time(int(name)):
                        marked.append(int(name))
        if not marked:
            return
        if time.monotonic() > deadline:
            raise Trouble(f"processes {marked} of {folder} cannot be killed", "check what they wait for")
        for pid in marked:
            _kill(pid)
        time.sleep(0.02)


def _kill(pid: int) -> None:
    if pid > 1:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)

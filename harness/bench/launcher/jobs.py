"""Jobs of the ``process`` engine on their host: their files and their state.

Standard library only. A job is a folder ``<scratch>/jobs/<name>``::

    job.json        name, labels, limits, folders: written before the folder gets its name
        request.json    the payload's input
    payload/        the benchmark's code
        cgroup          the path of its cgroup, written before that is created
    process.json    pid, start time of the pid, boot id: written before the supervisor begins
    lock            held (flock) while the job is started or ended
    results/        what comes back

The folder appears complete, by ``rename``. A process that is killed while making one leaves ``.staging-…`` behind, and
one that is killed while removing one leaves ``.trash-…``; the next process removes both.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import IO, Literal, TypedDict, cast

from ..protocol import bounded_json
from ..protocol.atomic import read_text, write_file

JOB_VARIABLE = "HARNESS_JOB"
"""Set to the job's folder in all of its processes, so that they can be found if no cgroup holds them."""


FILE_BYTES = 32 * 2**20
ALL_BYTES = 256 * 2**20
MOST_FILES = 256
"""Limits on the results of a job that are fetched."""

_LOCK_PATIENCE_S = 20.0


class Trouble(Exception):
    """Raised when something cannot be done on the host; ``hint`` says what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class MountFields(TypedDict):
    """A folder or file of the host that a job may use; ``ephemeral``: it is made for the job and removed with it."""

    name: str
    source: str
    read_only: bool
    ephemeral: bool


class JobFields(TypedDict):
    """The contents of ``job.json``. ``ephemeral`` are folders that are removed with the job."""

    name: str
    labels: dict[str, str]
    memory_bytes: int | None
    cpus: list[int]
    gpus: list[str]
    tmp_bytes: int
    mounts: list[MountFields]
    ephemeral: list[str]


class State(TypedDict, total=False):
    """What is known of a job; only ``phase`` is always present."""

    phase: Literal["created", "running", "exited", "gone"]
    started_at: str | None
    finished_at: str | None
    warnings: list[str]
    oom_killed: bool | None
    exit_code: int | None
    error: str


class Found(TypedDict):
    """A job that exists on the host."""

    name: str
    labels: dict[str, str]


def look(folder: str) -> State:
    """Return the state of one job.

    ``created`` is a job whose benchmark never began (its submission was interrupted): submitting it again starts it. A
    process counts as alive only if its start time and boot id match those in the file, so that a reused pid is not
    mistaken for it.
    """
    if not os.path.isfile(os.path.join(folder, "job.json")):
        return {"phase": "gone"}
    process = read_object(os.path.join(folder, "process.json"))
    results = os.path.join(folder, "results")
    state: State = {
        "started_at": _text(process.get("started_at")),
        "warnings": _texts(process.get("warnings")),
        "oom_killed": _oom_killed(folder),
    }
    outcome = read_object(os.path.join(results, "outcome.json"))
    if outcome:
        return {**state, "phase": "exited", "exit_code": 0, "finished_at": _text(outcome.get("finished_at"))}
    if is_alive(process):
        return {**state, "phase": "running"}
    if os.path.exists(os.path.join(results, "log.txt")):
        is_rebooted = process.get("boot_id") != boot_id()
        why = "the machine was restarted" if is_rebooted else "the supervisor ended without writing an outcome"
        said = tail(os.path.join(folder, "supervisor.log"))
        return {**state, "phase": "exited", "exit_code": None, "error": f"{why}: {said}" if said else why}
    return {**state, "phase": "created"}


def find(jobs: str) -> list[Found]:
    """Return name and labels of all jobs in a folder, sorted by name."""
    found: list[Found] = []
    for name in sorted(names_in(jobs)):
        job = read_object(os.path.join(jobs, name, "job.json"))
        if job and not name.startswith("."):
            labels = job.get("labels")
            found.append({"name": name, "labels": labels if isinstance(labels, dict) else {}})
    return found


def pack(folder: str, stream: IO[bytes]) -> None:
    """Write the results to ``stream`` as a tar: regular files only, no link followed, each of bounded size.

    Raises Trouble if they exceed the limits: an incomplete set of files could hide how the job ended.
    """
    import tarfile

    results = os.path.join(folder, "results")
    paths: list[str] = []
    room = ALL_BYTES
    for place, folders, names in os.walk(results):
        folders.sort()
        paths += [os.path.join(place, name) for name in sorted(names)]
        room -= sum(min(_size_of(os.path.join(place, name)), FILE_BYTES) for name in names)
        if len(paths) > MOST_FILES or room < 0:
            raise Trouble(
                f"the job left more than {MOST_FILES} files, or {ALL_BYTES} bytes", "check what the job writes"
            )
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        for path in paths:
            content = _read_regular(path, FILE_BYTES)
            if content is not None:
                entry = tarfile.TarInfo(os.path.join("results", os.path.relpath(path, results)))
                entry.size, entry.mode = len(content), 0o644
                archive.addfile(entry, io.BytesIO(content))


def _size_of(path: str) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


@contextlib.contextmanager
def locked(folder: str) -> Iterator[int | None]:
    """Hold a job's lock; yield its descriptor, or None if the job was removed meanwhile."""
    path = os.path.join(folder, "lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        yield None
        return
    try:
        _lock(descriptor, folder)
        try:
            is_same = os.path.samestat(os.fstat(descriptor), os.stat(path))
        except FileNotFoundError:
            is_same = False
        yield descriptor if is_same else None
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: str) -> None:
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EINTR) or time.monotonic() > deadline:
                raise Trouble(
                    f"{folder} cannot be locked: {error.strerror}",
                    "check that no other process starts or ends this job, and that scratch's file system has locks",
                ) from error
        time.sleep(0.02)


def is_alive(process: dict[str, object]) -> bool:
    """Return whether the process in ``process.json`` is the one that now has its pid."""
    pid = process.get("pid")
    return isinstance(pid, int) and process.get("boot_id") == boot_id() and start_time(pid) == process.get("start_time")


def start_time(pid: int) -> str | None:
    """Return when a process began, in clock ticks since boot (``/proc/<pid>/stat``, field 22); None for a dead one."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            fields = stream.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()


def boot_id() -> str:
    """Return the id of this boot of the kernel."""
    return read_text("/proc/sys/kernel/random/boot_id").strip()


def read_job(folder: str) -> JobFields:
    """Return the contents of ``job.json``, which is complete once the folder has its name. Raises Trouble."""
    try:
        return cast(JobFields, bounded_json.read(os.path.join(folder, "job.json")))
    except bounded_json.Unreadable as error:
        raise Trouble(f"{folder}/job.json: {error}", "end this job: it overwrote its own description") from None


def read_object(path: str) -> dict[str, object]:
    """Return a JSON object from a file; empty if the file is missing, truncated, a link or too large."""
    try:
        value = bounded_json.read(path)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_object(path: str, value: Mapping[str, object]) -> None:
    """Write a JSON object to a file, atomically and synced to disk."""
    write_file(path, json.dumps(value, indent=1, sort_keys=True))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _oom_killed(folder: str) -> bool | None:
    """Return whether the kernel counted OOM kills in the job's cgroup, which outlives the job's processes."""
    group = read_text(os.path.join(folder, "cgroup")).strip()
    for name in ("memory.oom_control", "memory.events"):
        for line in read_text(os.path.join(group, name)).splitlines() if group else []:
            if line.startswith("oom_kill "):
                return line.split()[1:] != ["0"]
    return None


def _read_regular(path: str, most: int) -> bytes | None:
    """Return the first bytes of a regular file; None for anything else, such as links."""
    try:
        with bounded_json.open_plain(path) as stream:
            return stream.read(most)
    except (OSError, bounded_json.Unreadable):
        return None


def names_in(folder: str) -> list[str]:
    """Return the names in a folder; empty if it does not exist."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def tail(path: str) -> str:
    """Return the last lines of a log, joined into one."""
    return " | ".join(read_text(path, 4096).strip().splitlines()[-3:])[-400:]

"""Jobs of the ``process`` engine on their host: what each is, and how to look at it.

Standard library only. A job is a folder ``<scratch>/jobs/<name>``::

    job.json        name, labels, limits, folders: written before the folder gets its name
    request.json    what the payload reads
    payload/        the benchmark's code
    cgroup          the path of its cgroup, written before that is made
    process.json    pid, start time of the pid, boot id: written before the supervisor begins
    lock            held (flock) while the job is started or ended
    results/        what comes back

The folder appears whole, by ``rename``: whoever is killed while making one leaves ``.staging-…``
behind, and whoever is killed while removing one ``.trash-…``; both are swept up by the next.
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
"""Set to the job's folder for all of its processes: so they are found where no cgroup holds them."""


FILE_BYTES = 32 * 2**20
ALL_BYTES = 256 * 2**20
MOST_FILES = 256
"""Of what a job left, no more than this is fetched."""

_LOCK_PATIENCE_S = 20.0


class Trouble(Exception):
    """What could not be done on the host; ``hint`` is what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class MountFields(TypedDict):
    """A folder or file of the host that a job may use; ``ephemeral``: made for it, and removed with it."""

    name: str
    source: str
    read_only: bool
    ephemeral: bool


class JobFields(TypedDict):
    """``job.json``. ``ephemeral`` are folders that are removed with the job."""

    name: str
    labels: dict[str, str]
    memory_bytes: int | None
    cpus: list[int]
    gpus: list[str]
    tmp_bytes: int
    mounts: list[MountFields]
    ephemeral: list[str]


class State(TypedDict, total=False):
    """What is known of a job; only ``phase`` is always there."""

    phase: Literal["created", "running", "exited", "gone"]
    started_at: str | None
    finished_at: str | None
    warnings: list[str]
    oom_killed: bool | None
    exit_code: int | None
    error: str


class Found(TypedDict):
    """A job that is there."""

    name: str
    labels: dict[str, str]


def look(folder: str) -> State:
    """The state of one job.

    ``created`` is a job whose benchmark never began (its submission was cut): submitting it again starts
    it. A process counts as alive only with the start time and boot id that were written
    down, so that no recycled number is taken for it.
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
        why = "the machine was restarted" if is_rebooted else "the supervisor ended without leaving an outcome"
        said = tail(os.path.join(folder, "supervisor.log"))
        return {**state, "phase": "exited", "exit_code": None, "error": f"{why}: {said}" if said else why}
    return {**state, "phase": "created"}


def find(jobs: str) -> list[Found]:
    """All jobs of a folder: name and labels, sorted by name."""
    found: list[Found] = []
    for name in sorted(names_in(jobs)):
        job = read_object(os.path.join(jobs, name, "job.json"))
        if job and not name.startswith("."):
            labels = job.get("labels")
            found.append({"name": name, "labels": labels if isinstance(labels, dict) else {}})
    return found


def pack(folder: str, stream: IO[bytes]) -> None:
    """The results as a tar: regular files only, no link followed, each of bounded size.

    Raises Trouble where they are more than is fetched: of some of them nobody could tell how the job ended.
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
                f"the job left more than {MOST_FILES} files, or {ALL_BYTES} bytes", "see what the job writes there"
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
    """Hold a job's lock; yields its descriptor, or None where the job was removed meanwhile."""
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
                    "see that nobody else starts or ends this job, and that scratch is on a file system with locks",
                ) from error
        time.sleep(0.02)


def is_alive(process: dict[str, object]) -> bool:
    """Whether the process that was written down is the one that now has its number."""
    pid = process.get("pid")
    return isinstance(pid, int) and process.get("boot_id") == boot_id() and start_time(pid) == process.get("start_time")


def start_time(pid: int) -> str | None:
    """When a process began, in clock ticks since the boot (``/proc/<pid>/stat``, field 22); None for a dead one."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            fields = stream.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()


def boot_id() -> str:
    """Names this run of the kernel."""
    return read_text("/proc/sys/kernel/random/boot_id").strip()


def read_job(folder: str) -> JobFields:
    """What is written down of a job that has its name: ``job.json`` was whole before that. Raises Trouble."""
    try:
        return cast(JobFields, bounded_json.read(os.path.join(folder, "job.json")))
    except bounded_json.Unreadable as error:
        raise Trouble(f"{folder}/job.json: {error}", "end this job: it wrote over what is known of it") from None


def read_object(path: str) -> dict[str, object]:
    """A JSON object; empty where there is none, a cut one, a link, or more than anybody writes there."""
    try:
        value = bounded_json.read(path)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_object(path: str, value: Mapping[str, object]) -> None:
    """Whole or not at all, and through to the disk."""
    write_file(path, json.dumps(value, indent=1, sort_keys=True))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _oom_killed(folder: str) -> bool | None:
    """What the kernel counted in the job's cgroup, which outlives the job's processes."""
    group = read_text(os.path.join(folder, "cgroup")).strip()
    for name in ("memory.oom_control", "memory.events"):
        for line in read_text(os.path.join(group, name)).splitlines() if group else []:
            if line.startswith("oom_kill "):
                return line.split()[1:] != ["0"]
    return None


def _read_regular(path: str, most: int) -> bytes | None:
    """The first bytes of a regular file; None for anything else, links above all."""
    try:
        with bounded_json.open_plain(path) as stream:
            return stream.read(most)
    except (OSError, bounded_json.Unreadable):
        return None


def names_in(folder: str) -> list[str]:
    """What a folder holds; nothing where it is not there."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def tail(path: str) -> str:
    """The last lines of a log, in one."""
    return " | ".join(read_text(path, 4096).strip().splitlines()[-3:])[-400:]

"""Start a job of the ``process`` engine on its host: atomically, once, confined and detached.

Standard library only; modules that only one verb needs are imported there, because polling must be cheap. The engine
sends the source of this module (and of those that it imports) over its connection, and ``answer`` executes one verb. A
job then starts itself with ``python -S -E -m bench.launcher.launch JOB_FOLDER`` from its own copy of the payload, and
becomes its supervisor.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import select
import shutil
import sys
import time
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, NoReturn, TypedDict

from . import jobs, removal
from .cgroup import SHARED_VARIABLE
from .jobs import Trouble

if TYPE_CHECKING:
    from .environments import WheelFields

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,199}")
_REPORT_VARIABLE = "HARNESS_REPORT_FD"
_LOCK_VARIABLE = "HARNESS_LOCK_FD"
_START_PATIENCE_S = 60.0
_KEPT = re.compile(
    r"PATH|LANG|LC_.*|TZ|USER|LOGNAME|LD_LIBRARY_PATH|PYTHONPATH|PYTHONUSERBASE|VIRTUAL_ENV|CUDA_.*|NVIDIA_.*|XDG_RUNTIME_DIR|DBUS_SESSION_BUS_ADDRESS"
)
"""Variables of the host's environment that reach a job; no other setting of the user can change what is measured."""


class EnvironmentFields(TypedDict):
    """An environment to be made: its name, its digest, and its wheels in the folder of environments."""

    name: str
    digest: str
    wheels: list[WheelFields]


class Order(TypedDict, total=False):
    """A request of the engine: a verb, the jobs that it concerns, and for a submission the complete job.

    ``boot`` is the code that starts this module on a host. ``python`` is the command, as words, of the interpreter for
    jobs; it may differ from the one that runs this module.
    """

    verb: str
    scratch: str
    names: list[str]
    name: str
    labels: dict[str, str]
    request: dict[str, object]
    mounts: list[jobs.MountFields]
    memory_bytes: int | None
    cpus: list[int]
    gpus: list[str]
    tmp_bytes: int
    archive_bytes: int
    python: list[str]
    environment: EnvironmentFields
    boot: str


class Report(TypedDict):
    """The reason why a job did not start, and what to do about it."""

    message: str
    hint: str


def answer(request: Order, stdin: IO[bytes], stdout: IO[bytes]) -> None:
    """Execute one verb of the engine; write one JSON object as the answer, or a tar for ``results``."""
    folder = os.path.join(os.path.abspath(os.path.expanduser(request["scratch"])), "jobs")
    names = [str(name) for name in request.get("names") or []]
    value: Mapping[str, object]
    try:
        for name in names:
            check_name(name)
        if request["verb"] == "results":
            job = os.path.join(folder, names[0])
            if not os.path.isdir(job):
                raise Trouble(f"there is no job {names[0]} on this host", "it was ended or never started")
            jobs.pack(job, stdout)
            return
        value = _do(request, folder, names, stdin)
    except Trouble as trouble:
        value = {"refused": trouble.message, "hint": trouble.hint}
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        value = {"refused": what, "hint": f"check that {folder} is writable and its disk has free space"}
    stdout.write(json.dumps(value).encode())


def _do(request: Order, folder: str, names: list[str], stdin: IO[bytes]) -> Mapping[str, object]:
    verb = request["verb"]
    if verb == "submit":
        return submit(request, folder, stdin)
    if verb == "look":
        return {"states": [jobs.look(os.path.join(folder, name)) for name in names]}
    if verb == "list":
        return {"jobs": jobs.find(folder)}
    if verb == "end":
        for name in names:
            removal.end(os.path.join(folder, name))
        removal.sweep(folder)
        return {}
    from . import confine, environment_digest

    if verb == "node":
        from . import slurm_job

        return {**environment_digest.describe(), **slurm_job.describe_limit()}
    if verb == "try":
        return confine.try_limit()
    if verb == "describe":
        return environment_digest.describe()
    if verb == "limit":
        return {"cgroup": _try(request)}
    if verb == "environment":
        from . import environments

        wanted = request["environment"]
        check_name(wanted["name"])
        place = os.path.join(os.path.dirname(folder), "environments")
        return environments.make(place, wanted["name"], wanted["digest"], wanted["wheels"])
    return {**environment_digest.describe(), "cgroup": _try(request)}


def submit(request: Order, folder: str, stdin: IO[bytes]) -> dict[str, object]:
    """Make the job's folder unless it exists, and start the job unless it has begun; return ``{"id": folder}``."""
    name = request["name"]
    check_name(name)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    removal.sweep(folder)
    job = os.path.join(folder, name)
    if not os.path.isdir(job):
        _make(request, folder, job, stdin)
    _start(job, request["python"])
    return {"id": job}


def check_name(name: str) -> None:
    """Raise Trouble if ``name`` is not fit to be the name of a folder."""
    if not NAME.fullmatch(name):
        raise Trouble(f"{name!r} cannot name a job", "use letters, digits, '.', '_' and '-'")


def _make(request: Order, folder: str, job: str, stdin: IO[bytes]) -> None:
    """Make the job's folder with all its files under a temporary name, then rename it."""
    mounts = request["mounts"]
    for mount in mounts:
        if mount["ephemeral"] and not os.path.basename(mount["source"]).startswith(removal.CACHE_PREFIX):
            raise Trouble(f"{mount['source']} cannot name an ephemeral folder", f"begin it with {removal.CACHE_PREFIX}")
        if mount["read_only"] and not os.path.exists(mount["source"]):
            raise Trouble(f"{mount['name']}: {mount['source']} does not exist", "check data and weights")
    staging = os.path.join(folder, f"{removal.STAGING}{request['name']}-{os.getpid()}-{jobs.start_time(os.getpid())}")
    os.mkdir(staging, 0o700)
    try:
        for part in ("payload", "results", "home", "tmp"):
            os.mkdir(os.path.join(staging, part))
        archive = stdin.read(request["archive_bytes"])
        if len(archive) != request["archive_bytes"]:
            raise Trouble("the payload arrived incomplete", "run the same command again")
        _unpack(archive, os.path.join(staging, "payload"))
        paths = {mount["name"]: mount["source"] for mount in mounts}
        jobs.write_object(os.path.join(staging, "request.json"), {**request["request"], "paths": paths})
        fields: jobs.JobFields = {
            "name": request["name"],
            "labels": request["labels"],
            "memory_bytes": request["memory_bytes"],
            "cpus": request["cpus"],
            "gpus": request["gpus"],
            "tmp_bytes": request["tmp_bytes"],
            "mounts": mounts,
            "ephemeral": [mount["source"] for mount in mounts if mount["ephemeral"]],
        }
        jobs.write_object(os.path.join(staging, "job.json"), fields)
        with contextlib.suppress(OSError):  # another process was first: its folder is used
            os.rename(staging, job)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _unpack(archive: bytes, target: str) -> None:
    """Extract the payload's regular files, without tarfile's filters: Debian 12's Python 3.11.2 does not have them."""
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for entry in tar:
            content = tar.extractfile(entry) if entry.isreg() else None
            if content is None or entry.name.startswith("/") or ".." in entry.name.split("/"):
                continue
            path = os.path.join(target, entry.name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as stream:
                shutil.copyfileobj(content, stream)


def _start(job: str, python: list[str]) -> None:
    """Start a job that has not begun; remove one that cannot be started."""
    with jobs.locked(job) as lock:
        if lock is None or jobs.look(job)["phase"] != "created":
            return
        removal.clear(job)  # leftovers of an interrupted start
        try:
            for mount in jobs.read_job(job)["mounts"]:
                if mount["ephemeral"]:
                    os.mkdir(mount["source"], 0o755)
                elif not mount["read_only"]:
                    os.makedirs(mount["source"], exist_ok=True)
            refusal = _detach(job, python, lock)
            if refusal is None and not os.path.exists(os.path.join(job, "process.json")):
                said = jobs.tail(os.path.join(job, "supervisor.log"))
                refusal = {"message": f"the job did not start: {said}", "hint": "check that Python on the host"}
        except OSError as error:
            refusal = {"message": f"{error.filename}: {error.strerror}", "hint": "check the inventory's folders"}
    if refusal is not None:
        removal.end(job)
        raise Trouble(refusal["message"], refusal["hint"])


def _detach(job: str, python: list[str], lock: int) -> Report | None:
    """Start the job in a process detached from this one by a double fork; return None, or why it did not start.

    The job reports its start in one line, since a wrapper around its interpreter may keep the pipe open while it runs.
    """
    reader, writer = os.pipe()
    first = os.fork()
    if first == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                _exec_start(job, python, lock, writer)
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(first, 0)
    said = b""
    deadline = time.monotonic() + _START_PATIENCE_S
    while select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(reader, 65536)
        said += piece
        if not piece or piece.endswith(b"\n"):
            break
    else:
        said = json.dumps({"message": "the job did not start in time", "hint": "check the host's load"}).encode()
    os.close(reader)
    value: Report | None = json.loads(said) if said else None
    return value


def _exec_start(job: str, python: list[str], lock: int, writer: int) -> NoReturn:
    """Become ``bench.launcher.launch`` of the job's own payload; runs in the detached process."""
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        log = os.open(os.path.join(job, "supervisor.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        for descriptor in (lock, writer):
            os.set_inheritable(descriptor, True)
        from . import confine

        scope = confine.scope_command(os.path.basename(job))
        variables = {
            **kept_environment(),
            "HOME": os.path.expanduser("~"),  # for a wrapper around Python; the job gets its own
            "PYTHONUSERBASE": os.environ.get("PYTHONUSERBASE") or os.path.expanduser("~/.local"),
            jobs.JOB_VARIABLE: job,
            _LOCK_VARIABLE: str(lock),
            _REPORT_VARIABLE: str(writer),
            **({confine.SCOPE_VARIABLE: "1"} if scope else {}),
        }
        os.chdir(os.path.join(job, "payload"))
        argv = [*scope, *python, "-S", "-E", "-m", "bench.launcher.launch", job]
        os.execvpe(argv[0], argv, variables)  # noqa: S606 - a list, no shell wanted
    except OSError as error:
        report: Report = {
            "message": f"{python[0]} could not be started: {error}",
            "hint": "check that this Python exists",
        }
        _tell(writer, report)
    finally:
        os._exit(1)


def kept_environment() -> dict[str, str]:
    """Return the variables of this process's environment that reach a job."""
    return {key: value for key, value in os.environ.items() if _KEPT.fullmatch(key)}


def main(job: str) -> NoReturn:
    """Confine this process, write ``process.json``, and become the supervisor; runs in the job's own process."""
    lock, writer = int(os.environ.pop(_LOCK_VARIABLE)), int(os.environ.pop(_REPORT_VARIABLE))
    try:
        for descriptor in (lock, writer):
            os.set_inheritable(descriptor, False)  # both close when the supervisor starts
    except OSError:
        sys.exit('the command of this Python closes open files: use a wrapper that ends with `exec … "$@"`')
    try:
        variables = _confine(job)
        argv = [sys.executable, "-S", "-E", "-m", "bench.supervisor.supervisor", job]
        fcntl.flock(lock, fcntl.LOCK_UN)  # a wrapper around this process may still have it open
        _tell(writer, None)
        os.execve(argv[0], argv, variables)  # noqa: S606 - a list, no shell wanted
    except Trouble as trouble:
        _tell(writer, {"message": trouble.message, "hint": trouble.hint})
    except OSError as error:
        _tell(writer, {"message": f"the job could not be confined: {error}", "hint": "see supervisor.log"})
    os._exit(1)


def _tell(writer: int, report: Report | None) -> None:
    """Report why the job did not start, or None; the process that started it may have died meanwhile."""
    with contextlib.suppress(BrokenPipeError):
        os.write(writer, json.dumps(report).encode() + b"\n")


def seal_job(job: str, asked: jobs.JobFields, variables: dict[str, str], warnings: list[str]) -> None:
    """Give the job its own view of the file system and its environment, and write ``process.json``."""
    from . import confine

    home, temporary = os.path.join(job, "home"), os.path.join(job, "tmp")
    writable = [job, *(mount["source"] for mount in asked["mounts"] if not mount["read_only"])]
    read_only = [mount["source"] for mount in asked["mounts"] if mount["read_only"]]
    private = {home: asked["tmp_bytes"], temporary: asked["tmp_bytes"]}
    private |= confine.private_memory([*read_only, *writable])
    unsealed = confine.seal(read_only, writable, private)
    confine.adopt_orphans()
    variables.update(HOME=home, TMPDIR=temporary, CUDA_VISIBLE_DEVICES=",".join(asked["gpus"]) or "-1")
    jobs.write_object(
        os.path.join(job, "process.json"),
        {
            "pid": os.getpid(),
            "start_time": jobs.start_time(os.getpid()),
            "boot_id": jobs.boot_id(),
            "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "warnings": warnings,
            "unsealed": unsealed,
        },
    )


def _confine(job: str) -> dict[str, str]:
    """Put this process into its cgroup, CPUs and folders; return the environment for the supervisor."""
    from . import confine

    asked = jobs.read_job(job)
    variables = dict(os.environ)
    warnings: list[str] = []
    try:
        version, group = confine.place_cgroup(asked["name"])
        with open(os.path.join(job, "cgroup"), "w", encoding="utf-8") as stream:
            stream.write(group)
        warnings += confine.enter_cgroup(version, group, asked["memory_bytes"])
        variables[SHARED_VARIABLE] = "own"
    except Trouble as trouble:
        if asked["memory_bytes"] is not None:
            raise Trouble(f"memory cannot be limited: {trouble.message}", trouble.hint) from None
        variables[SHARED_VARIABLE] = "shared"
    if asked["cpus"]:
        os.sched_setaffinity(0, asked["cpus"])
    seal_job(job, asked, variables, warnings)
    return variables


def _try(request: Order) -> dict[str, object]:
    """Try to set a memory limit as for a job: in a systemd scope if one is needed, with the interpreter for jobs.

    ``ends_with_user``: systemd ends the scope when it ends the user's processes.
    """
    import subprocess

    from . import confine

    scope, python = confine.scope_command(f"try-{os.getpid()}"), request.get("python")
    if not scope and not python:
        return confine.try_limit()
    again = json.dumps({**request, "verb": "try"}).encode() + b"\n"
    command = [*scope, *(python or [sys.executable]), "-S", "-E", "-c", request["boot"]]
    environment = {**os.environ, confine.SCOPE_VARIABLE: "1"} if scope else None
    try:
        done = subprocess.run(command, input=again, capture_output=True, timeout=40, env=environment, check=False)
        value: dict[str, object] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        reason = "systemd creates no delegated scope for this user" if scope else f"{python} did not run"
        return {"version": confine.locate_memory_version(), "can_limit": False, "reason": reason}
    return {**value, "ends_with_user": bool(scope) and os.geteuid() != 0}


if __name__ == "__main__":
    main(sys.argv[1])

"""Build Slurm's command lines and parse their output. Pure.

A value of the inventory is always the end of one word ``--option=VALUE``, and the inventory refuses values that could
be options.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.hosts.connection import Completed, last_line
from harness.inventory.slurm_settings import Slurm
from harness.values.errors import EngineUnavailable, HostError, HostNotReady, HostUnreachable
from harness.values.text import clean_text

MIB = 2**20
COMMENT = "harness"
"""The first word of the comment of all jobs of this program; the session follows."""

QUEUED = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"})
ACTIVE = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"})
NEVER = (
    "ReqNodeNotAvail", "BadConstraints", "PartitionDown", "PartitionInactive", "PartitionNodeLimit",
    "PartitionTimeLimit", "InvalidAccount", "InvalidQOS", "QOSNotAllowed", "AccountNotAllowed", "NodeDown",
    "Nodes required for job are DOWN", "AssocMaxWallDurationPerJobLimit", "JobHeldAdmin", "JobHeldUser",
)  # fmt: skip
"""Beginnings of the reasons for which a job waits until an administrator or its owner changes something."""

_AWAY = re.compile(
    "unable to contact slurm|connection refused|connection timed out|socket timed out|connect failure|"
    "zero bytes were transmitted|unable to connect|controller not responding|in standby mode|try again later|"
    "communication connection failure|insane message length",
    re.IGNORECASE,
)
_LINE = re.compile(r"[^|\n]*(?:\|[^|\n]*){4}")
QUEUE_FORMAT = "%A|%j|%T|%V|%r"
"""Format of squeue: job number, name, state, submission time, reason for waiting."""
ACCOUNTING_FORMAT = "JobIDRaw,JobName,State,ExitCode,NodeList"


@dataclass(frozen=True)
class QueueRow:
    """A job in squeue's output; ``reason`` is why it waits."""

    id: str
    name: str
    state: str
    reason: str


@dataclass(frozen=True)
class Ended:
    """An ended job in Slurm's records. ``exit_code`` and ``signal`` are those of its script."""

    id: str
    state: str
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""


def sbatch_command(
    slurm: Slurm,
    *,
    name: str,
    comment: str,
    minutes: int,
    cpus: int | None = None,
    memory_bytes: int | None = None,
    with_gpus: bool = False,
    node: str | None = None,
) -> list[str]:
    """Return the command that submits one job whose script is on stdin.

    ``minutes`` is the time limit where the inventory names none. ``cpus`` and ``memory_bytes`` None mean all of the
    node. ``node`` is the node on which a job of a constraint must run.
    """
    limit = slurm.time or minutes
    options: dict[str, str | int | None] = {
        "job-name": name,
        "comment": comment,
        "nodes": 1,
        "ntasks": 1,
        "chdir": "/",
        "output": "/dev/null",
        "error": "/dev/null",
        "time": limit,
        "deadline": f"now+{limit * 60 + round(slurm.queue)}seconds",
        "nodelist": slurm.nodes[0] if slurm.nodes else node,
        "constraint": slurm.constraint[0] if slurm.constraint else None,
        "partition": slurm.partition,
        "account": slurm.account,
        "qos": slurm.qos,
        "gres": slurm.gres if with_gpus else None,
        "cpus-per-task": cpus,
        "mem": 0 if memory_bytes is None else f"{memory_bytes // MIB}M",
    }
    flags = ["--parsable", "--no-requeue", *(["--exclusive"] if slurm.exclusive else [])]
    return ["sbatch", *flags, *(f"--{key}={value}" for key, value in options.items() if value is not None)]


def container_command(slurm: Slurm, folders: Mapping[str, bool], *, start: str, with_gpus: bool) -> list[str]:
    """Return the words that, before a job's command, run it in a container; none where no container is configured.

    ``folders`` are the folders that the job uses, each with whether it may write there; it starts in ``start``. The
    command lines follow the documentation of each program; the tests of this project do not run them.
    """
    image = slurm.container_image or ""
    binds = [(path, "rw" if may_write else "ro") for path, may_write in folders.items()]
    if slurm.container == "apptainer":
        words = ["apptainer", "exec", "--no-home", f"--pwd={start}", *(["--nv"] if with_gpus else [])]
        return [*words, *(f"--bind={path}:{path}:{mode}" for path, mode in binds), image]
    if slurm.container == "podman":
        words = ["podman", "run", "--rm", "--network=none", "--cgroups=disabled", "--userns=keep-id", "--env=SLURM_*"]
        more = [f"--workdir={start}", *(["--device=nvidia.com/gpu=all"] if with_gpus else [])]
        return [*words, *more, *(f"--volume={path}:{path}:{mode}" for path, mode in binds), image]
    if slurm.container == "pyxis":
        mounts = ",".join(f"{path}:{path}:{mode}" for path, mode in binds)
        words = ["srun", "--ntasks=1", f"--container-image={image}", f"--container-mounts={mounts}"]
        return [*words, f"--container-workdir={start}"]
    return []


def parse_queue(text: str) -> list[QueueRow]:
    """Parse squeue's output in ``QUEUE_FORMAT``; lines of another form are ignored."""
    rows = [line.split("|", 4) for line in text.splitlines() if _LINE.match(line)]
    return [
        QueueRow(number, name, state, clean_text(reason, 200))
        for number, name, state, _, reason in rows
        if number.isdigit()
    ]


def parse_accounting(text: str) -> list[Ended]:
    """Parse sacct's output in ``ACCOUNTING_FORMAT`` with ``--parsable2``."""
    found = []
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) == 5 and fields[0].isdigit():
            found.append(_ended(fields[0], fields[2], fields[3], ""))
    return found


def parse_job(text: str) -> list[Ended]:
    """Parse the output of ``scontrol --oneliner show job``, one line for each job."""
    found = []
    for line in text.splitlines():
        fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if fields.get("JobId", "").isdigit():
            state, code = fields.get("JobState", ""), fields.get("ExitCode", "")
            found.append(_ended(fields["JobId"], state, code, fields.get("Reason", "")))
    return found


def _ended(number: str, state: str, code: str, reason: str) -> Ended:
    words, (first, _, second) = state.split(), code.partition(":")
    exit_code, signal = (int(part) if part.isdigit() and len(part) < 6 else None for part in (first, second))
    kind = words[0].rstrip("+") if words else ""
    by = clean_text(" ".join(words[1:]), 60)
    return Ended(number, kind, exit_code, signal or None, by or clean_text(reason, 100))


def explain_failure(done: Completed, host: str, what: str) -> HostError:
    """Build the error for a failed Slurm command: not installed, temporarily unavailable, or a refusal."""
    reason = last_line(done.stderr)
    if done.returncode == 127:
        cure = "name a login node of the cluster on which a command over SSH finds sbatch and squeue in PATH"
        return EngineUnavailable(f"there is no Slurm: {reason}", where=host, hint=cure)
    if _AWAY.search(done.stderr[-8192:].decode(errors="replace")):
        cure = "see `scontrol ping` on the login node; running jobs continue meanwhile"
        return HostUnreachable(f"Slurm's controller does not answer: {reason}", where=host, hint=cure)
    cure = "check the cluster's `slurm:` in the inventory, and `sinfo` on the login node"
    return HostNotReady(f"{what}: {reason}", where=host, hint=cure)

"""Command lines of Slurm, and what its commands print: pure builders and parsers.

A value of the inventory stands behind ``--option=`` in one word, and the inventory's own check keeps it from being
anything but a value.
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
"""The first word of the comment of all our jobs; the session follows."""

QUEUED = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"})
ACTIVE = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"})
NEVER = (
    "ReqNodeNotAvail", "BadConstraints", "PartitionDown", "PartitionInactive", "PartitionNodeLimit",
    "PartitionTimeLimit", "InvalidAccount", "InvalidQOS", "QOSNotAllowed", "AccountNotAllowed", "NodeDown",
    "Nodes required for job are DOWN", "AssocMaxWallDurationPerJobLimit", "JobHeldAdmin", "JobHeldUser",
)  # fmt: skip
"""How the reasons begin for which a job does not start until somebody changes something."""

_AWAY = re.compile(
    "unable to contact slurm|connection refused|connection timed out|socket timed out|connect failure|"
    "zero bytes were transmitted|unable to connect|controller not responding|in standby mode|try again later|"
    "communication connection failure|insane message length",
    re.IGNORECASE,
)
_LINE = re.compile(r"[^|\n]*(?:\|[^|\n]*){4}")
QUEUE_FORMAT = "%A|%j|%T|%V|%r"
"""squeue's: number, name, state, when it was submitted, why it waits."""
ACCOUNTING_FORMAT = "JobIDRaw,JobName,State,ExitCode,NodeList"


@dataclass(frozen=True)
class QueueRow:
    """A job as squeue shows it; ``reason`` is why it waits."""

    id: str
    name: str
    state: str
    reason: str


@dataclass(frozen=True)
class Ended:
    """A job that has ended, as Slurm remembers it. ``exit_code`` and ``signal`` are those of its script."""

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
    """Return the command that submits one job, its script on stdin.

    ``cpus`` and ``memory_bytes`` None for all that the node has. ``node`` is where a job of a constraint must run.
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
    """Return the words before a job's own command that run it in a container; none where no container is wanted.

    ``folders`` are those that it uses, each with whether it may write there; it starts in ``start``. None of these
    command lines was run by this project's tests: what they say follows the documentation of each program.
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
    """Read what squeue prints in ``QUEUE_FORMAT``; lines of another form are passed over."""
    rows = [line.split("|", 4) for line in text.splitlines() if _LINE.match(line)]
    return [
        QueueRow(number, name, state, clean_text(reason, 200))
        for number, name, state, _, reason in rows
        if number.isdigit()
    ]


def parse_accounting(text: str) -> list[Ended]:
    """Read what sacct prints in ``ACCOUNTING_FORMAT`` with ``--parsable2``."""
    found = []
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) == 5 and fields[0].isdigit():
            found.append(_ended(fields[0], fields[2], fields[3], ""))
    return found


def parse_job(text: str) -> list[Ended]:
    """Read what ``scontrol --oneliner show job`` prints, a line for each job."""
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
    """Build the error for a command of Slurm that failed: Slurm is away for a while, not there, or refuses."""
    reason = last_line(done.stderr)
    if done.returncode == 127:
        cure = "name a login node of the cluster, on which sbatch and squeue are in PATH for a command over SSH"
        return EngineUnavailable(f"there is no Slurm: {reason}", where=host, hint=cure)
    if _AWAY.search(done.stderr[-8192:].decode(errors="replace")):
        cure = "see `scontrol ping` there; jobs that run go on meanwhile"
        return HostUnreachable(f"Slurm's controller does not answer: {reason}", where=host, hint=cure)
    cure = "see the cluster's `slurm:` in the inventory, and `sinfo` on the login node"
    return HostNotReady(f"{what}: {reason}", where=host, hint=cure)

"""Start a job of the ``slurm`` engine on its node: Slurm confines it, so the limit is read and not set.

Standard library only. The job's script becomes ``python -S -E -m bench.launcher.slurm_job JOB_FOLDER`` from the job's
own copy of the payload, which then becomes the supervisor.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from . import jobs, launch
from .cgroup import SHARED_VARIABLE, Cgroup, find_own
from .jobs import Trouble

REFUSED = "refused.json"
"""File in the job's folder that says why the job did not begin."""
_NUMBER_VARIABLE, _RESTARTS_VARIABLE = "SLURM_JOB_ID", "SLURM_RESTART_COUNT"


def main(job: str) -> NoReturn:
    """Confine this process as far as Slurm has not, write ``process.json``, and become the supervisor."""
    try:
        variables = _prepare(job)
        argv = [sys.executable, "-S", "-E", "-m", "bench.supervisor.supervisor", job]
        os.execve(argv[0], argv, variables)  # noqa: S606 - a list, no shell wanted
    except Trouble as trouble:
        jobs.write_object(os.path.join(job, REFUSED), {"message": trouble.message, "hint": trouble.hint})
    except OSError as error:
        message = f"the job could not be started: {error}"
        jobs.write_object(os.path.join(job, REFUSED), {"message": message, "hint": "see supervisor.log"})
    os._exit(1)


def _prepare(job: str) -> dict[str, str]:
    """Prepare CPUs and folders, and find out whose cgroup this is; return the environment for the supervisor."""
    asked = jobs.read_job(job)
    if os.environ.get(_RESTARTS_VARIABLE, "0") != "0" or os.path.exists(os.path.join(job, "process.json")):
        raise Trouble("Slurm started the job a second time (requeued): its measurements are discarded", "run it again")
    variables = {**launch.kept_environment(), jobs.JOB_VARIABLE: job}
    variables["PYTHONUSERBASE"] = os.environ.get("PYTHONUSERBASE") or os.path.expanduser("~/.local")
    group = find_group()
    if group is None:
        variables[SHARED_VARIABLE] = "shared"
        if asked["memory_bytes"] is not None:
            raise Trouble(
                "memory cannot be limited: Slurm keeps no cgroup for the job",
                "ask for ConstrainRAMSpace=yes in cgroup.conf",
            )
    elif set(group.processes()) == {os.getpid()}:
        variables[SHARED_VARIABLE] = "own"
    _choose_cpus(asked["cpus"])
    for mount in asked["mounts"]:
        if mount["ephemeral"]:
            os.mkdir(mount["source"], 0o755)
        elif not mount["read_only"]:
            os.makedirs(mount["source"], exist_ok=True)
        elif not os.path.exists(mount["source"]):
            raise Trouble(f"{mount['name']}: {mount['source']} is not on the node", "check the inventory's paths")
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    launch.seal_job(job, asked, variables, [])
    if asked["gpus"] and given:
        variables["CUDA_VISIBLE_DEVICES"] = given  # chosen by Slurm, for this job
    return variables


def find_group() -> Cgroup | None:
    """Return the memory cgroup that Slurm made for this job; None if it made none."""
    number, own = os.environ.get(_NUMBER_VARIABLE, ""), find_own()
    is_jobs = own is not None and bool(number) and f"/job_{number}/" in f"{own.folder}/"
    return own if is_jobs else None


def describe_limit() -> dict[str, object]:
    """Return whether and how Slurm limits the memory of the job that this runs in; limits in bytes."""
    group = find_group()
    return {
        "cgroup": None if group is None else group.version,
        "limit": None if group is None else group.limit_bytes(),
        "swap_limit": None if group is None else group.swap_limit_bytes(),
        "node": os.environ.get("SLURMD_NODENAME"),
    }


def _choose_cpus(wanted: list[int]) -> None:
    """Pin this process to the wanted CPUs; if Slurm gave others, to the same number of those. Raises Trouble."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) < len(wanted):
        raise Trouble(f"Slurm gave {len(allowed)} CPUs, {len(wanted)} were requested", "check `cpus:` in the inventory")
    if wanted:
        os.sched_setaffinity(0, sorted(allowed, key=lambda cpu: (cpu not in wanted, cpu))[: len(wanted)])


if __name__ == "__main__":
    main(sys.argv[1])

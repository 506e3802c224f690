"""Command lines of Slurm and of containers, as they are given, and what its commands print; nothing is run."""

from __future__ import annotations

import pytest

from harness.engine.slurm_state import JobFiles, read_state
from harness.hosts.connection import Completed
from harness.hosts.slurm.commands import (
    Ended,
    QueueRow,
    container_command,
    explain_failure,
    parse_accounting,
    parse_job,
    parse_queue,
    sbatch_command,
)
from harness.inventory.slurm_settings import Slurm
from harness.values.errors import EngineUnavailable, HostError, HostNotReady, HostUnreachable

NODE = Slurm.model_validate({"nodes": ["n1"]})
FULL = Slurm.model_validate(
    {
        "constraint": "a100&nvlink",
        "partition": "gpu",
        "account": "lab",
        "qos": "long",
        "gres": "gpu:a100:2",
        "time": "2:00:00",
        "queue": "12h",
        "exclusive": False,
    }
)
FOLDERS = {"/home/u/.cache/harness/n1/jobs/j": True, "/data/photos": False}


def test_a_job_on_a_node() -> None:
    words = sbatch_command(NODE, name="harness-1", comment="harness x s", minutes=20, cpus=4, memory_bytes=4 * 2**30)
    assert words == [
        "sbatch", "--parsable", "--no-requeue", "--exclusive", "--job-name=harness-1", "--comment=harness x s",
        "--nodes=1", "--ntasks=1", "--chdir=/", "--output=/dev/null", "--error=/dev/null", "--time=20",
        "--deadline=now+4800seconds", "--nodelist=n1", "--cpus-per-task=4", "--mem=4096M",
    ]  # fmt: skip


def test_a_job_of_a_constraint_with_gpus() -> None:
    words = sbatch_command(FULL, name="j", comment="c", minutes=20, with_gpus=True, node="gpu07")
    assert words == [
        "sbatch", "--parsable", "--no-requeue", "--job-name=j", "--comment=c", "--nodes=1", "--ntasks=1", "--chdir=/",
        "--output=/dev/null", "--error=/dev/null", "--time=120", "--deadline=now+50400seconds", "--nodelist=gpu07",
        "--constraint=a100&nvlink", "--partition=gpu", "--account=lab", "--qos=long", "--gres=gpu:a100:2", "--mem=0",
    ]  # fmt: skip
    assert not [word for word in sbatch_command(FULL, name="j", comment="c", minutes=1) if word.startswith("--gres")]


def in_container(kind: str, image: str, *, with_gpus: bool) -> list[str]:
    slurm = Slurm.model_validate({"nodes": ["n1"], "container": kind, "container_image": image})
    return container_command(slurm, FOLDERS, start="/work", with_gpus=with_gpus)


def test_containers_as_command_lines() -> None:
    job, data = FOLDERS
    assert container_command(NODE, FOLDERS, start="/work", with_gpus=True) == []
    assert in_container("apptainer", "/srv/tf.sif", with_gpus=True) == [
        "apptainer", "exec", "--no-home", "--pwd=/work", "--nv", f"--bind={job}:{job}:rw", f"--bind={data}:{data}:ro",
        "/srv/tf.sif",
    ]  # fmt: skip
    assert in_container("podman", "registry.lab:5000/tf:1", with_gpus=True) == [
        "podman", "run", "--rm", "--network=none", "--cgroups=disabled", "--userns=keep-id", "--env=SLURM_*",
        "--workdir=/work", "--device=nvidia.com/gpu=all", f"--volume={job}:{job}:rw", f"--volume={data}:{data}:ro",
        "registry.lab:5000/tf:1",
    ]  # fmt: skip
    assert in_container("pyxis", "nvcr.io#nvidia/tensorflow", with_gpus=False) == [
        "srun", "--ntasks=1", "--container-image=nvcr.io#nvidia/tensorflow",
        f"--container-mounts={job}:{job}:rw,{data}:{data}:ro", "--container-workdir=/work",
    ]  # fmt: skip


def test_the_queue_is_read() -> None:
    text = (
        "7|harness-1|PENDING|2026-11-28T07:00:00|(Resources)\nnonsense\n8|harness-2|RUNNING|2026-11-28T07:00:01|None\n"
    )
    assert parse_queue(text) == [
        QueueRow("7", "harness-1", "PENDING", "(Resources)"),
        QueueRow("8", "harness-2", "RUNNING", "None"),
    ]


def test_what_slurm_remembers_is_read() -> None:
    assert parse_accounting("7|harness-1|CANCELLED by 1000|0:15|n1\nx|y\n") == [
        Ended("7", "CANCELLED", 0, 15, "by 1000"),
    ]
    shown = "JobId=8 JobName=harness-2 UserId=root(0) JobState=NODE_FAIL Reason=None ExitCode=1:0 Restarts=0\n"
    assert parse_job(shown) == [Ended("8", "NODE_FAIL", 1, None, "None")]
    assert parse_job("slurm_load_jobs error: Invalid job id specified\n") == []


THERE = JobFiles("j", is_there=True, number="7")
DONE = JobFiles("j", is_there=True, has_outcome=True, number="7", process={"started_at": "t"})
RUNNING = QueueRow("7", "j", "RUNNING", "None")


@pytest.mark.parametrize(
    ("files", "row", "ended", "phase", "more"),
    [
        (JobFiles("j", is_there=False), None, None, "gone", {}),
        (JobFiles("j", is_there=True), None, None, "created", {}),
        (THERE, QueueRow("7", "j", "PENDING", "Priority"), None, "queued", {"waits_for": "Priority"}),
        (THERE, QueueRow("7", "j", "CONFIGURING", "None"), None, "queued", {}),
        (DONE, RUNNING, None, "running", {}),
        (DONE, QueueRow("7", "j", "COMPLETING", "None"), None, "running", {}),
        (DONE, None, Ended("7", "COMPLETED", 0), "exited", {"exit_code": 0, "oom_killed": False, "ended_as": None}),
        (DONE, None, Ended("7", "OUT_OF_MEMORY", 0, 125), "exited", {"exit_code": 0, "oom_killed": True}),
        (DONE, None, None, "exited", {"exit_code": 0, "oom_killed": None, "ended_as": None}),
        (DONE, None, Ended("7", "TIMEOUT", 0, 1), "exited", {"ended_as": "timeout"}),
        (THERE, None, Ended("7", "TIMEOUT", 0, 1), "exited", {"ended_as": "timeout"}),
        (THERE, None, Ended("7", "CANCELLED", 0, 15, "by 1000"), "exited", {"ended_as": "lost"}),
        (THERE, None, Ended("7", "PREEMPTED", 0, 15), "exited", {"ended_as": "lost"}),
        (THERE, None, Ended("7", "NODE_FAIL", 1), "exited", {"ended_as": "lost"}),
        (THERE, None, Ended("7", "DEADLINE", 0), "exited", {"ended_as": "lost"}),
        (THERE, None, Ended("7", "FAILED", 3), "exited", {"ended_as": None, "exit_code": 3}),
        (THERE, None, Ended("7", "FAILED", 0, 9), "exited", {"ended_as": None, "exit_code": 137}),
        (THERE, None, None, "exited", {"ended_as": "lost", "error": "Slurm no longer knows the job"}),
    ],
)
def test_each_end_has_its_state(
    files: JobFiles, row: QueueRow | None, ended: Ended | None, phase: str, more: dict[str, object]
) -> None:
    state = read_state(files, row, ended)
    assert state.phase == phase
    assert {key: getattr(state, key) for key in more} == more


def test_a_requeued_job_is_lost() -> None:
    refused = JobFiles("j", is_there=True, number="7", refused={"message": "Slurm started the job again (requeued)"})
    state = read_state(refused, None, Ended("7", "FAILED", 1))
    assert (state.phase, state.ended_as) == ("exited", "lost")


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        (1, b"slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", HostUnreachable),
        (1, b"sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n", HostUnreachable),
        (127, b"sh: 1: sbatch: not found\n", EngineUnavailable),
        (1, b"sbatch: error: invalid partition specified: nope\n", HostNotReady),
    ],
)
def test_a_command_that_fails_says_what_to_do(code: int, said: bytes, kind: type[HostError]) -> None:
    error = explain_failure(Completed(code, b"", said), "login/n1", "Slurm does not accept the job")
    assert type(error) is kind and error.hint and error.where == "login/n1"

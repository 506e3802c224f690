"""The ``slurm`` engine: it runs each job as one batch job of Slurm on a node, with the supervisor as its process.

The engine uses only commands (sbatch, squeue, scontrol, sacct, scancel) and files of the login node: a job is a folder
on a file system that the login node shares with the node (``engine/slurm_folder.py``). A job is found again by its
folder, which has the job's name; a job whose folder is gone, by name and comment in the queue.
"""

from __future__ import annotations

import json
import math
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from harness.bench.launcher.launch import NAME as JOB_NAME
from harness.bench.launcher.removal import REMOVE
from harness.bench.protocol import bounded_json
from harness.bench.protocol.protocol import as_count, as_object, as_text
from harness.engine import slurm_scripts as scripts
from harness.engine.container import is_ephemeral
from harness.engine.interface import Engine, JobHandle, JobRequest, JobState
from harness.engine.job_archive import RESULTS_BYTES, extract_results
from harness.engine.kinds.process import HOST_PYTHON, read_boot, read_sources
from harness.engine.refusal import refuse_job
from harness.engine.slurm_folder import batch_script, pack_folder
from harness.engine.slurm_state import JobFiles, ephemeral_of, is_active, parse_files, parse_jobs, read_state
from harness.engine.spec import EngineSpec, Means
from harness.hosts.answers import first_line, reading
from harness.hosts.connection import Completed, Connection, OutputTooLong, last_line
from harness.hosts.slurm.commands import (
    ACCOUNTING_FORMAT,
    MIB,
    QUEUE_FORMAT,
    Ended,
    container_command,
    explain_failure,
    parse_accounting,
    parse_job,
    parse_queue,
    sbatch_command,
)
from harness.hosts.slurm.connection import COMMANDS, SlurmConnection
from harness.values.engine_names import EngineFacts, EngineWords
from harness.values.errors import EngineError, EngineUnavailable, HostUnreachable, JobGone, ResultsRefused
from harness.values.platforms import PYTHONS_IN_WORDS
from harness.values.text import clean_text

NAME = "slurm"

SESSION_LABEL, NAME_LABEL, EPHEMERAL_LABEL = "harness.session", "harness.name", "harness.ephemeral"

_PROBE_BYTES = 256 * MIB
_PROBE_TIMEOUT_S = 120.0
_MORE_MINUTES = 5
"""Added to a job's own timeout, which its supervisor enforces: time to begin, and to write the results."""
_SEEN_LATE_S = 5.0
"""How long after a job's end its files may become visible on a shared file system, in seconds."""
_SUBMIT_TIMEOUT_S, _CANCEL_TIMEOUT_S, _FETCH_TIMEOUT_S = 180.0, 240.0, 120.0
_SLICE_BYTES = 256 * 1024


class SlurmEngine:
    """The jobs of one node of a cluster; implements ``harness.engine.interface.Engine``.

    ``scratch`` is a folder on a file system that login node and node share. ``python`` is the command, as words, of an
    interpreter with TensorFlow on the node.
    """

    name = NAME

    def __init__(self, connection: SlurmConnection, *, scratch: str, python: Sequence[str]) -> None:
        self.host = connection.host
        self._connection = connection
        self._scratch = scratch
        self._jobs = f"{scratch}/jobs"
        self._python = tuple(python)
        self._ended_since: dict[str, float] = {}

    def probe(self, image: str) -> EngineFacts:
        """Return the facts of Slurm and the node's Python, and whether Slurm limits memory, by a job on the node.

        Raises EngineUnavailable where TensorFlow is not installed, or the job cannot run.
        """
        version = self._read_version()
        found = self._ask_python()
        tensorflow, digest = as_text(found.get("tensorflow")), as_text(found.get("digest"))
        python, node = (clean_text(as_text(found.get(name)) or "?", 60) for name in ("python", "node"))
        if tensorflow is None or digest is None:
            message = f"TensorFlow is not installed for {shlex.join(self._python)} ({python}) on node {node}"
            cure = f"name a Python ({PYTHONS_IN_WORDS}) with TensorFlow that the node can run, as docs/slurm.md shows"
            raise EngineUnavailable(message, where=self.host, hint=cure)
        limit, group = as_count(found.get("limit")), as_count(found.get("cgroup"))
        can_limit = limit is not None and limit <= _PROBE_BYTES
        swap = as_count(found.get("swap_limit"))
        slurm = self._connection.slurm
        partition = f"partition {slurm.partition}" if slurm.partition else "default partition"
        packages = f"TensorFlow {clean_text(tensorflow, 30)} of {clean_text(shlex.join(self._python), 100)} ({python})"
        reasons = () if can_limit else (_explain_no_limit(group is not None, limit),)
        return EngineFacts(
            engine=self.name,
            version=f"{version}, {partition}, node {node}, {packages}",
            image_digest=digest if len(digest) == 64 else None,
            cgroup_version=group if group in (1, 2) else None,
            can_limit_memory=can_limit,
            can_limit_swap=can_limit and swap is not None and limit is not None and swap <= limit,
            can_limit_cpus=True,
            gpu_support="direct",
            limit_step_bytes=MIB,
            reasons=reasons,
        )

    def submit(self, request: JobRequest) -> JobHandle:
        """Submit a job and return its handle; where a job of that name is there, return that one's handle."""
        if not JOB_NAME.fullmatch(request.name):
            raise refuse_job(f"{request.name!r} cannot name a job", self.host, None)
        wrong = [mount.source for mount in request.mounts if mount.ephemeral and not is_ephemeral(mount.source)]
        if wrong:
            raise refuse_job(f"{wrong[0]} cannot name an ephemeral folder", self.host, None)
        labels = {
            **request.labels,
            NAME_LABEL: request.name,
            EPHEMERAL_LABEL: json.dumps([mount.source for mount in request.mounts if mount.ephemeral]),
        }
        sources = [mount.source for mount in request.mounts if mount.read_only]
        command = self._sbatch(request)
        script = batch_script(self._connection.slurm, f"{self._jobs}/{request.name}", request, self._python)
        done = self._run(
            scripts.MAKE,
            self._jobs,
            request.name,
            *sources,
            "--",
            *command,
            input_bytes=pack_folder(request, labels, script),
            timeout_s=_SUBMIT_TIMEOUT_S,
        )
        number = done.text.strip()
        if done.returncode != 0 or not number.isdigit():
            raise self._explain_refusal(done, request.name)
        return JobHandle(host=self.host, name=request.name, id=number, labels=labels)

    def poll(self, handles: Sequence[JobHandle]) -> list[JobState]:
        """Return the states of jobs, with one command for queue and folders, and one for jobs that have ended."""
        names = [handle.name for handle in handles]
        if not names:
            return []
        done = self._run(scripts.LOOK, self._jobs, QUEUE_FORMAT, *names)
        if done.returncode != 0:
            raise explain_failure(done, self.host, "the queue cannot be read")
        queue, _, rest = done.text.partition("--\n")
        with reading(self.host, "the list of jobs", done.stdout, kind=EngineError):
            files = parse_files(rest, names)
        rows = parse_queue(queue)
        by_name = {row.name: row for row in rows if is_active(row)}
        by_number = {row.id: row for row in rows}
        found = [by_name.get(one.name) or by_number.get(one.number or "") for one in files]
        over = [
            one.number
            for one, row in zip(files, found, strict=True)
            if one.is_there and one.number and not is_active(row)
        ]
        ended = self._read_ended(over) if over else {}
        return [
            self._settle(read_state(one, row, ended.get(one.number or "")), one)
            for one, row in zip(files, found, strict=True)
        ]

    def fetch(self, handle: JobHandle, destination: Path) -> None:
        """Copy the results that the job has written so far; existing files are replaced one by one."""
        destination.mkdir(parents=True, exist_ok=True)
        argv = ["sh", "-c", 'cd -- "$1" 2>/dev/null || exit 66; exec tar -cSf - results', "sh", self._folder(handle)]
        with tempfile.TemporaryFile(dir=destination) as archive:
            try:
                done = self._connection.run(argv, sink=archive, most_bytes=RESULTS_BYTES, timeout_s=_FETCH_TIMEOUT_S)
            except OutputTooLong as error:
                message = f"the results are larger than {RESULTS_BYTES} bytes"
                hint = "check what the job writes to its results"
                raise ResultsRefused(message, where=self.host, hint=hint) from error
            if done.returncode == 66:
                hint = "it was removed by hand or by another session: run the same command again"
                raise JobGone(f"the folder of {handle.name} is gone", where=self.host, hint=hint)
            if done.returncode not in (0, 1):  # 1: a file grew while it was read
                message = f"the results cannot be read: {last_line(done.stderr)}"
                raise EngineError(message, where=self.host, hint=f"inspect {self._folder(handle)} on the login node")
            archive.seek(0)
            chunks = iter(lambda: archive.read(_SLICE_BYTES), b"")
            extract_results(chunks, destination, host=self.host, job=handle.name)

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """Cancel jobs, wait until they have ended, and remove all that they left. Raises EngineError."""
        names = [handle.name for handle in handles if JOB_NAME.fullmatch(handle.name)]
        if not names:
            return
        done = self._run(scripts.END, self._jobs, *names, timeout_s=_CANCEL_TIMEOUT_S)
        if done.returncode == 77:
            message, cure = last_line(done.stderr), "see `squeue` and `scontrol show node` on the login node"
            raise EngineError(message, where=self.host, hint=cure)
        if done.returncode != 0:
            raise explain_failure(done, self.host, "jobs cannot be cancelled")
        folders = [path for fields in parse_jobs(done.text) for path in ephemeral_of(fields)]
        left = [path for path in folders if not self._is_removed(path)]
        self._run(scripts.TRASH, self._jobs, *names, timeout_s=_CANCEL_TIMEOUT_S)
        for name in names:
            self._ended_since.pop(name, None)
        if left:
            message = f"{', '.join(left)} could not be removed completely"
            raise EngineError(message, where=self.host, hint="remove it by hand")

    def list(self, session: str | None = None) -> list[JobHandle]:
        """Return the jobs of a session (None: of all sessions), rebuilt from the shared file system and the queue."""
        done = self._run(scripts.LIST, self._jobs)
        if done.returncode != 0:
            raise explain_failure(done, self.host, "the queue cannot be read")
        there, _, queue = done.text.rpartition("--\n")
        found: dict[str, JobHandle] = {}
        for fields in parse_jobs(there):
            name, labels = str(fields["name"]), as_object(fields.get("labels"))
            texts = {key: str(value) for key, value in labels.items()}
            found[name] = JobHandle(host=self.host, name=name, id=name, labels=texts)
        for line in queue.splitlines():
            number, _, rest = line.partition("|")
            name, _, comment = rest.partition("|")
            mark = f"{self._connection.mark(self._scratch)} "
            if number.isdigit() and name not in found and JOB_NAME.fullmatch(name) and comment.startswith(mark):
                texts = {NAME_LABEL: name, SESSION_LABEL: comment.removeprefix(mark)}
                found[name] = JobHandle(host=self.host, name=name, id=number, labels=texts)
        return [one for one in found.values() if session is None or one.labels.get(SESSION_LABEL) == session]

    def _folder(self, handle: JobHandle) -> str:
        if not JOB_NAME.fullmatch(handle.name):
            raise JobGone(f"there is no job {clean_text(handle.name, 60)}", where=self.host)
        return f"{self._jobs}/{handle.name}"

    def _run(self, script: str, *words: str, input_bytes: bytes | None = None, timeout_s: float = 60.0) -> Completed:
        return self._connection.run(["sh", "-c", script, "sh", *words], input=input_bytes, timeout_s=timeout_s)

    def _sbatch(self, request: JobRequest) -> Sequence[str]:
        session = clean_text(request.labels.get(SESSION_LABEL, ""), 200)
        timeout_s = request.request.get("timeout_s")
        seconds = timeout_s if isinstance(timeout_s, int | float) else 3600.0
        return sbatch_command(
            self._connection.slurm,
            name=request.name,
            comment=f"{self._connection.mark(self._scratch)} {session}",
            minutes=math.ceil(seconds / 60) + _MORE_MINUTES,
            cpus=len(request.cpus) or None,
            memory_bytes=request.memory_bytes,
            with_gpus=bool(request.gpus),
            node=self._connection.node,
        )

    def _read_version(self) -> str:
        done = self._connection.run(["sbatch", "--version"])
        if done.returncode != 0:
            raise explain_failure(done, self.host, "sbatch cannot be run")
        return clean_text(done.text.split()[-1] if done.text.split() else "?", 40)

    def _ask_python(self) -> dict[str, object]:
        """Run the interpreter in a job with a memory limit, and return its description of itself and of the limit."""
        header = {"verb": "node", "scratch": self._scratch, "sources": read_sources(), "boot": read_boot()}
        around = container_command(self._connection.slurm, {self._scratch: True}, start="/", with_gpus=False)
        node = self._connection.on_node(self._scratch, memory_bytes=_PROBE_BYTES)
        words = [*around, *self._python, "-c", read_boot()]
        done = node.run(words, input=json.dumps(header).encode() + b"\n", timeout_s=_PROBE_TIMEOUT_S)
        python = shlex.join(self._python)
        if done.returncode != 0:
            said = clean_text(last_line(done.stderr, "")) or f"it printed {first_line(done.stdout)}"
            cure = f"name {PYTHONS_IN_WORDS} with TensorFlow that the node can run, as docs/slurm.md shows"
            raise EngineUnavailable(f"{python} cannot be run on the node: {said}", where=self.host, hint=cure)
        with reading(self.host, f"the answer of {python} on the node", done.stdout, kind=EngineUnavailable):
            return bounded_json.parse_object(done.stdout)

    def _read_ended(self, numbers: Sequence[str]) -> dict[str, Ended]:
        """Return ended jobs from the accounting; without one, from the controller, which forgets jobs after minutes."""
        done = self._run(scripts.ASK_ENDED, ",".join(numbers), ACCOUNTING_FORMAT, *numbers)
        kind, _, text = done.text.partition("\n")
        found = parse_accounting(text) if kind == "accounting" else parse_job(text)
        return {one.id: one for one in found}

    def _settle(self, state: JobState, files: JobFiles) -> JobState:
        """Return ``running`` for a job that has just ended, until the shared file system may show its results."""
        if state.phase != "exited" or files.has_outcome or files.refused is not None:
            return state
        since = self._ended_since.setdefault(files.name, time.monotonic())
        return state if time.monotonic() - since > _SEEN_LATE_S else JobState("running")

    def _explain_refusal(self, done: Completed, name: str) -> EngineError | HostUnreachable:
        """Build the error for a job that was not submitted, after removing the folder of a refused one."""
        if done.returncode in (75, 76):
            error = explain_failure(done, self.host, "Slurm does not accept the job")
            if isinstance(error, HostUnreachable | EngineUnavailable):
                return error
        if done.returncode != 73:
            self._run(scripts.TRASH, self._jobs, name)
        message = last_line(done.stderr)
        cure = "check the inventory's paths, which login node and node must share, and its `slurm:`"
        if done.returncode == 76:
            message = f"Slurm does not accept the job: {message}"
        return refuse_job(message, self.host, cure)

    def _is_removed(self, path: str) -> bool:
        """Remove an ephemeral folder and return whether it is gone; a folder without the prefix is left alone."""
        if not is_ephemeral(path):
            return True
        return self._connection.run([*REMOVE, path], timeout_s=_CANCEL_TIMEOUT_S).returncode == 0


def _explain_no_limit(has_group: bool, limit: int | None) -> str:
    if not has_group:
        return "memory cannot be limited: Slurm makes no memory cgroup for its jobs"
    held = "none" if limit is None else f"{limit} bytes"
    return f"memory cannot be limited: a limit of {_PROBE_BYTES} bytes was requested, but inside the job it is {held}"


class _Nowhere:
    """The engine of a host without ``slurm:`` in the inventory, which cannot be used."""

    name = NAME

    def __init__(self, connection: Connection) -> None:
        self.host = connection.host

    def probe(self, image: str) -> EngineFacts:
        """Raise EngineUnavailable."""
        cure = "name its nodes in the inventory: `slurm: {partition: …, nodes: […]}` (docs/slurm.md)"
        raise EngineUnavailable("the inventory names no nodes of a cluster for it", where=self.host, hint=cure)


def _make(means: Means) -> Engine:
    if not isinstance(means.connection, SlurmConnection):
        return _Nowhere(means.connection)  # type: ignore[return-value]  # only `probe` is called
    named: tuple[str, ...] = getattr(means, "python", ())
    python = named or (sys.executable if means.is_local else HOST_PYTHON,)
    return SlurmEngine(means.connection, scratch=means.scratch, python=python)


def _may_have_jobs(_engine: Engine, means: Means) -> bool:
    """Return whether the folder of jobs or that of commands exists on the login node."""
    if not isinstance(means.connection, SlurmConnection):
        return False
    script = '[ -d "$1/jobs" ] || [ -d "$1/$2" ]'
    return means.connection.run(["sh", "-c", script, "sh", means.scratch, COMMANDS]).returncode == 0


WORDS = EngineWords(
    title="Slurm",
    instead="jobs run as batch jobs of Slurm instead",
    image="the packages of the node's Python, digest",
    limit_cure="ask the cluster's administrator for `ConstrainRAMSpace=yes` in cgroup.conf and `task/cgroup`",
    evidence="cgroup.conf and TaskPlugin of the cluster (`scontrol show config`)",
    gpu_cure="name them with `slurm: gres: gpu:1`",
    caution="a job has its node for itself, but is not isolated as in a container",
)

SPEC = EngineSpec(
    name=NAME,
    rank=99,
    words=WORDS,
    make=_make,
    may_have_jobs=_may_have_jobs,
    is_automatic=False,
)

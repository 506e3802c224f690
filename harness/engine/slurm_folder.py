"""Build the folder of a Slurm job, which login node and node share. Pure.

::

    job.json        name, labels, limits, folders      request.json    what the payload reads
    payload/        the benchmark's code               batch.sh        the script of the job
    number          Slurm's number of the job          process.json    written when it begins on the node
    results/        what is fetched                    refused.json    written where it cannot begin there

The folder appears complete, by a rename.
"""

from __future__ import annotations

import io
import json
import shlex
import tarfile
import time
from collections.abc import Mapping, Sequence

from harness.engine.interface import JobRequest
from harness.hosts.slurm.commands import container_command
from harness.inventory.slurm_settings import Slurm


def batch_script(slurm: Slurm, job: str, request: JobRequest, python: Sequence[str]) -> str:
    """Return the script of a job whose folder is ``job``: it writes its number and becomes the supervisor.

    ``python`` is the command of the interpreter on the node, as words.
    """
    folders = {mount.source: not mount.read_only for mount in request.mounts} | {job: True}
    around = container_command(slurm, folders, start=f"{job}/payload", with_gpus=bool(request.gpus))
    words = [*around, *python, "-S", "-E", "-m", "bench.launcher.slurm_job", job]
    return (
        f"#!/bin/sh\njob={shlex.quote(job)}\n"
        'echo "$SLURM_JOB_ID" > "$job/number.job" && mv -f "$job/number.job" "$job/number"\n'
        'cd "$job/payload" || exit 1\n'
        f'exec {shlex.join(words)} < /dev/null >> "$job/supervisor.log" 2>&1\n'
    )


def pack_folder(request: JobRequest, labels: Mapping[str, str], script: str) -> bytes:
    """Return a tar of a job's folder as it is before the job begins."""
    fields = {
        "name": request.name,
        "labels": labels,
        "memory_bytes": request.memory_bytes,
        "cpus": list(request.cpus),
        "gpus": list(request.gpus),
        "tmp_bytes": request.tmp_bytes,
        "mounts": [vars(mount) for mount in request.mounts],
        "ephemeral": [mount.source for mount in request.mounts if mount.ephemeral],
    }
    paths = {mount.name: mount.source for mount in request.mounts}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in ("payload", "results", "home", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode, folder.mtime = tarfile.DIRTYPE, 0o755, int(time.time())
            archive.addfile(folder)
        _add(archive, "job.json", json.dumps(fields))
        _add(archive, "request.json", json.dumps({**request.request, "paths": paths}))
        _add(archive, "batch.sh", script)
        with tarfile.open(fileobj=io.BytesIO(request.payload.archive)) as payload:
            for entry in payload:
                content = payload.extractfile(entry) if entry.isreg() else None
                if content is not None:
                    _add(archive, f"payload/{entry.name}", content.read())
    return stream.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes | str) -> None:
    data = content.encode() if isinstance(content, str) else content
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(data), 0o644, int(time.time())
    archive.addfile(entry, io.BytesIO(data))

"""Build the body of Docker's create request from a job request. Pure."""

from __future__ import annotations

import io
import json
import posixpath
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.bench.launcher.confine import SHM_BYTES
from harness.bench.protocol import bounded_json, protocol
from harness.engine.interface import CACHE_PREFIX, LABEL_PREFIX, JobRequest, Mount

JOB_FOLDER = "/harness"
ENTRYPOINT = ("python3", "-S", "-E", "-m", "bench.supervisor.supervisor", JOB_FOLDER)
HOME = "/home/job"
HOME_BYTES = 64 * 2**20
PIDS_LIMIT = 4096
LOG_BYTES = 2**20
"""Size of Docker's own log. Results are files, so the log only holds errors from before the supervisor starts."""
STOP_TIMEOUT_S = 20

LABEL_NAME = LABEL_PREFIX + "name"
LABEL_EPHEMERAL = LABEL_PREFIX + "ephemeral"
LABEL_WARNINGS = LABEL_PREFIX + "warnings"
LABEL_MEMORY = LABEL_PREFIX + "memory"


@dataclass(frozen=True)
class Owner:
    """The user and group of the connection; a job reads and writes files as this user."""

    uid: int
    gid: int


def mount_target(mount: Mount) -> str:
    """Return the path of a mount inside a container."""
    if mount.name == "annotations":
        return "/annotations.json"
    if mount.name == "weights":
        return "/weights/" + posixpath.basename(mount.source.rstrip("/"))
    return "/" + mount.name


def job_paths(request: JobRequest) -> dict[str, str]:
    """Return the paths of all mounts by name, which the payload finds under ``paths`` in its request."""
    return {mount.name: mount_target(mount) for mount in request.mounts}


def ephemeral_folders(request: JobRequest) -> tuple[str, ...]:
    """Return the folders that are made and removed with the job. Raises ValueError for a name without our prefix."""
    folders = tuple(mount.source for mount in request.mounts if mount.ephemeral)
    for folder in folders:
        if not is_ephemeral(folder):
            raise ValueError(f"{folder} cannot be a cache folder: its name must begin with {CACHE_PREFIX}")
    return folders


def is_ephemeral(folder: str) -> bool:
    """Return whether a path is absolute, normalized and has the prefix in its last part; no other folder is removed."""
    name = posixpath.basename(folder)
    is_plain = posixpath.isabs(folder) and posixpath.normpath(folder) == folder
    return is_plain and name.startswith(CACHE_PREFIX) and len(name) > len(CACHE_PREFIX)


def labels_of(request: JobRequest, warnings: Sequence[str] = ()) -> dict[str, str]:
    """Return all labels of the container: the request's, and those by which a later controller finds the job."""
    labels = dict(request.labels)
    labels[LABEL_NAME] = request.name
    labels[LABEL_EPHEMERAL] = json.dumps(ephemeral_folders(request))
    if request.memory_bytes is not None:
        labels[LABEL_MEMORY] = str(request.memory_bytes)
    if warnings:
        labels[LABEL_WARNINGS] = json.dumps(list(warnings))
    return labels


def read_list_label(labels: Mapping[str, str], label: str) -> tuple[str, ...]:
    """Return the strings of a label that holds a JSON list; empty where it is absent or has another form."""
    try:
        value = bounded_json.parse(labels.get(label) or "[]")
    except bounded_json.Unreadable:
        return ()
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def build_create(
    request: JobRequest,
    owner: Owner,
    *,
    gpu_support: str | None = None,
    warnings: Sequence[str] = (),
    nested: Collection[str] = (),
) -> dict[str, object]:
    """Return the body of ``POST /containers/create`` for a job.

    ``gpu_support`` is how this engine hands out GPUs (``nvidia`` or ``cdi``); ``warnings`` are
    kept as a label, so that a controller that comes later still knows them. ``nested`` are read-only sources with
    something mounted inside.
    """
    return {
        "Image": request.image,
        "Entrypoint": list(ENTRYPOINT),
        "Cmd": [],
        "User": f"{owner.uid}:{owner.gid}",
        "WorkingDir": f"{JOB_FOLDER}/{protocol.PAYLOAD}",
        "Env": job_environment(request),
        "Labels": labels_of(request, warnings),
        "Volumes": {JOB_FOLDER: {}},
        "StopSignal": "SIGTERM",
        "StopTimeout": STOP_TIMEOUT_S,
        "HostConfig": _host_config(request, owner, gpu_support, nested),
    }


def job_environment(request: JobRequest) -> list[str]:
    """Return the variables of a job, as ``NAME=value``."""
    # NVIDIA's runtime, where it is the default one, gives every GPU to a container unless this variable is set.
    gpus = [] if request.gpus else ["NVIDIA_VISIBLE_DEVICES=void"]
    return [f"HOME={HOME}", "USER=job", "LOGNAME=job", "TMPDIR=/tmp", "LANG=C.UTF-8", *gpus]


def _host_config(
    request: JobRequest, owner: Owner, gpu_support: str | None, nested: Collection[str]
) -> dict[str, object]:
    tmpfs = "rw,nosuid,nodev,size={size},mode={mode},uid={uid},gid={gid}"
    config: dict[str, object] = {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": PIDS_LIMIT,
        "IpcMode": "private",
        "Init": False,
        "ShmSize": SHM_BYTES,
        "Tmpfs": {
            "/tmp": tmpfs.format(size=request.tmp_bytes, mode="1777", uid=owner.uid, gid=owner.gid),
            HOME: tmpfs.format(size=HOME_BYTES, mode="0700", uid=owner.uid, gid=owner.gid),
        },
        "Mounts": [_bind(mount, mount.source in nested) for mount in request.mounts],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": str(LOG_BYTES), "max-file": "1"}},
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
    }
    if request.memory_bytes is not None:
        # MemorySwap limits memory and swap together; by default Docker allows as much swap as memory on top.
        config["Memory"] = request.memory_bytes
        config["MemorySwap"] = request.memory_bytes
    if request.cpus:
        config["CpusetCpus"] = ",".join(str(cpu) for cpu in sorted(request.cpus))
    if request.gpus:
        config["DeviceRequests"] = [device_request(request.gpus, gpu_support)]
    return config


def _bind(mount: Mount, has_nested: bool) -> dict[str, object]:
    bind = {"Type": "bind", "Source": mount.source, "Target": mount_target(mount), "ReadOnly": mount.read_only}
    # Since API 1.44; without this option an old kernel leaves nested mounts writable without an error.
    return {**bind, "BindOptions": {"ReadOnlyForceRecursive": True}} if mount.read_only and has_nested else bind


def device_request(gpus: Sequence[str], gpu_support: str | None) -> dict[str, object]:
    """Return the request for GPUs by id, in the form that the engine accepts.

    Docker accepts device ids only with a count of 0, and CDI only without options.
    """
    if gpu_support == "cdi":
        ids = [gpu if "=" in gpu else f"nvidia.com/gpu={gpu}" for gpu in gpus]
        return {"Driver": "cdi", "Count": 0, "DeviceIDs": ids, "Capabilities": None, "Options": None}
    capabilities = [["gpu", "compute", "utility"]]
    return {"Driver": "nvidia", "Count": 0, "DeviceIDs": list(gpus), "Capabilities": capabilities, "Options": {}}


def build_job_archive(request: JobRequest, owner: Owner) -> bytes:
    """Return a tar of the job's folder: payload, request with paths, and empty writable folders, owned by the job."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as target:
        _add(target, owner, protocol.PAYLOAD)
        with tarfile.open(fileobj=io.BytesIO(request.payload.archive)) as source:
            for member in source:
                stream = source.extractfile(member) if member.isfile() else None
                _add(target, owner, f"{protocol.PAYLOAD}/{member.name}", None if stream is None else stream.read())
        body = {**request.request, "paths": job_paths(request)}
        _add(target, owner, protocol.REQUEST, json.dumps(body, indent=1, sort_keys=True).encode())
        for folder in (protocol.RESULTS, *protocol.WORK_FOLDERS):
            _add(target, owner, folder)
        end = target.offset + 2 * tarfile.BLOCKSIZE
    # Without the padding of the last record: a reader may close the stream at the end marker, before the padding.
    return buffer.getvalue()[:end]


def _add(archive: tarfile.TarFile, owner: Owner, name: str, content: bytes | None = None) -> None:
    entry = tarfile.TarInfo(name)
    entry.uid, entry.gid = owner.uid, owner.gid
    if content is None:
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(entry)
    else:
        entry.size, entry.mode = len(content), 0o644
        archive.addfile(entry, io.BytesIO(content))

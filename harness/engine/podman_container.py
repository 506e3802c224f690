"""A container as we ask Podman for it: the body of a create request of Podman's own API. Pure.

Its copy of Docker's API knows no owner of a tmpfs, sets ``oom_score_adj`` where that is denied, and leaves GPUs out
without a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.bench.launcher.confine import SHM_BYTES
from harness.bench.protocol import protocol
from harness.engine.container import (
    ENTRYPOINT,
    HOME,
    HOME_BYTES,
    JOB_FOLDER,
    LOG_BYTES,
    PIDS_LIMIT,
    STOP_TIMEOUT_S,
    Owner,
    job_environment,
    labels_of,
    mount_target,
)
from harness.engine.interface import JobRequest, Mount

_SIGTERM = 15
_GPU = "nvidia.com/gpu"
_ULIMITS = {"open files": ("nofile", 2**20), "processes": ("nproc", 2**15)}
"""The hard limits of a job, and the most that is given: Podman takes its own number of processes down to 2**15."""
_NAME = re.compile(r"""(?:^|[\s{,])["']?name["']?\s*:\s*["']?([A-Za-z0-9_.:-]{1,200})""", re.MULTILINE)


def build_podman_create(
    request: JobRequest,
    owner: Owner,
    *,
    image: str,
    devices: Sequence[str] = (),
    warnings: Sequence[str] = (),
    ulimits: Mapping[str, int] | None = None,
    is_rootless: bool = False,
    can_limit_cpus: bool = True,
) -> dict[str, object]:
    """The body of ``POST /libpod/containers/create`` for a job.

    ``image`` is the image's id; ``devices`` are names of GPUs in CDI's form; ``ulimits`` are the host's own, by name:
    Podman's defaults are more than root may have everywhere. Without root a user's own number is kept inside, so that
    data and results are that user's there, too.
    """
    body: dict[str, object] = {
        "name": request.name,
        "image": image,
        "entrypoint": list(ENTRYPOINT),
        "command": [],
        "user": f"{owner.uid}:{owner.gid}",
        "work_dir": f"{JOB_FOLDER}/{protocol.PAYLOAD}",
        "env": dict(one.split("=", 1) for one in job_environment(request)),
        "labels": labels_of(request, warnings),
        "volumes": [{"Dest": JOB_FOLDER}],
        "mounts": [
            *map(_bind, request.mounts),
            _tmpfs("/tmp", request.tmp_bytes),
            _tmpfs(HOME, HOME_BYTES),
        ],
        "stop_signal": _SIGTERM,
        "stop_timeout": STOP_TIMEOUT_S,
        "netns": {"nsmode": "none"},
        "ipcns": {"nsmode": "private"},
        "shm_size": SHM_BYTES,
        "read_only_filesystem": True,
        "read_write_tmpfs": False,
        "cap_drop": ["ALL"],
        "no_new_privileges": True,
        "systemd": "false",
        "restart_policy": "no",
        "log_configuration": {"driver": "k8s-file", "size": LOG_BYTES},
        "resource_limits": _limits(request, can_limit_cpus=can_limit_cpus),
    }
    if devices:
        body["devices"] = [{"path": device} for device in devices]
    if ulimits and not is_rootless:
        body["r_limits"] = [{"type": name, "hard": most, "soft": most} for name, most in sorted(ulimits.items())]
    if is_rootless:
        body["userns"] = {"nsmode": "keep-id"}
    return body


def _bind(mount: Mount) -> dict[str, object]:
    options = ["rbind", "ro" if mount.read_only else "rw"]
    return {"type": "bind", "source": mount.source, "destination": mount_target(mount), "options": options}


def _tmpfs(target: str, size: int) -> dict[str, object]:
    """An empty folder in memory, for the container's one user."""
    options = ["rw", "nosuid", "nodev", "noexec", "notmpcopyup", f"size={size}", "mode=1777"]
    return {"type": "tmpfs", "source": "tmpfs", "destination": target, "options": options}


def _limits(request: JobRequest, *, can_limit_cpus: bool) -> dict[str, object]:
    limits: dict[str, object] = {"pids": {"limit": PIDS_LIMIT}}
    if request.memory_bytes is not None:
        # Memory and swap together: unset, as much swap again is allowed.
        limits["memory"] = {"limit": request.memory_bytes, "swap": request.memory_bytes}
    if request.cpus and can_limit_cpus:
        limits["cpu"] = {"cpus": ",".join(str(cpu) for cpu in sorted(request.cpus))}
    return limits


def parse_ulimits(text: str) -> dict[str, int]:
    """Return the hard limits of files and processes out of ``/proc/self/limits`` (proc(5)); none that is not there."""
    found = re.findall(r"^Max (open files|processes)\s+\S+\s+(\d{1,12})\s", text, re.MULTILINE)
    return {_ULIMITS[name][0]: min(int(most), _ULIMITS[name][1]) for name, most in found}


def find_gpu_names(specifications: str) -> frozenset[str]:
    """Return the names of NVIDIA's devices in the host's CDI specifications, JSON or YAML."""
    return frozenset(_NAME.findall(specifications)) if _GPU in specifications else frozenset()


def name_devices(gpus: Sequence[str], known: frozenset[str]) -> tuple[str, ...] | None:
    """Return GPUs by their names in CDI; ``all`` where these are all of them; None where some have no name there."""
    if set(gpus) <= known:
        return tuple(f"{_GPU}={gpu}" for gpu in gpus)
    numbers = [name for name in known if name.isdigit()]
    return (f"{_GPU}=all",) if "all" in known and len(numbers) == len(gpus) else None

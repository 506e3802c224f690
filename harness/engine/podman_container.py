"""Build the body of a create request of Podman's own API from a job request. Pure.

Podman's copy of Docker's API cannot set the owner of a tmpfs, sets ``oom_score_adj`` where that is not permitted, and
ignores GPUs silently.
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
"""Name and maximum of each hard limit of a job; Podman itself lowers the number of processes to 2**15."""
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
    """Return the body of ``POST /libpod/containers/create`` for a job.

    ``image`` is the image's id. ``devices`` are CDI names of GPUs. ``ulimits`` are the host's own limits by name,
    because Podman's defaults exceed what root may have on some hosts. Rootless, the user's id is the same inside the
    container (``keep-id``), so that data and results belong to that user inside, too.
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
    """Return the mount of an empty tmpfs that the container's user can write."""
    options = ["rw", "nosuid", "nodev", "noexec", "notmpcopyup", f"size={size}", "mode=1777"]
    return {"type": "tmpfs", "source": "tmpfs", "destination": target, "options": options}


def _limits(request: JobRequest, *, can_limit_cpus: bool) -> dict[str, object]:
    limits: dict[str, object] = {"pids": {"limit": PIDS_LIMIT}}
    if request.memory_bytes is not None:
        # The second value limits memory and swap together; by default Podman allows as much swap as memory on top.
        limits["memory"] = {"limit": request.memory_bytes, "swap": request.memory_bytes}
    if request.cpus and can_limit_cpus:
        limits["cpu"] = {"cpus": ",".join(str(cpu) for cpu in sorted(request.cpus))}
    return limits


def parse_ulimits(text: str) -> dict[str, int]:
    """Return the hard limits of open files and processes in ``/proc/self/limits`` (proc(5)), as far as it has them."""
    found = re.findall(r"^Max (open files|processes)\s+\S+\s+(\d{1,12})\s", text, re.MULTILINE)
    return {_ULIMITS[name][0]: min(int(most), _ULIMITS[name][1]) for name, most in found}


def find_gpu_names(specifications: str) -> frozenset[str]:
    """Return the names of NVIDIA devices in the host's CDI specifications (JSON or YAML)."""
    return frozenset(_NAME.findall(specifications)) if _GPU in specifications else frozenset()


def name_devices(gpus: Sequence[str], known: frozenset[str]) -> tuple[str, ...] | None:
    """Return the CDI names of GPUs, or ``all`` where a job uses every GPU; None where a GPU has no CDI name."""
    if set(gpus) <= known:
        return tuple(f"{_GPU}={gpu}" for gpu in gpus)
    numbers = [name for name in known if name.isdigit()]
    return (f"{_GPU}=all",) if "all" in known and len(numbers) == len(gpus) else None

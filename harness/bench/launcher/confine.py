"""Confine a job of the ``process`` engine: a cgroup with a verified limit, CPUs, read-only data, a private /tmp.

Standard library only; runs on the host, in the process that then becomes the supervisor.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..protocol.atomic import read_text
from .cgroup import Cgroup, locate, swap_total_bytes
from .jobs import Trouble
from .removal import CGROUP_PREFIX, remove_cgroup

SCOPE_VARIABLE = "HARNESS_SCOPE"
"""Set inside the systemd scope that was created for a job."""

LEAF = "job"
SHM_BYTES = 2**30
"""Size of a job's shared memory, through which its processes pass batches; like any tmpfs it counts as its memory."""
_SHM = "/dev/shm"

_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_SLAVE = 1, 32, 4096, 16384, 1 << 19
_MS_NOSUID_NODEV = 2 | 4
_KEPT_FLAGS = 2 | 4 | 8 | 1024 | 2048
"""nosuid, nodev, noexec, noatime, nodiratime: the same bits in statvfs(2) and mount(2)."""
_MOUNT_OPTIONS = {"nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
_PR_SET_CHILD_SUBREAPER = 36
_CURE = "run as root, or as a user with a systemd session of cgroup version 2, or use Docker"


def scope_command(name: str) -> list[str]:
    """Return the command prefix that gives a job a delegated cgroup; empty if that is not needed or not possible.

    On cgroup version 2 systemd owns the tree; a scope with ``Delegate=yes`` is the part of it that others may use
    (systemd.resource-control(5)). ``OOMPolicy=continue`` exists for scopes since systemd 253; before that, a scope
    always continues after an OOM kill.
    """
    if locate_memory_version() != 2 or not os.path.isdir("/run/systemd/system"):
        return []
    try:
        found = subprocess.run(["systemd-run", "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    words = found.stdout.split()
    version = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    policy = ["-p", "OOMPolicy=continue"] if version >= 253 else []
    manager = [] if os.geteuid() == 0 else ["--user"]
    unit = f"--unit={name if name.startswith(CGROUP_PREFIX) else CGROUP_PREFIX + name}.scope"
    return ["systemd-run", *manager, "--scope", "--quiet", "--collect", unit, "-p", "Delegate=yes", *policy, "--"]


def locate_memory_version() -> int | None:
    """Return the version of the cgroup hierarchy that controls memory on this machine."""
    if locate(1) is not None:
        return 1
    own = locate(2)
    if own is None:
        return None
    root = read_text(os.path.join(own.root, "cgroup.controllers")).split()
    return 2 if "memory" in root else None


def place_cgroup(name: str) -> tuple[int, str]:
    """Return (version, path) of the cgroup for a job; nothing is created. Raises Trouble with the reason."""
    base = name if name.startswith(CGROUP_PREFIX) else CGROUP_PREFIX + name
    version = locate_memory_version()
    own = locate(version) if version else None
    if version is None or own is None:
        raise Trouble("this machine has no memory cgroups", "enable them in the kernel (cgroup_enable=memory)")
    if version == 1:
        parent = next((place for place in (own.folder, own.root) if os.access(place, os.W_OK)), None)
        if parent is None or os.statvfs(parent).f_flag & os.ST_RDONLY:
            raise Trouble("this user may not create cgroups of version 1", _CURE)
        return 1, os.path.join(parent, base)
    if os.environ.get(SCOPE_VARIABLE):
        return 2, os.path.join(own.folder, LEAF)
    for place in own.levels():
        if os.access(os.path.join(place, "cgroup.procs"), os.W_OK) and _hands_memory_down(place):
            return 2, os.path.join(place, base)
    raise Trouble("no cgroup of version 2 is delegated to this user", _CURE)


def _hands_memory_down(place: str) -> bool:
    """Return whether cgroups below ``place`` can limit memory; enables that if the kernel allows it."""
    control = os.path.join(place, "cgroup.subtree_control")
    if "memory" not in read_text(control).split() and "memory" in read_text(f"{place}/cgroup.controllers").split():
        with contextlib.suppress(OSError):
            _write(control, "+memory")
    return "memory" in read_text(control).split()


def enter_cgroup(version: int, path: str, memory_bytes: int | None) -> list[str]:
    """Create a cgroup, set its limit, verify it and move this process into it; return warnings.

    Memory and swap together get the same limit, so that nothing can be swapped out.
    """
    try:
        remove_cgroup(path)
        os.mkdir(path)
        if version == 2 and os.environ.get(SCOPE_VARIABLE):
            # Processes may live in leaves only: leave the scope's own level, then let it delegate memory.
            # A wrapper of this interpreter, such as a container's first process, lives there as well.
            for pid in read_text(os.path.join(os.path.dirname(path), "cgroup.procs")).split():
                with contextlib.suppress(ProcessLookupError):
                    _write(os.path.join(path, "cgroup.procs"), pid)
            _write(os.path.join(os.path.dirname(path), "cgroup.subtree_control"), "+memory")
        warnings = [] if memory_bytes is None else set_limit(version, path, memory_bytes)
        _write(os.path.join(path, "cgroup.procs"), str(os.getpid()))
    except OSError as error:
        raise Trouble(f"cannot create the cgroup {path}: {error.strerror}", _CURE) from error
    return warnings


def set_limit(version: int, path: str, memory_bytes: int) -> list[str]:
    """Set the limits and read them back. Raises Trouble if the kernel keeps another limit, OSError if it refuses."""
    swap = os.path.join(path, "memory.memsw.limit_in_bytes" if version == 1 else "memory.swap.max")
    memory = os.path.join(path, "memory.limit_in_bytes" if version == 1 else "memory.max")
    _write(memory, str(memory_bytes))
    has_swap_limit = os.path.exists(swap)
    if has_swap_limit:
        _write(swap, str(memory_bytes) if version == 1 else "0")
    held = Cgroup(version, path, path).limit_bytes()
    if held is None or held > memory_bytes:
        raise Trouble(f"a limit of {memory_bytes} bytes was set, but the kernel keeps {held} for {path}", _CURE)
    if has_swap_limit or swap_total_bytes() == 0:
        return []
    return ["swap is not accounted: memory above the limit may have been swapped out"]


def try_limit() -> dict[str, object]:
    """Find out whether a memory limit can be set here, by creating a cgroup, limiting and removing it."""
    version: int | None = None
    path = ""
    pid = os.getpid()
    try:
        version, path = place_cgroup(f"{CGROUP_PREFIX}try-{pid}")
        in_scope = version == 2 and bool(os.environ.get(SCOPE_VARIABLE))
        if in_scope:
            warnings = enter_cgroup(version, path, 256 * 2**20)
        else:
            os.mkdir(path)
            warnings = set_limit(version, path, 64 * 2**20)
    except (Trouble, OSError) as error:
        return {"version": version or locate_memory_version(), "can_limit": False, "reason": str(error)}
    finally:
        if path and not os.environ.get(SCOPE_VARIABLE):
            with contextlib.suppress(OSError):
                os.rmdir(path)
    return {"version": version, "can_limit": True, "can_limit_swap": not warnings, "reason": None}


class MountPoint(NamedTuple):
    """A mount point and its flags of mount(2), without the read-only flag."""

    path: str
    flags: int


def mounts_below(folder: str, mountinfo: str) -> list[MountPoint]:
    """Return the mounts inside a folder (not itself), outer ones first; ``folder`` must have no links (proc(5))."""
    found = []
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if len(fields) > 5:
            path = _unescape(fields[4])
            if path.startswith(folder.rstrip("/") + "/"):
                flags = sum(_MOUNT_OPTIONS.get(option, 0) for option in set(fields[5].split(",")))
                found.append(MountPoint(path, flags))
    return found


def _unescape(path: str) -> str:
    """Return a path of mountinfo with the octal escapes of spaces, line ends and backslashes decoded."""
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, letter)
    return path


def read_mountinfo() -> str:
    """Return the text of mountinfo: the mounts that this process sees."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        return stream.read()


def private_memory(used: Sequence[str]) -> dict[str, int]:
    """Return the folder of private shared memory and its size in bytes; what a killed job leaves there disappears.

    Empty if the machine has no such folder, or if a path that the job uses lies in it.
    """
    is_free = os.path.isdir(_SHM) and not any(_is_inside(path, _SHM) for path in used)
    return {_SHM: SHM_BYTES} if is_free else {}


def seal(read_only: Sequence[str], writable: Sequence[str], private: Mapping[str, int]) -> str | None:
    """Give this process its own view of the file system, similar to a container's.

    ``read_only`` paths are bind-mounted read-only with all mounts inside them (except ``writable`` ones there);
    ``private`` folders become tmpfs of the given sizes in bytes, which count as the job's memory. Returns why this is
    not possible (not root, for example), or None. Raises Trouble for a mount inside a read-only path that stays
    writable. New mounts of the host still appear inside; mounts made inside are not visible outside.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
        arguments = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
        if libc.mount(*arguments, ctypes.c_ulong(flags), None if data is None else data.encode()) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), target)

    if os.geteuid() != 0:
        return "only root can mount data read-only"
    if libc.unshare(_CLONE_NEWNS) != 0:
        return f"cannot create a mount namespace: {os.strerror(ctypes.get_errno())}"
    try:
        mount(None, "/", None, _MS_REC | _MS_SLAVE)
        held = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in writable]
        for path in read_only:
            kept = os.statvfs(path).f_flag & _KEPT_FLAGS
            mount(path, path, None, _MS_BIND | _MS_REC)
            mount(None, path, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept)
            for nested in mounts_below(os.path.realpath(path), read_mountinfo()):
                try:
                    mount(None, nested.path, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | nested.flags)
                except OSError as error:
                    raise nested_mount(nested.path, path, error.strerror or "refused") from error
        for path, descriptor in held:
            if any(_is_inside(path, place) for place in read_only):
                mount(f"/proc/self/fd/{descriptor}", path, None, _MS_BIND)
            os.close(descriptor)
        for path, size in private.items():
            mount("tmpfs", path, "tmpfs", _MS_NOSUID_NODEV, f"size={size},mode=700")
    except OSError as error:
        return f"{error.filename or 'a folder'} cannot be mounted: {error.strerror}"
    return None


def nested_mount(nested: str, folder: str, why: str) -> Trouble:
    """Build the error for a mount inside read-only data that a job could write to."""
    return Trouble(
        f"{nested} is mounted inside {folder} and cannot be made read-only ({why}), so a job could write there",
        "mount it read-only on the host, or name a folder without that mount in the inventory",
    )


def adopt_orphans() -> None:
    """Make this process the parent of orphans of the benchmark, so that it can reap and end them."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _is_inside(path: str, place: str) -> bool:
    return (os.path.realpath(path) + "/").startswith(os.path.realpath(place).rstrip("/") + "/")


def _write(path: str, value: str) -> None:
    with open(path, "w", encoding="ascii") as stream:
        stream.write(value)

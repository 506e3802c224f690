"""Facts about the system: release, kernel, cgroup version, boot id, load, user and clock."""

from __future__ import annotations

import re
import shlex

from harness.hosts.facts.fact import Fact, parse_int

_MOST_ID = 2**32 - 1
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def parse_os_release(text: str) -> str | None:
    """Return PRETTY_NAME of os-release(5), else NAME and VERSION_ID; later lines win."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if not equals or name.startswith("#"):
            continue
        try:
            values[name] = " ".join(shlex.split(value))
        except ValueError:
            continue
    return values.get("PRETTY_NAME") or " ".join(filter(None, (values.get("NAME"), values.get("VERSION_ID")))) or None


def parse_uname(text: str) -> tuple[str, str] | None:
    """Return the kernel's release and architecture from ``uname -r -m``."""
    fields = text.split()
    return (fields[0], fields[1]) if len(fields) == 2 else None


def parse_cgroup_version(text: str) -> int | None:
    """Return the version of the cgroups that limit memory, 1 or 2, from lines of /proc/mounts.

    A hybrid machine mounts both versions; its memory controller belongs to version 1.
    """
    is_v2 = False
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        if fields[2] == "cgroup" and "memory" in fields[3].split(","):
            return 1
        is_v2 = is_v2 or (fields[2] == "cgroup2" and fields[1] == "/sys/fs/cgroup")
    return 2 if is_v2 else None


def parse_boot_id(text: str) -> str | None:
    """Return the kernel's boot id, a UUID; None for anything else."""
    text = text.strip()
    return text if _UUID.match(text) else None


def parse_load_1m(text: str) -> float | None:
    """Return the load average of the last minute, the first field of /proc/loadavg."""
    try:
        load = float(text.split(maxsplit=1)[0])
    except (IndexError, ValueError):
        return None
    return load if 0 <= load < 1e9 else None


def parse_user(text: str) -> tuple[int, int] | None:
    """Return the user's uid and gid."""
    numbers = [parse_int(line, most=_MOST_ID) for line in text.split()]
    return (numbers[0], numbers[1]) if len(numbers) == 2 and None not in numbers else None  # type: ignore[return-value]


def parse_clock(text: str) -> float | None:
    """Return the host's clock in seconds since 1970, without a fraction where its ``date`` has no nanoseconds."""
    match = re.match(r"([0-9]{9,11})(\.[0-9]{1,9})?(?![0-9])", text.strip())
    return float(match[0]) if match else None


OS = Fact("os", ("sh", "-c", "cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release"), parse_os_release)
KERNEL = Fact("kernel", ("uname", "-r", "-m"), parse_uname, is_needed=True)
CGROUP_VERSION = Fact("cgroup_version", ("grep", "-E", " cgroup2? ", "/proc/mounts"), parse_cgroup_version)
BOOT_ID = Fact("boot_id", ("cat", "/proc/sys/kernel/random/boot_id"), parse_boot_id)
LOAD = Fact("load_1m", ("cat", "/proc/loadavg"), parse_load_1m)
USER = Fact("user", ("sh", "-c", "id -u; id -g"), parse_user, is_needed=True)
CLOCK = Fact("clock", ("date", "+%s.%N"), parse_clock)

"""Parse and format the holder of a machine's lock, and judge whether it is alive. Pure, except for ``make_owner``."""

from __future__ import annotations

import getpass
import os
import re
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.values.text import clean_text
from harness.values.units import format_duration

STALE_AFTER_S = 180.0
"""A heartbeat older than this is stale, in seconds; a holder sends at least three in this time."""

CONTROLLER_GONE = "its controller on this machine has ended"


@dataclass(frozen=True)
class LockOwner:
    """The holder of a lock: one session of one controller.

    ``owner`` is user@controller. ``machine`` (machine id and PID namespace), ``boot_of_controller``, ``pid`` and
    ``pid_start`` (start time in clock ticks) identify the controller's process to other processes on its machine; they
    are empty where the controller has no /proc. The fields from ``boot`` on come from the host and are unset before the
    lock is acquired. ``age_s`` is the time since the last heartbeat; ``is_this_boot`` is false where the host was
    rebooted since.
    """

    owner: str
    session: str
    reason: str
    token: str
    machine: str = ""
    boot_of_controller: str = ""
    pid: str = ""
    pid_start: str = ""
    boot: str | None = None
    since: str | None = None
    heartbeat: str | None = None
    age_s: float | None = None
    is_this_boot: bool = True

    def describe(self, *, is_gone: bool = False) -> str:
        """Return a text with owner, session, reason, start, and whether the holder is alive.

        ``is_gone``: its controller has certainly ended (``is_controller_gone``).
        """
        heard = "" if self.age_s is None else f", silent for {format_duration(self.age_s)}"
        if is_gone:
            heard = f", {CONTROLLER_GONE}"
        elif self.age_s is not None and self.age_s <= STALE_AFTER_S:
            heard = f", alive (last heartbeat {format_duration(self.age_s)} ago, one comes about every minute)"
        since = f" since {self.since}" if self.since else ""
        return f"{self.owner}, session {self.session} ({self.reason}){since}{heard}"


@dataclass(frozen=True)
class LockState:
    """The state of the lock at one moment.

    A change of the lock succeeds only where ``stamp`` is unchanged. ``damage`` is why the lock is neither free nor has
    a valid owner.
    """

    stamp: str
    boot_now: str | None
    owner: LockOwner | None
    damage: str | None = None


_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_FORMAT = re.compile(r"^format ", re.MULTILINE)
_ANY = re.compile(r".{0,300}")
_SOUND = {
    "format": re.compile("1"),
    "token": re.compile(r"[0-9A-Za-z]{1,64}"),
    **dict.fromkeys(("owner", "session", "reason", "machine", "boot", "boot_of_controller", "since", "beat_at"), _ANY),
    "pid": re.compile(r"[0-9]{0,10}"),
    "pid_start": re.compile(r"[0-9]{0,20}"),
    "beat": _SECONDS,
}
"""The fields of an owner's file, and the pattern of each value."""

_TEXT_FIELDS = ("token", "owner", "session", "reason", "machine", "boot_of_controller", "pid", "pid_start")


def make_owner(session: str, reason: str = "measuring") -> LockOwner:
    """Return the owner for this process, with a new token."""
    pid = str(os.getpid())
    return LockOwner(
        owner=f"{read_user()}@{socket.gethostname()}",
        session=session,
        reason=reason,
        token=secrets.token_hex(8),
        machine=read_machine(),
        boot_of_controller=_read_line("/proc/sys/kernel/random/boot_id"),
        pid=pid,
        pid_start=read_pid_start(pid),
    )


def read_machine() -> str:
    """Return a text that identifies this machine and PID namespace to other processes here; empty without /proc."""
    namespace = _read_link("/proc/self/ns/pid")
    machine = _read_line("/etc/machine-id") or socket.gethostname()
    return f"{machine}/{namespace}" if namespace else ""


def read_pid_start(pid: str) -> str:
    """Return the start time of a process in clock ticks since boot (field 22 of /proc/PID/stat); empty if it ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The program's name, in brackets, may contain spaces and brackets.
    rest = text.rpartition(")")[2].split()
    state, started = (rest[0], rest[19]) if len(rest) > 19 else ("", "")
    return "" if state in ("Z", "X") else started


def format_owner(owner: LockOwner) -> str:
    """Return the controller's part of the owner's file: lines of a name and a value, without line ends in values."""
    lines = ["format 1"]
    lines += [f"{name} {clean_text(getattr(owner, name))}" for name in _TEXT_FIELDS]
    return "\n".join(lines)


def parse_state(text: str) -> LockState:
    """Parse the output of the lock's scripts: their own fields, followed by the content of the owner's file.

    Any user of the host may have written that file. Without a token the lock has no owner. Each field must match what
    ``format_owner`` and the scripts write; else the lock is damaged, or free where the host was rebooted since.
    """
    begin = _FORMAT.search(text)
    head = _read_fields(text if begin is None else text[: begin.start()])
    values = {} if begin is None else _read_fields(text[begin.start() :])
    stamp, boot_now = head.get("stamp", ""), head.get("boot_now") or None
    if damage := head.get("damaged"):
        return LockState(stamp, boot_now, None, clean_text(damage))
    if not values.get("token"):
        return LockState(stamp, boot_now, None)
    boot = values.get("boot") or None
    is_this_boot = boot is None or boot == boot_now
    wrong = next((name for name, value in values.items() if not _is_sound(name, value)), None)
    if wrong is not None:
        why = f"its field {clean_text(wrong, 40)!r} is “{clean_text(values[wrong], 80)}”"
        return LockState(stamp, boot_now, None, why if is_this_boot else None)
    owner = LockOwner(
        owner=values.get("owner", ""),
        session=values.get("session", ""),
        reason=values.get("reason", ""),
        token=values["token"],
        machine=values.get("machine", ""),
        boot_of_controller=values.get("boot_of_controller", ""),
        pid=values.get("pid", ""),
        pid_start=values.get("pid_start", ""),
        boot=boot,
        since=values.get("since"),
        heartbeat=values.get("beat_at"),
        age_s=_age_s(head.get("uptime", ""), values.get("beat", "")) if is_this_boot else None,
        is_this_boot=is_this_boot,
    )
    return LockState(stamp, boot_now, owner)


def _read_fields(text: str) -> dict[str, str]:
    """Return the fields of lines with a name and a value; of equal names the first counts."""
    values: dict[str, str] = {}
    for line in text.split("\n"):
        word, _, value = line.partition(" ")
        if word:
            values.setdefault(word, value)
    return values


def _is_sound(name: str, value: str) -> bool:
    """Return whether a field of an owner's file has a known name and a valid value."""
    pattern = _SOUND.get(name)
    return value.isprintable() and pattern is not None and pattern.fullmatch(value) is not None


def is_controller_gone(held: LockOwner, me: LockOwner, read_start: Callable[[str], str] = read_pid_start) -> bool:
    """Return whether the controller that holds the lock has certainly ended.

    This can be known only on the machine and in the PID namespace where it ran; elsewhere the result is False.
    """
    if not me.machine or held.machine != me.machine or held.owner.partition("@")[2] != me.owner.partition("@")[2]:
        return False
    if not held.boot_of_controller or held.boot_of_controller != me.boot_of_controller:
        return bool(held.boot_of_controller and me.boot_of_controller)
    return bool(held.pid and held.pid_start) and read_start(held.pid) != held.pid_start


def _age_s(uptime: str, beat: str) -> float | None:
    """Return the seconds since the last heartbeat by the host's uptime, which no change of a clock affects."""
    if not _SECONDS.fullmatch(uptime) or not _SECONDS.fullmatch(beat):
        return None
    return max(0.0, float(uptime) - float(beat))


def read_user() -> str:
    """Return the name of the user that runs this program, or the uid where it has no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def _read_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _read_link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""

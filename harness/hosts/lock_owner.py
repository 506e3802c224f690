"""Who holds a machine's lock: what the owner's file says, and when it is free to take. Pure, but for ``make_owner``."""

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
"""A heartbeat is sent at least three times in this time."""

CONTROLLER_GONE = "its controller on this machine has ended"


@dataclass(frozen=True)
class LockOwner:
    """One session on one controller; the last four are the host's, None before the lock is had.

    ``owner`` is user@controller. ``machine``, ``boot_of_controller``, ``pid`` and
    ``pid_start`` name the controller's process for another one on the same machine: machine id and
    PID namespace, its boot, its number and start time in clock ticks; empty where the
    controller has no /proc. ``age_s`` is the time since the last sign of life and ``is_this_boot`` whether
    the host has not been started anew since.
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
        """In words: who, for what, since when, and whether it was heard of lately.

        ``is_gone``: its controller has certainly ended (``is_controller_gone``).
        """
        heard = "" if self.age_s is None else f", silent for {format_duration(self.age_s)}"
        if is_gone:
            heard = f", {CONTROLLER_GONE}"
        elif self.age_s is not None and self.age_s <= STALE_AFTER_S:
            heard = f", alive (a sign of life comes about each minute, the last {format_duration(self.age_s)} ago)"
        since = f" since {self.since}" if self.since else ""
        return f"{self.owner}, session {self.session} ({self.reason}){since}{heard}"


@dataclass(frozen=True)
class LockState:
    """The lock at one moment: the stamp is what a change must find unchanged.

    ``damage`` is why it is neither free nor held by anybody who can be named.
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
"""Each field of an owner's file, and what it may be."""

_TEXT_FIELDS = ("token", "owner", "session", "reason", "machine", "boot_of_controller", "pid", "pid_start")


def make_owner(session: str, reason: str = "measuring") -> LockOwner:
    """This process as an owner, with a token of its own."""
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
    """This machine and PID namespace, as far as another process here can say the same; empty without /proc."""
    namespace = _read_link("/proc/self/ns/pid")
    machine = _read_line("/etc/machine-id") or socket.gethostname()
    return f"{machine}/{namespace}" if namespace else ""


def read_pid_start(pid: str) -> str:
    """Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat); empty where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The name, in brackets, may itself hold spaces and brackets.
    rest = text.rpartition(")")[2].split()
    state, started = (rest[0], rest[19]) if len(rest) > 19 else ("", "")
    return "" if state in ("Z", "X") else started


def format_owner(owner: LockOwner) -> str:
    """The controller's part of the owner's file: a word and a value a line; no value can hold a line end."""
    lines = ["format 1"]
    lines += [f"{name} {clean_text(getattr(owner, name))}" for name in _TEXT_FIELDS]
    return "\n".join(lines)


def parse_state(text: str) -> LockState:
    """What the lock's scripts print: what they say themselves, and behind it what lies in the owner's file.

    Any user of the host may have written that file. One that gives no token names nobody, and a host that was started
    anew since is free; else each of its fields must be what ``format_owner`` and the scripts write.
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
    """Return words with their values, a line each; the first of equal words counts."""
    values: dict[str, str] = {}
    for line in text.split("\n"):
        word, _, value = line.partition(" ")
        if word:
            values.setdefault(word, value)
    return values


def _is_sound(name: str, value: str) -> bool:
    """Return whether a field of an owner's file can be ours."""
    pattern = _SOUND.get(name)
    return value.isprintable() and pattern is not None and pattern.fullmatch(value) is not None


def is_controller_gone(held: LockOwner, me: LockOwner, read_start: Callable[[str], str] = read_pid_start) -> bool:
    """Whether the process that holds the lock has certainly ended: asked on the machine on which it ran.

    False where nothing can be known: another machine, or another PID namespace.
    """
    if not me.machine or held.machine != me.machine or held.owner.partition("@")[2] != me.owner.partition("@")[2]:
        return False
    if not held.boot_of_controller or held.boot_of_controller != me.boot_of_controller:
        return bool(held.boot_of_controller and me.boot_of_controller)
    return bool(held.pid and held.pid_start) and read_start(held.pid) != held.pid_start


def _age_s(uptime: str, beat: str) -> float | None:
    """Since the last sign of life, by the host's own uptime: no step of any clock changes it."""
    if not _SECONDS.fullmatch(uptime) or not _SECONDS.fullmatch(beat):
        return None
    return max(0.0, float(uptime) - float(beat))


def read_user() -> str:
    """Return the name of this machine's user, or its number where it has none."""
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

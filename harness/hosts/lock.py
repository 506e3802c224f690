"""The lock of a machine: one session measures at a time, whatever its engine and its user.

It is the folder ``/tmp/harness.lock``, made atomically and writable for all (another user must be
able to take over the lock of a dead session, and cannot remove a folder of somebody else from a sticky
``/tmp``); the lock is held while a file ``owner`` lies in it. When another may have it:

- *nobody holds it*: at once;
- *the host was started anew* since (another boot id): at once, nothing that was measured runs any more;
- *held by another session*: when its heartbeat is older than ``stale_after_s``, or its controller ran on this
  very machine and its process is gone, *and* no container or process of that session runs on the
  host. A lost link alone does not free a host that still measures;
- *held by the same session* (a controller that was killed, and is started again): when the old controller ran
  on this machine and its process is gone, at once; else when the heartbeat is old. What
  still runs is its own and is adopted;
- otherwise never: ``HostLocked`` says who, since when, and what to do.

Heartbeats are counted in the host's uptime: neither the skew between clocks nor a step of one matters. Taking
over compares the holder's token *and* heartbeat in the moment of writing, so that of many who saw the same dead
holder one wins, and a holder who comes back to life in between keeps it.

Every user of a host can write the lock. A file that gives no token, and a link in its place, are nobody's and are
replaced. What else is not as it was written here, or a folder in the file's place, is a damaged lock: nobody takes it
over, and ``break_lock`` takes it away when a user says so.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.hosts import lock_commands
from harness.hosts.answers import not_understood
from harness.hosts.connection import Completed, Connection, last_line
from harness.hosts.lock_owner import (
    STALE_AFTER_S,
    LockOwner,
    LockState,
    format_owner,
    is_controller_gone,
    make_owner,
    parse_state,
)
from harness.hosts.slurm.connection import SlurmConnection
from harness.values.errors import HostError, HostLocked, HostNotReady
from harness.values.text import clean_text

__all__ = [
    "LOCK_PATH",
    "STALE_AFTER_S",
    "DamagedLock",
    "Lock",
    "LockOwner",
    "acquire",
    "break_lock",
    "find_holder",
    "make_owner",
    "read_lock",
    "refuse_held",
    "take_lock",
]

LOCK_PATH = "/tmp/harness.lock"
_TIMEOUT_S = lock_commands.GUARD_WAIT_S + 40.0
_MOST_TRIES = 20
_UNLOCK = "wait for it to end, or, if you know that it is dead, free the host with `harness unlock INVENTORY`"


class DamagedLock(HostNotReady):
    """What lies in the lock's place is none of ours; ``stamp`` tells it from what may lie there later."""

    def __init__(self, host: str, path: str, state: LockState) -> None:
        hint = f"see who made it (ls -la {path} on the host), then take it away with `harness unlock INVENTORY`"
        super().__init__(f"damaged lock {path}: {state.damage}", where=host, hint=hint)
        self.stamp = state.stamp


class Lock:
    """A lock that is held. ``beat`` at least every third of ``stale_after_s``; ``release`` at the end."""

    def __init__(self, connection: Connection, owner: LockOwner, path: str) -> None:
        self.connection = connection
        self.owner = owner
        self.path = path

    def beat(self) -> None:
        """Give a sign of life. Raises HostLocked where somebody else holds the lock by now, or took it away.

        A lock that vanished (the host was started anew, /tmp was swept) is taken again where nobody else has.
        """
        done = _run(self.connection, lock_commands.beat_command(self.path, self.owner.token))
        if done.returncode == lock_commands.TAKEN:
            by = clean_text(done.text.partition("taken_by ")[2]) or "somebody"
            message = f"the lock of this session was taken away by {by}, with `harness unlock --force`"
            raise HostLocked(message, where=self.connection.host, hint=f"ask {by} when the machine is free again")
        if done.returncode != lock_commands.CHANGED:
            _refuse_failure(self.connection, done, self.path)
            return
        state = _read_state(self.connection, done, self.path)
        if state.owner is None:
            state = _claim(self.connection, self.owner, self.path, state.stamp)
            if state.owner is not None and state.owner.token == self.owner.token:
                return
        raise _locked(self.connection.host, state.owner, self.owner, "the lock of this session was taken over")

    def release(self) -> None:
        """Give the lock up, only if it is still ours. Idempotent."""
        done = _run(self.connection, lock_commands.release_command(self.path, self.owner.token))
        if done.returncode != lock_commands.CHANGED:
            _refuse_failure(self.connection, done, self.path)


def acquire(
    connection: Connection,
    owner: LockOwner,
    *,
    is_alive: Callable[[str], bool],
    stale_after_s: float = STALE_AFTER_S,
    path: str = LOCK_PATH,
) -> Lock:
    """Take the machine's lock for ``owner`` (``make_owner``); the rules stand in this module's docstring.

    ``is_alive(session)`` says whether a container or process of a session runs on the host; where it raises
    a HostError, the session counts as alive. Raises HostLocked, HostNotReady, HostUnreachable.
    """
    path = _lock_of(connection, path)
    state = _claim(connection, owner, path, lock_commands.ABSENT)
    for _ in range(_MOST_TRIES):
        held = state.owner
        if held is not None and held.token == owner.token:
            return Lock(connection, held, path)
        # A file that names no owner can be nobody's: it is replaced like that of a dead one.
        if held is not None and (why := _why_not(held, owner, is_alive, stale_after_s)):
            raise _locked(connection.host, held, owner, why)
        state = _claim(connection, owner, path, state.stamp)
    raise _locked(connection.host, state.owner, owner, "many contend for this machine")


def read_lock(connection: Connection, *, path: str = LOCK_PATH) -> LockOwner | None:
    """Who holds the machine's lock; None where nobody does, or where the host was started anew since.

    Raises DamagedLock.
    """
    path = _lock_of(connection, path)
    owner = _read_state(connection, _run(connection, lock_commands.read_command(path)), path).owner
    return owner if owner is not None and owner.is_this_boot else None


def refuse_held(
    connection: Connection,
    me: LockOwner,
    *,
    is_alive: Callable[[str], bool],
    stale_after_s: float = STALE_AFTER_S,
    path: str = LOCK_PATH,
) -> None:
    """Raise what ``acquire`` would raise where another session holds the machine's lock; takes nothing."""
    held = read_lock(connection, path=path)
    if held is not None and held.session != me.session and (why := _why_not(held, me, is_alive, stale_after_s)):
        raise _locked(connection.host, held, me, why)


def find_holder(
    connection: Connection,
    me: LockOwner,
    *,
    is_alive: Callable[[str], bool],
    stale_after_s: float = STALE_AFTER_S,
    path: str = LOCK_PATH,
) -> LockOwner | None:
    """Return who would keep ``me`` from taking the machine's lock now; None where ``acquire`` would get it."""
    held = read_lock(connection, path=path)
    return held if held is not None and _why_not(held, me, is_alive, stale_after_s) else None


def take_lock(connection: Connection, held: LockOwner, by: str, *, path: str = LOCK_PATH) -> bool:
    """Take the lock away from a holder who may live, and leave word of ``by`` whom; False where it was let go.

    The holder stops at its next sign of life.
    """
    path = _lock_of(connection, path)
    done = _run(connection, lock_commands.take_command(path, held.token, clean_text(by)))
    if done.returncode == lock_commands.CHANGED:
        return False
    _refuse_failure(connection, done, path)
    return True


def break_lock(
    connection: Connection, *, only: LockOwner | DamagedLock | None = None, path: str = LOCK_PATH
) -> LockOwner | DamagedLock | None:
    """Free the lock whoever holds it (``harness unlock``); returns who did.

    With ``only``, it is freed only while that owner still holds it, or while it is as damaged as it was: for one that
    was judged a moment ago.
    """
    path = _lock_of(connection, path)
    if isinstance(only, DamagedLock):
        done = _run(connection, lock_commands.break_command(path, only.stamp))
        if done.returncode == lock_commands.CHANGED:
            return None
        _refuse_failure(connection, done, path)
        return only
    if only is not None:
        done = _run(connection, lock_commands.release_command(path, only.token))
        if done.returncode == lock_commands.CHANGED:
            return None
        _refuse_failure(connection, done, path)
        return only
    done = _run(connection, lock_commands.break_command(path))
    _refuse_failure(connection, done, path)
    return parse_state(done.text).owner


def _lock_of(connection: Connection, path: str) -> str:
    """Return the lock of a host: behind a login node each node has one, which lies there beside the others."""
    return path + connection.lock_suffix if isinstance(connection, SlurmConnection) else path


def _why_not(held: LockOwner, me: LockOwner, is_alive: Callable[[str], bool], stale_after_s: float) -> str | None:
    """Why the lock may not be taken over, or None where it may."""
    if not held.is_this_boot:
        return None
    is_silent = held.age_s is None or held.age_s > stale_after_s
    if not is_silent and not is_controller_gone(held, me):
        if held.session == me.session:
            if (held.machine, held.pid) == (me.machine, me.pid) and me.pid_start == held.pid_start:
                return "this session holds this machine already, as another host of the inventory"
            return "this session is running already"
        return "another session measures on this machine"
    if held.session == me.session:
        return None
    try:
        still_runs = is_alive(held.session)
    except HostError as error:
        return f"another session holds this machine, and whether it still runs cannot be told: {error.message}"
    return "the controller of another session is silent, but its job still runs on this machine" if still_runs else None


def _claim(connection: Connection, owner: LockOwner, path: str, expected: str) -> LockState:
    done = _run(connection, lock_commands.claim_command(path, owner.token, format_owner(owner), expected))
    if done.returncode != lock_commands.CHANGED:
        _refuse_failure(connection, done, path)
    return _read_state(connection, done, path)


def _read_state(connection: Connection, done: Completed, path: str) -> LockState:
    """Read what a script prints. Raises DamagedLock, and HostNotReady for what no script of ours prints."""
    state = parse_state(done.text)
    if not state.stamp:
        raise not_understood(connection.host, "the state of its lock", done.stdout + done.stderr)
    if state.damage is not None:
        raise DamagedLock(connection.host, path, state)
    return state


def _run(connection: Connection, command: list[str]) -> Completed:
    return connection.run(command, timeout_s=_TIMEOUT_S)


def _refuse_failure(connection: Connection, done: Completed, path: str) -> None:
    if done.returncode == lock_commands.DONE:
        return
    if done.returncode == lock_commands.NO_FLOCK:
        message, hint = "the host has no `flock`", "install the package util-linux there"
    elif done.returncode == lock_commands.BUSY:
        message, hint = f"the lock {path} is held up by a process that hangs", f"see `fuser -v {path}` on the host"
    else:
        message = f"the lock {path} cannot be written: {last_line(done.stderr)}"
        hint = (
            f"see that /tmp has room, and that {path}, if it is there, is a folder with mode 0777; root may remove it"
        )
    raise HostNotReady(message, where=connection.host, hint=hint)


def _locked(host: str, held: LockOwner | None, me: LockOwner, why: str) -> HostLocked:
    holder = "" if held is None else f": {held.describe(is_gone=is_controller_gone(held, me))}"
    return HostLocked(f"{why}{holder}", where=host, hint=_UNLOCK)
